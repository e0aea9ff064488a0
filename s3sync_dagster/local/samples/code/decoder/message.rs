//! Decodes the 24 bytes that a buoy sends over its radio.

/// Why a message cannot be decoded.
#[derive(Debug, PartialEq)]
pub enum DecodeError {
    /// The radio lost the end of the message.
    TooShort { got: usize },
    /// The checksum does not fit: a bit was turned over on the way.
    Checksum,
}

/// One message, in the units that people use.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub station: u16,
    pub battery_volts: f32,
    pub wave_height_m: f32,
    pub water_temperature_c: f32,
}

const LENGTH: usize = 24;

impl Message {
    /// Reads a message; the last two bytes are a CRC over all that stands before them.
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() < LENGTH {
            return Err(DecodeError::TooShort { got: bytes.len() });
        }
        let (body, sum) = bytes[..LENGTH].split_at(LENGTH - 2);
        if crc16(body) != u16::from_be_bytes([sum[0], sum[1]]) {
            return Err(DecodeError::Checksum);
        }
        let word = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        Ok(Message {
            station: word(0),
            battery_volts: f32::from(word(2)) / 1000.0,
            wave_height_m: f32::from(word(4)) / 100.0,
            // Sent as hundredths of a degree above -5, so that ice water fits into 16 bits.
            water_temperature_c: f32::from(word(6)) / 100.0 - 5.0,
        })
    }
}

/// CRC-16/CCITT, as the radio's chip computes it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
        }
        crc
    })
}
