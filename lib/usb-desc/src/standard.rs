//! The standard descriptors: device, configuration, interface, association.
//!
//! USB 2.0 section 9.6, USB 3.2 section 9.6. Endpoints have a module of their
//! own because of the corrections that apply to them, hubs because theirs
//! vary in length.

use crate::issue::{Issue, Rule};
use crate::raw::{Raw, kind};
use usb_types::Speed;

/// Microseconds in the unit that the bus schedules by: a frame at low and full
/// speed, a microframe above (USB 2.0 section 8.4.3).
#[must_use]
pub const fn unit_us(speed: Speed) -> u32 {
    match speed {
        Speed::Low | Speed::Full => 1000,
        Speed::High | Speed::Super | Speed::SuperPlus => 125,
    }
}

/// Whether SuperSpeed rules apply: companions, an exponent for packet size 0.
#[must_use]
pub const fn is_super(speed: Speed) -> bool {
    matches!(speed, Speed::Super | Speed::SuperPlus)
}

/// `bInterfaceNumber`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceNumber(pub u8);

/// `bAlternateSetting`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlternateNumber(pub u8);

/// A device descriptor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// `bcdUSB`. Old devices say 0x0100; nothing is refused for it.
    pub usb: u16,
    /// `bDeviceClass`; 0 when each interface has its own.
    pub class: u8,
    /// `bDeviceSubClass`.
    pub subclass: u8,
    /// `bDeviceProtocol`.
    pub protocol: u8,
    /// `bMaxPacketSize0` as found: bytes, or an exponent of two at SuperSpeed.
    pub packet_size_0: u8,
    /// `idVendor`.
    pub vendor: u16,
    /// `idProduct`.
    pub product: u16,
    /// `bcdDevice`.
    pub release: u16,
    /// `iManufacturer`, `iProduct`, `iSerialNumber`; 0 is none.
    pub strings: [u8; 3],
    /// `bNumConfigurations`.
    pub configurations: u8,
}

impl Device {
    /// Bytes of a device descriptor.
    pub const LENGTH: usize = 18;

    /// Reads a device descriptor.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, Issue> {
        let raw = Raw::first(bytes, 0)?;
        let f: &[u8; Self::LENGTH] = raw.fields(kind::DEVICE)?;
        Ok(Self {
            usb: u16::from_le_bytes([f[2], f[3]]),
            class: f[4],
            subclass: f[5],
            protocol: f[6],
            packet_size_0: f[7],
            vendor: u16::from_le_bytes([f[8], f[9]]),
            product: u16::from_le_bytes([f[10], f[11]]),
            release: u16::from_le_bytes([f[12], f[13]]),
            strings: [f[14], f[15], f[16]],
            configurations: f[17],
        })
    }

    /// `bMaxPacketSize0` in bytes from the first eight bytes of a device
    /// descriptor, which is all that can be read before it is known.
    ///
    /// # Errors
    /// [`Rule::TooShort`], [`Rule::WrongType`], or [`Rule::PacketSize0`] when
    /// `speed` does not allow the size (USB 2.0 section 5.5.3, USB 3.2 9.6.1).
    pub fn control_packet(first: &[u8], speed: Speed) -> Result<u16, Issue> {
        let &[length, found, _, _, _, _, _, size] =
            first.first_chunk().ok_or(Issue::new(Rule::TooShort, 0, first.len() as u32))?;
        if found != kind::DEVICE {
            return Err(Issue::new(Rule::WrongType, 0, found.into()));
        }
        if usize::from(length) < Self::LENGTH {
            return Err(Issue::new(Rule::TooShort, 0, length.into()));
        }
        match (speed, size) {
            (Speed::Low, 8) | (Speed::Full, 8 | 16 | 32 | 64) | (Speed::High, 64) => {
                Ok(size.into())
            }
            (Speed::Super | Speed::SuperPlus, 9) => Ok(512),
            _ => Err(Issue::new(Rule::PacketSize0, 0, size.into())),
        }
    }
}

/// The header of a configuration.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `wTotalLength`.
    pub total: u16,
    /// `bNumInterfaces`.
    pub interfaces: u8,
    /// `bConfigurationValue`: what SET_CONFIGURATION takes.
    pub value: u8,
    /// `iConfiguration`; 0 is none.
    pub string: u8,
    /// `bmAttributes`.
    pub attributes: u8,
    /// `bMaxPower`, in 2 mA (8 mA at SuperSpeed).
    pub power: u8,
}

impl Header {
    /// Bytes of a configuration header.
    pub const LENGTH: usize = 9;

    /// Reads a configuration header: enough to know how many bytes to ask for.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, Issue> {
        let raw = Raw::first(bytes, 0)?;
        let f: &[u8; Self::LENGTH] = raw.fields(kind::CONFIGURATION)?;
        let total = u16::from_le_bytes([f[2], f[3]]);
        if usize::from(total) < Self::LENGTH {
            return Err(raw.issue(Rule::TotalLengthHeader, total.into()));
        }
        Ok(Self {
            total,
            interfaces: f[4],
            value: f[5],
            string: f[6],
            attributes: f[7],
            power: f[8],
        })
    }

    /// Whether the device has a supply of its own (`bmAttributes` bit 6).
    #[must_use]
    pub const fn self_powered(&self) -> bool {
        self.attributes & 0x40 != 0
    }

    /// Whether the device can wake its host (`bmAttributes` bit 5).
    #[must_use]
    pub const fn remote_wakeup(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

/// One alternate setting of an interface.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The nine bytes as they came, which is what QMI's response carries.
    pub wire: [u8; 9],
}

