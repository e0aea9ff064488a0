"""Read stations and their readings from the Tidewatch service."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

SERVICE = "https://api.tidewatch.example/v4"


@dataclass(frozen=True)
class Reading:
    """One message of a station."""

    station: str
    taken_at: str
    wave_height_m: float
    water_temperature_c: float
    flags: str = ""

    @property
    def trustworthy(self) -> bool:
        """False when the calibration was overdue or a sensor reported a fault."""
        return not set(self.flags) & {"C", "F"}


class TooManyRequests(Exception):
    """The service allows 60 requests a minute."""


class Client:
    """Talks to the service with one key."""

    def __init__(self, key: str, *, service: str = SERVICE, attempts: int = 4) -> None:
        self._key = key
        self._service = service
        self._attempts = attempts

    def readings(self, station: str, *, since: str | None = None) -> Iterator[Reading]:
        """Yield readings, newest first, following the pages."""
        address = f"{self._service}/stations/{station}/readings?limit=1000"
        if since:
            address += f"&since={since}"
        while address:
            page = self._get(address)
            for row in page["readings"]:
                yield Reading(station=station, **row)
            address = page.get("next")

    def wake_modem(self, station: str) -> str:
        """Ask a silent station to switch its modem on; returns the command's id."""
        body = json.dumps({"command": "wake_modem"}).encode()
        return self._get(f"{self._service}/stations/{station}/commands", body)["id"]

    def _get(self, address: str, body: bytes | None = None) -> dict:
        request = urllib.request.Request(address, data=body, headers={"x-key": self._key})
        for attempt in range(self._attempts):
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    return json.load(reply)
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                # The service names the pause; without it, wait twice as long each time.
                time.sleep(float(error.headers.get("Retry-After", 2**attempt)))
        raise TooManyRequests(address)


def significant_wave_height(heights_m: list[float]) -> float:
    """Return the mean of the highest third, which is what sailors call the wave height."""
    if not heights_m:
        raise ValueError("no waves were measured")
    highest = sorted(heights_m, reverse=True)[: max(1, len(heights_m) // 3)]
    return sum(highest) / len(highest)
