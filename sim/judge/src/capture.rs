//! Reading a capture of a USB wire: pcap with link type 220.
//!
//! Each record has the 64 bytes of LINKTYPE_USB_LINUX_MMAPPED and then data: a
//! submission and a completion for every transfer, as the simulator writes them
//! and as QEMU does. How much data there is is taken from the record's own
//! length, since QEMU's header counts itself among the data.

use std::fmt;

/// Magic of a capture with microsecond stamps, little-endian.
const MAGIC: u32 = 0xA1B2_C3D4;
/// LINKTYPE_USB_LINUX_MMAPPED.
const LINK_TYPE: u32 = 220;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Of a record's data.
const USB_HEADER: usize = 64;
/// An isochronous transfer, as usbmon numbers them.
const ISOCHRONOUS: u8 = 0;
/// Direction bit of an endpoint's address: to the host.
const IN: u8 = 0x80;

/// Why a file is no capture of a USB wire.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// No pcap file with microsecond stamps, little-endian.
    NotPcap,
    /// A capture of something else: its link type.
    LinkType(u32),
    /// The file ends within the record at this byte.
    Truncated(usize),
    /// The record at this byte is too short for its header, or says what it
    /// is in no letter that there is.
    BadRecord(usize),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPcap => f.write_str("not a capture (pcap, microseconds, little-endian)"),
            Self::LinkType(other) => {
                write!(f, "a capture of link type {other}; a USB wire has {LINK_TYPE}")
            }
            Self::Truncated(at) => write!(f, "the capture ends within the record at byte {at}"),
            Self::BadRecord(at) => write!(f, "the record at byte {at} makes no sense"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// What a record tells of its transfer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It began.
    Submitted,
    /// It ended; a negative number is a Linux error.
    Ended(i32),
}

/// One record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Record<'c> {
    /// What it tells.
    pub moment: Moment,
    /// Kind of transfer, as usbmon numbers them.
    kind: u8,
    /// Address of the endpoint, with its direction bit.
    pub endpoint: u8,
    /// The setup packet of a control transfer that begins.
    pub setup: Option<[u8; 8]>,
    /// What was sent, or arrived.
    pub data: &'c [u8],
}

impl Record<'_> {
    /// Whether it is about an isochronous packet to the device.
    #[must_use]
    pub const fn is_isochronous_out(&self) -> bool {
        self.kind == ISOCHRONOUS && self.endpoint & IN == 0
    }
}

/// Reads all records of a capture.
///
/// # Errors
/// See [`CaptureError`]; nothing half-read is returned.
pub fn read(file: &[u8]) -> Result<Vec<Record<'_>>, CaptureError> {
    if word(file, 0) != Some(MAGIC) || file.len() < FILE_HEADER {
        return Err(CaptureError::NotPcap);
    }
    match word(file, 20) {
        Some(LINK_TYPE) => {}
        other => return Err(CaptureError::LinkType(other.unwrap_or_default())),
    }
    let mut records = Vec::new();
    let mut at = FILE_HEADER;
    while at < file.len() {
        let whole = word(file, at + 8).and_then(|length| {
            let start = at + RECORD_HEADER;
            file.get(start..start.checked_add(length as usize)?)
        });
        let bytes = whole.ok_or(CaptureError::Truncated(at))?;
        records.push(record(bytes).ok_or(CaptureError::BadRecord(at))?);
        at += RECORD_HEADER + bytes.len();
    }
    Ok(records)
}

/// A record's header and data.
fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let (header, data) = bytes.split_at_checked(USB_HEADER)?;
    let moment = match header[8] {
        b'S' => Moment::Submitted,
        b'C' | b'E' => Moment::Ended(word(header, 28)? as i32),
        _ => return None,
    };
    // The flag is 0 when there is one, else it says why not.
    let setup = (header[14] == 0).then(|| header[40..48].try_into().ok()).flatten();
    Some(Record { moment, kind: header[9], endpoint: header[10], setup, data })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{CaptureError, FILE_HEADER, LINK_TYPE, MAGIC, Moment, read};
    use proptest::prelude::*;

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let mut file = MAGIC.to_le_bytes().to_vec();
        file.resize(20, 0);
        file.extend(LINK_TYPE.to_le_bytes());
        for record in records {
            file.extend([0; 8]);
            file.extend([record.len() as u32; 2].iter().flat_map(|len| len.to_le_bytes()));
            file.extend(record);
        }
        file
    }

    /// As QEMU writes one: the header counts itself among the data.
    fn record(letter: u8, kind: u8, endpoint: u8, status: i32, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0; 64];
        record[8..11].copy_from_slice(&[letter, kind, endpoint]);
        record[14] = b'-';
        record[28..32].copy_from_slice(&status.to_le_bytes());
        record[32..36].copy_from_slice(&(data.len() as u32).to_le_bytes());
        record[36..40].copy_from_slice(&(data.len() as u32 + 64).to_le_bytes());
        record.extend(data);
        record
    }

    #[test]
    fn packets_come_with_their_data_and_their_ends() {
        let mut setup = record(b'S', 2, 0, 0, &[]);
        setup[14] = 0;
        setup[40..48].copy_from_slice(&[0, 9, 1, 0, 0, 0, 0, 0]);
        let file = file(&[setup, record(b'S', 0, 1, 0, &[1, 2, 3]), record(b'C', 0, 1, -32, &[])]);
        let records = read(&file).expect("it is a capture");
        assert_eq!(records[0].setup, Some([0, 9, 1, 0, 0, 0, 0, 0]));
        assert!(!records[0].is_isochronous_out());
        assert_eq!((records[1].data, records[1].setup), (&[1, 2, 3][..], None));
        assert!(records[1].is_isochronous_out());
        assert_eq!(records[2].moment, Moment::Ended(-32));
        assert!(!read(&file[..FILE_HEADER]).expect("an empty one").iter().any(|_| true));
    }

    #[test]
    fn a_file_cut_within_a_record_is_refused_with_the_place() {
        let whole = file(&[record(b'S', 0, 1, 0, &[7; 192]), record(b'C', 0, 1, 0, &[])]);
        for len in FILE_HEADER + 1..whole.len() {
            let cut = read(&whole[..len]);
            let second = FILE_HEADER + 16 + 64 + 192;
            let at = if len < second { FILE_HEADER } else { second };
            if len == second {
                assert_eq!(cut.map(|records| records.len()), Ok(1));
            } else {
                assert_eq!(cut, Err(CaptureError::Truncated(at)), "{len} bytes");
            }
        }
    }

    #[test]
    fn what_is_no_capture_of_a_usb_wire_is_refused() {
        assert_eq!(read(b"RIFF, and long enough to be one"), Err(CaptureError::NotPcap));
        assert_eq!(read(&[]), Err(CaptureError::NotPcap));
        let mut ethernet = file(&[]);
        ethernet[20] = 1;
        assert_eq!(read(&ethernet), Err(CaptureError::LinkType(1)));
        let letter = file(&[record(b'X', 0, 1, 0, &[])]);
        assert_eq!(read(&letter), Err(CaptureError::BadRecord(FILE_HEADER)));
        assert_eq!(read(&file(&[vec![b'S'; 63]])), Err(CaptureError::BadRecord(FILE_HEADER)));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(tail: Vec<u8>) {
            let mut damaged = file(&[]);
            damaged.extend(tail);
            let _ = read(&damaged);
        }
    }
}