impl Interface {
    /// Bytes of an interface descriptor.
    pub const LENGTH: usize = 9;

    /// Reads an interface descriptor.
    ///
    /// # Errors
    /// [`Rule::WrongType`] or [`Rule::TooShort`].
    pub fn parse(raw: &Raw<'_>) -> Result<Self, Issue> {
        let wire = *raw.fields::<{ Self::LENGTH }>(kind::INTERFACE)?;
        Ok(Self { wire })
    }

    /// `bInterfaceNumber`.
    #[must_use]
    pub const fn number(&self) -> InterfaceNumber {
        InterfaceNumber(self.wire[2])
    }

    /// `bAlternateSetting`.
    #[must_use]
    pub const fn alternate(&self) -> AlternateNumber {
        AlternateNumber(self.wire[3])
    }

    /// `bNumEndpoints`, a claim.
    #[must_use]
    pub const fn endpoints(&self) -> u8 {
        self.wire[4]
    }

    /// `bInterfaceClass`.
    #[must_use]
    pub const fn class(&self) -> u8 {
        self.wire[5]
    }

    /// `bInterfaceSubClass`.
    #[must_use]
    pub const fn subclass(&self) -> u8 {
        self.wire[6]
    }

    /// `bInterfaceProtocol`.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.wire[7]
    }

    /// `iInterface`; 0 is none.
    #[must_use]
    pub const fn string(&self) -> u8 {
        self.wire[8]
    }
}

/// Which interfaces form one function.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Association {
    /// `bFirstInterface`.
    pub first: InterfaceNumber,
    /// `bInterfaceCount`.
    pub count: u8,
    /// `bFunctionClass`.
    pub class: u8,
    /// `bFunctionSubClass`.
    pub subclass: u8,
    /// `bFunctionProtocol`.
    pub protocol: u8,
}

impl Association {
    /// Reads an interface association descriptor.
    ///
    /// # Errors
    /// [`Rule::WrongType`] or [`Rule::TooShort`].
    pub fn parse(raw: &Raw<'_>) -> Result<Self, Issue> {
        let f: &[u8; 8] = raw.fields(kind::ASSOCIATION)?;
        Ok(Self {
            first: InterfaceNumber(f[2]),
            count: f[3],
            class: f[4],
            subclass: f[5],
            protocol: f[6],
        })
    }

    /// Whether `interface` belongs to this function.
    #[must_use]
    pub const fn contains(&self, interface: InterfaceNumber) -> bool {
        interface.0 >= self.first.0 && interface.0 - self.first.0 < self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The descriptor of QEMU's usb-audio: bcdUSB 0x0100 is no reason to refuse.
    const QEMU: [u8; 18] = [
        0x12, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x40, 0xf4, 0x46, 0x02, 0x00, 0x00, 0x00, 0x01,
        0x02, 0x03, 0x01,
    ];

    #[test]
    fn a_device_descriptor_of_usb_1_0_is_read() {
        let device = Device::parse(&QEMU).unwrap();
        assert_eq!((device.usb, device.vendor, device.product), (0x0100, 0x46f4, 2));
        assert_eq!((device.strings, device.configurations), ([1, 2, 3], 1));
        assert_eq!(Device::control_packet(&QEMU[..8], Speed::Full), Ok(64));
    }

    #[test]
    fn packet_size_0_must_be_one_the_speed_allows() {
        let mut bytes = QEMU;
        for (speed, size, expect) in [
            (Speed::Low, 8, Some(8)),
            (Speed::Low, 64, None),
            (Speed::Full, 24, None),
            (Speed::Full, 16, Some(16)),
            (Speed::High, 32, None),
            (Speed::Super, 9, Some(512)),
            (Speed::Super, 64, None),
            (Speed::SuperPlus, 9, Some(512)),
            (Speed::Full, 0, None),
        ] {
            bytes[7] = size;
            assert_eq!(Device::control_packet(&bytes, speed).ok(), expect, "{speed:?} {size}");
        }
        assert_eq!(
            Device::control_packet(&QEMU[..7], Speed::Full).unwrap_err().rule,
            Rule::TooShort
        );
    }

    #[test]
    fn a_total_length_below_nine_is_refused() {
        let bytes = [9, 2, 8, 0, 1, 1, 0, 0x80, 50];
        assert_eq!(Header::parse(&bytes).unwrap_err().rule, Rule::TotalLengthHeader);
    }

    #[test]
    fn an_association_does_not_wrap_around() {
        let association =
            Association { first: InterfaceNumber(250), count: 20, ..Default::default() };
        assert!(association.contains(InterfaceNumber(255)));
        assert!(!association.contains(InterfaceNumber(3)));
    }
}
