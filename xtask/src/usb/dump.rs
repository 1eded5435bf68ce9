//! The text form of descriptor dumps.
//!
//! Hex digits in sections, each under a line `# device` or `# configuration`.
//! What the bytes mean is for `usb_desc` to say.

use usb_desc::{Chain, Device, kind};
use usb_types::Speed;

/// Why a file is no dump, and where.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Its name, for tools.
    pub(super) code: &'static str,
    /// Characters before the place.
    pub(super) offset: usize,
    /// Starts with line and column when there are any.
    pub(super) detail: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A dump's sections.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) device: Option<Vec<u8>>,
    pub(super) configurations: Vec<Vec<u8>>,
}

impl Dump {
    /// Reads the text of a dump.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut sections: Vec<(bool, Vec<u8>)> = Vec::new();
        let mut half: Option<(u8, Fault)> = None;
        let mut start = 0;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let fault = |code, column: usize, detail: &str| Fault {
                code,
                offset: start + column,
                detail: format!("{number}:{}: {detail}", column + 1),
            };
            if let Some(remark) = line.trim_start().strip_prefix('#') {
                match remark.split_whitespace().next() {
                    Some("device") => sections.push((true, Vec::new())),
                    Some("configuration") => sections.push((false, Vec::new())),
                    _ => {}
                }
                if let Some((_, odd)) = half.take() {
                    return Err(odd);
                }
                start += line.chars().count();
                continue;
            }
            for (column, letter) in line.chars().enumerate().filter(|(_, c)| !c.is_whitespace()) {
                let Some(digit) = letter.to_digit(16).map(|digit| digit as u8) else {
                    let detail = format!("{letter:?} is no hex digit");
                    return Err(fault("bad_hex", column, &detail));
                };
                let Some((_, bytes)) = sections.last_mut() else {
                    let detail = "digits before a \"# device\" or \"# configuration\" line";
                    return Err(fault("no_section", column, detail));
                };
                half = match half {
                    Some((high, _)) => {
                        bytes.push(high << 4 | digit);
                        None
                    }
                    None => Some((digit, fault("odd_digits", column, "half a byte"))),
                };
            }
            start += line.chars().count();
        }
        if let Some((_, odd)) = half {
            return Err(odd);
        }
        let mut dump = Self::default();
        for (device, bytes) in sections {
            if device {
                dump.device = Some(bytes);
            } else {
                dump.configurations.push(bytes);
            }
        }
        if dump.configurations.is_empty() {
            let detail = format!("1:1: no \"# configuration\" in {} characters", text.len());
            return Err(Fault { code: "no_configuration", offset: 0, detail });
        }
        Ok(dump)
    }

    /// The slowest speed at which all endpoints are possible.
    pub(super) fn needed_speed(&self) -> Speed {
        let mut needed = Speed::Full;
        for raw in self.configurations.iter().flat_map(|bytes| Chain::new(bytes, 0)).flatten() {
            match (raw.kind(), raw.bytes()) {
                (kind::COMPANION, _) => return Speed::Super,
                (kind::ENDPOINT, &[_, _, _, attributes, low, high, ..]) => {
                    let packet = u16::from_le_bytes([low, high]);
                    let limit = match attributes & 3 {
                        1 => 1023,
                        _ => 64,
                    };
                    if packet > limit {
                        needed = Speed::High;
                    }
                }
                _ => {}
            }
        }
        match self.device.as_deref().map(Device::parse) {
            Some(Ok(device)) if device.usb >= 0x0300 && device.packet_size_0 == 9 => Speed::Super,
            _ => needed,
        }
    }
}
