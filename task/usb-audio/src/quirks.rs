//! Devices that are not what their descriptors say.
//!
//! One row per device, with what it does and why the row is safe: a quirk may
//! bring a device to what every other one does, never beyond it.

/// What is odd about a device.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirk {
    /// The volume, in 1/256 dB, at which samples leave the device as they came.
    /// By the class that is 0 dB.
    pub(crate) unity: i16,
}

struct Row {
    vendor: u16,
    product: u16,
    quirk: Quirk,
}

const ROWS: &[Row] = &[
    // QEMU's usb-audio scales by the volume's place between its minimum and
    // its maximum, so only the maximum, which it calls +8 dB, is unity; at
    // 0 dB samples are multiplied by 240/255.
    Row { vendor: 0x46f4, product: 0x0002, quirk: Quirk { unity: 0x0800 } },
];

/// What is odd about the device with these ids; mostly nothing.
pub(crate) fn quirk(vendor: u16, product: u16) -> Quirk {
    let row = ROWS.iter().find(|row| row.vendor == vendor && row.product == product);
    row.map_or(Quirk::default(), |row| row.quirk)
}

#[cfg(test)]
mod tests {
    use super::quirk;

    #[test]
    fn zero_decibel_is_unity_for_all_but_qemus_device() {
        assert_eq!(quirk(0x46f4, 0x0002).unity, 0x0800);
        assert_eq!(quirk(0x46f4, 0x0003).unity, 0);
        assert_eq!(quirk(0x046d, 0x0a38).unity, 0);
    }
}
