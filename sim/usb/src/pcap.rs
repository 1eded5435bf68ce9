//! A capture file of the wire: pcap with link type 220 (usbmon, 64-byte header).
//!
//! The layout is the one documented for LINKTYPE_USB_LINUX_MMAPPED: a
//! submission and a completion per transfer, the data with whichever of the
//! two carries it (submission for OUT, completion for IN). An isochronous
//! packet is a pair of its own, with the frame it went out in as start frame
//! and, as in QEMU's captures, no descriptor table before its data.

use crate::bus::{Address, Endpoint, Microframe, Setup};
use fabric::Time;
use std::fmt;
use std::io::{self, Write};

/// Magic of a capture with microsecond stamps, written little-endian.
const MAGIC: u32 = 0xA1B2_C3D4;
/// LINKTYPE_USB_LINUX_MMAPPED.
const LINK_TYPE: u32 = 220;
const HEADER: usize = 64;
/// Longest record: a super-speed control transfer of 64 KiB.
const SNAP: u32 = 65_536 + HEADER as u32;

/// Kind of transfer, numbered as usbmon does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TransferKind {
    /// Isochronous.
    Isoch = 0,
    /// Interrupt.
    Interrupt = 1,
    /// Control.
    Control = 2,
}

/// Which way data flows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the device.
    Out,
    /// Towards the host.
    In,
}

/// How a transfer ended, as usbmon writes it (negative Linux error numbers).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Done = 0,
    /// Still on its way: what every submission says (EINPROGRESS).
    Pending = -115,
    /// STALL (EPIPE).
    Stall = -32,
    /// No handshake (EPROTO).
    Silent = -71,
    /// The device sent too much (EOVERFLOW).
    Babble = -75,
}

/// One transfer, or one isochronous packet.
pub(crate) struct Transfer<'a> {
    pub(crate) kind: TransferKind,
    pub(crate) device: Address,
    pub(crate) endpoint: Endpoint,
    pub(crate) setup: Option<Setup>,
    pub(crate) started: Time,
    pub(crate) ended: Time,
    pub(crate) asked: u32,
    pub(crate) data: &'a [u8],
    pub(crate) status: Status,
    pub(crate) frame: Option<Microframe>,
}

/// A capture being written.
pub struct Pcap {
    sink: Box<dyn Write>,
    bus: u8,
    sequence: u64,
    failed: Option<io::Error>,
}

impl fmt::Debug for Pcap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pcap").field("transfers", &self.sequence).finish_non_exhaustive()
    }
}

impl Pcap {
    /// Starts a capture of bus number `bus` in `sink`, which should be buffered.
    ///
    /// # Errors
    /// The sink refused the file header.
    pub fn new(mut sink: Box<dyn Write>, bus: u8) -> io::Result<Self> {
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&SNAP.to_le_bytes());
        header[20..24].copy_from_slice(&LINK_TYPE.to_le_bytes());
        sink.write_all(&header)?;
        Ok(Self { sink, bus, sequence: 0, failed: None })
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// The first error that the sink reported.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.sink.flush(),
        }
    }

    pub(crate) fn transfer(&mut self, transfer: &Transfer<'_>) {
        self.sequence += 1;
        let outward = !is_in(transfer);
        let (first, second) =
            if outward { (transfer.data, &[][..]) } else { (&[][..], transfer.data) };
        let result = self
            .record(transfer, b'S', transfer.started, first, Status::Pending)
            .and_then(|()| self.record(transfer, b'C', transfer.ended, second, transfer.status));
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    fn record(
        &mut self,
        transfer: &Transfer<'_>,
        event: u8,
        at: Time,
        data: &[u8],
        status: Status,
    ) -> io::Result<()> {
        let submission = event == b'S';
        let mut out = [0; 16 + HEADER];
        let (seconds, micros) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1_000);
        let length = (HEADER + data.len()) as u32;
        out[0..4].copy_from_slice(&(seconds as u32).to_le_bytes());
        out[4..8].copy_from_slice(&(micros as u32).to_le_bytes());
        out[8..12].copy_from_slice(&length.to_le_bytes());
        out[12..16].copy_from_slice(&length.to_le_bytes());

        let header = &mut out[16..];
        header[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        header[8] = event;
        header[9] = transfer.kind as u8;
        header[10] = transfer.endpoint.number() | if is_in(transfer) { 0x80 } else { 0 };
        header[11] = transfer.device.0;
        header[12..14].copy_from_slice(&u16::from(self.bus).to_le_bytes());
        // The flags are 0 when present, else say why not.
        header[14] = if submission && transfer.setup.is_some() { 0 } else { b'-' };
        header[15] = match (data.is_empty(), is_in(transfer)) {
            (false, _) => 0,
            (true, true) => b'<',
            (true, false) => b'>',
        };
        header[16..24].copy_from_slice(&seconds.to_le_bytes());
        header[24..28].copy_from_slice(&(micros as u32).to_le_bytes());
        header[28..32].copy_from_slice(&(status as i32).to_le_bytes());
        let urb = if submission { transfer.asked } else { transfer.data.len() as u32 };
        header[32..36].copy_from_slice(&urb.to_le_bytes());
        header[36..40].copy_from_slice(&(data.len() as u32).to_le_bytes());
        if let (true, Some(setup)) = (submission, transfer.setup) {
            header[40..48].copy_from_slice(&setup.to_bytes());
        }
        if let Some(frame) = transfer.frame {
            header[48..52].copy_from_slice(&1u32.to_le_bytes());
            header[52..56].copy_from_slice(&(frame.frame() as u32).to_le_bytes());
        }
        self.sink.write_all(&out)?;
        self.sink.write_all(data)
    }
}

fn is_in(transfer: &Transfer<'_>) -> bool {
    match transfer.setup {
        Some(setup) => setup.is_in(),
        None => transfer.endpoint.is_in(),
    }
}
