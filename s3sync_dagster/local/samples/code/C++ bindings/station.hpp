// Bindings for customers who read a buoy over its serial port.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace tidewatch {

/// What a station says when it is asked over the serial port.
struct Status {
    double battery_volts;
    double wave_height_m;
    std::chrono::system_clock::time_point taken_at;
};

/// A buoy on a serial port, 19,200 baud, eight bits, no parity.
class Station {
public:
    explicit Station(std::string device);

    /// Asks for a status; empty when the buoy has not answered within two seconds.
    std::optional<Status> ask();

    /// Puts the buoy into the workshop mode: radio off, lamp on, sensors every second.
    /// The mode ends by itself after 30 minutes.
    void enter_workshop_mode();

private:
    std::string device_;
};

}  // namespace tidewatch
