//! Descriptors as a device stores them, and the tables it derives from them.
//!
//! USB 2.0 chapter 9.6. The models write their descriptors with [`Builder`],
//! which patches the total lengths; [`Descriptors`] reads the configuration back,
//! so that the endpoints a device serves are the ones it declares.

use crate::bus::{Endpoint, Interface, Speed};

/// Descriptor types (USB 2.0, table 9-5; UAC 1.0, A.4).
pub(crate) mod kind {
    pub(crate) const DEVICE: u8 = 1;
    pub(crate) const CONFIGURATION: u8 = 2;
    pub(crate) const STRING: u8 = 3;
    pub(crate) const INTERFACE: u8 = 4;
    pub(crate) const ENDPOINT: u8 = 5;
    pub(crate) const DEVICE_QUALIFIER: u8 = 6;
    pub(crate) const CS_INTERFACE: u8 = 0x24;
}

/// bmAttributes of a configuration: remote wake (USB 2.0, table 9-10).
const REMOTE_WAKE: u8 = 1 << 5;

/// An endpoint of one alternate setting.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct EndpointInfo {
    /// The interface it belongs to.
    pub interface: Interface,
    /// The alternate setting that has it.
    pub alternate: u8,
    /// Its address.
    pub address: Endpoint,
    /// bmAttributes.
    pub attributes: u8,
    /// wMaxPacketSize, bits 10:0.
    pub max_packet: u16,
}

/// The descriptors of a device with one configuration.
#[derive(Clone, Debug)]
pub struct Descriptors {
    /// The speed at which the device runs.
    pub speed: Speed,
    /// The device descriptor.
    pub device: [u8; 18],
    /// The configuration descriptor with all that follows it.
    pub configuration: Vec<u8>,
    /// String 1 and up, English.
    pub strings: Vec<&'static str>,
    /// Whether the device answers for its other speed: only those that can do
    /// both have a device qualifier (USB 2.0, 9.6.2).
    pub qualifier: bool,
}

impl Descriptors {
    /// bMaxPacketSize0.
    #[must_use]
    pub fn max_packet_0(&self) -> usize {
        usize::from(self.device[7])
    }

    /// bConfigurationValue.
    #[must_use]
    pub fn configuration_value(&self) -> u8 {
        self.configuration[5]
    }

    /// Whether it can wake its host.
    pub(crate) fn wakes(&self) -> bool {
        self.configuration[7] & REMOTE_WAKE != 0
    }

    /// All alternate settings, as interface and alternate.
    pub(crate) fn alternates(&self) -> Vec<(Interface, u8)> {
        parts(&self.configuration)
            .filter(|part| part[1] == kind::INTERFACE)
            .map(|part| (Interface(part[2]), part[3]))
            .collect()
    }

    /// All endpoints.
    pub(crate) fn endpoints(&self) -> Vec<EndpointInfo> {
        let mut endpoints = Vec::new();
        let mut place = (Interface(0), 0);
        for part in parts(&self.configuration) {
            match part[1] {
                kind::INTERFACE => place = (Interface(part[2]), part[3]),
                kind::ENDPOINT => endpoints.push(EndpointInfo {
                    interface: place.0,
                    alternate: place.1,
                    address: Endpoint(part[2]),
                    attributes: part[3],
                    max_packet: u16::from_le_bytes([part[4], part[5]]) & 0x7FF,
                }),
                _ => {}
            }
        }
        endpoints
    }

    /// A descriptor as GET_DESCRIPTOR asks for it: type and index.
    pub(crate) fn get(&self, value: u16, into: &mut Vec<u8>) -> bool {
        into.clear();
        let [index, kind] = value.to_le_bytes();
        match (kind, index) {
            (kind::DEVICE, 0) => into.extend_from_slice(&self.device),
            (kind::CONFIGURATION, 0) => into.extend_from_slice(&self.configuration),
            (kind::STRING, 0) => into.extend_from_slice(&[4, kind::STRING, 0x09, 0x04]),
            (kind::STRING, n) => {
                let Some(text) = self.strings.get(usize::from(n) - 1) else { return false };
                into.extend_from_slice(&[0, kind::STRING]);
                for unit in text.encode_utf16() {
                    into.extend_from_slice(&unit.to_le_bytes());
                }
                into[0] = into.len() as u8;
            }
            (kind::DEVICE_QUALIFIER, 0) if self.qualifier => {
                into.extend_from_slice(&[10, kind::DEVICE_QUALIFIER]);
                into.extend_from_slice(&self.device[2..8]);
                into.extend_from_slice(&[1, 0]);
            }
            _ => return false,
        }
        true
    }
}

/// The descriptors that `bytes` is made of.
pub(crate) fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(*rest.first()?);
        let (part, after) = rest.split_at_checked(length).filter(|_| length >= 2)?;
        rest = after;
        Some(part)
    })
}

/// Writes a configuration.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    /// Where the class-specific AudioControl descriptors begin.
    control: Option<usize>,
}

impl Builder {
    /// A configuration of `interfaces` interfaces that draws `milliamps`.
    #[must_use]
    pub fn new(interfaces: u8, milliamps: u8) -> Self {
        Self { bytes: vec![9, 2, 0, 0, interfaces, 1, 0, 0x80, milliamps / 2], control: None }
    }

    /// The device can wake its host (bmAttributes bit 5).
    #[must_use]
    pub fn wakes(mut self) -> Self {
        self.bytes[7] |= REMOTE_WAKE;
        self
    }

    /// Interface `number` in setting `alternate`, of the audio class.
    #[must_use]
    pub fn audio_interface(mut self, number: u8, alternate: u8, endpoints: u8, sub: u8) -> Self {
        self.end_control();
        self.bytes.extend_from_slice(&[9, 4, number, alternate, endpoints, 1, sub, 0, 0]);
        self
    }

    /// The header of the AudioControl interface, for a collection of streaming
    /// interfaces; its total length runs up to the next interface.
    #[must_use]
    pub fn control_header(mut self, collection: &[u8]) -> Self {
        self.control = Some(self.bytes.len());
        let count = collection.len() as u8;
        self.bytes.extend_from_slice(&[8 + count, kind::CS_INTERFACE, 1, 0x00, 0x01, 0, 0, count]);
        self.bytes.extend_from_slice(collection);
        self
    }

    /// Any descriptor: the length is put in front of `body`, which starts with the type.
    #[must_use]
    pub fn raw(mut self, body: &[u8]) -> Self {
        self.bytes.push(body.len() as u8 + 1);
        self.bytes.extend_from_slice(body);
        self
    }

    /// FORMAT TYPE I with discrete rates (UAC 1.0 Formats, 2.2.5).
    #[must_use]
    pub fn format(mut self, channels: u8, subframe: u8, bits: u8, rates: &[u32]) -> Self {
        let count = rates.len() as u8;
        let length = 8 + 3 * count;
        self.bytes.extend_from_slice(&[length, kind::CS_INTERFACE, 2, 1]);
        self.bytes.extend_from_slice(&[channels, subframe, bits, count]);
        for rate in rates {
            self.bytes.extend_from_slice(&rate.to_le_bytes()[..3]);
        }
        self
    }

    /// The bytes, with every total length filled in.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.end_control();
        let total = (self.bytes.len() as u16).to_le_bytes();
        self.bytes[2..4].copy_from_slice(&total);
        self.bytes
    }

    fn end_control(&mut self) {
        if let Some(start) = self.control.take() {
            let total = ((self.bytes.len() - start) as u16).to_le_bytes();
            self.bytes[start + 5..start + 7].copy_from_slice(&total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Builder, parts};

    #[test]
    fn total_lengths_cover_exactly_their_parts() {
        let bytes = Builder::new(2, 100)
            .audio_interface(0, 0, 0, 1)
            .control_header(&[1])
            .raw(&[0x24, 3, 3, 1, 3, 0, 2, 0])
            .audio_interface(1, 0, 0, 2)
            .finish();
        assert_eq!(usize::from(u16::from_le_bytes([bytes[2], bytes[3]])), bytes.len());
        let header = parts(&bytes).nth(2).unwrap();
        assert_eq!(u16::from_le_bytes([header[5], header[6]]), 9 + 9);
        assert_eq!(parts(&bytes).map(|part| part.len()).sum::<usize>(), bytes.len());
    }
}
