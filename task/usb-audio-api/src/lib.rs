//! Client side of the audio class.
//!
//! Cards are numbered 0 to 31 as the QMI token numbers them; a card's streams
//! are its pcm indices. An open stream is a lease: whoever holds the
//! [`StreamHandle`] may drive it, on the host path through `write`, or by
//! handing what `describe` tells to a peer.

#![no_std]

use idol_derive::{Count, IdolError};
use packed::Packed;
use usb_core_api::DeviceHandle;
use usb_types::{Direction, EndpointAddress, Speed};

handles::handle! {
    /// An open stream.
    pub struct StreamHandle
}

handles::handle! {
    /// An operation of `usb_audio` under way.
    pub struct TicketHandle
}

/// Cards at most (the QMI token's upstream limit).
pub const MAX_CARDS: u8 = 32;

/// A stream of a card, open or not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Packed)]
pub struct StreamId {
    /// Card number.
    pub card: u8,
    /// pcm index.
    pub pcm: u8,
    /// Playback is OUT, capture IN.
    pub direction: Direction,
}

/// How samples look in memory: the codes of QMI's audio_format (upstream.md 3.4).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Packed)]
#[repr(u8)]
pub enum SampleFormat {
    /// Signed 8 bits.
    S8 = 0,
    /// Unsigned 8 bits.
    U8 = 1,
    /// Signed 16 bits, little-endian; the names below read alike.
    S16Le = 2,
    /// Big-endian.
    S16Be = 3,
    /// Unsigned.
    U16Le = 4,
    /// Unsigned, big-endian.
    U16Be = 5,
    /// 24 bits in four bytes: no USB device has this (its four bytes are S32Le).
    S24Le = 6,
    /// 24 bits in four bytes.
    S24Be = 7,
    /// 24 bits in four bytes.
    U24Le = 8,
    /// 24 bits in four bytes.
    U24Be = 9,
    /// 24 bits in three bytes.
    S24In3Le = 10,
    /// 24 bits in three bytes.
    S24In3Be = 11,
    /// 24 bits in three bytes.
    U24In3Le = 12,
    /// 24 bits in three bytes.
    U24In3Be = 13,
    /// 32 bits.
    S32Le = 14,
    /// 32 bits.
    S32Be = 15,
    /// 32 bits.
    U32Le = 16,
    /// 32 bits.
    U32Be = 17,
}

/// What a stream shall carry.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct StreamFormat {
    /// How samples look.
    pub sample: SampleFormat,
    /// Samples per frame.
    pub channels: u8,
    /// Frames per second.
    pub rate: u32,
    /// Service interval wanted, in microseconds; `None` takes the device's.
    pub interval_us: Option<u32>,
}

/// Who drives a stream's endpoints.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Drive {
    /// `usb_audio`, from what is written to it.
    Host,
    /// A peer, through a sideband that the opener sets up.
    Peer,
}

/// What is known of a card.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct CardInfo {
    /// Its device.
    pub device: DeviceHandle,
    /// Controller number in the image.
    pub controller: u8,
    /// The slot's number as the controller knows it.
    pub slot_number: u8,
    /// Playback streams: pcm indices from 0.
    pub playback: u8,
    /// Capture streams.
    pub capture: u8,
    /// False once the device is gone.
    pub present: bool,
}

/// What a peer must know of an open stream (QMI TLVs 0x14 to 0x19, 0x1C).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct StreamDescription {
    /// Its device.
    pub device: DeviceHandle,
    /// How fast the device talks.
    pub speed: Speed,
    /// The alternate setting's interface descriptor.
    pub interface: [u8; 9],
    /// The data endpoint's descriptor, with the values in force (A16).
    pub data_endpoint: [u8; 9],
    /// The sync endpoint's.
    pub sync_endpoint: Option<[u8; 9]>,
    /// The data endpoint's address.
    pub data_address: EndpointAddress,
    /// The sync endpoint's address.
    pub sync_address: Option<EndpointAddress>,
    /// Audio specification revision, BCD (0x0100).
    pub revision: u16,
    /// bDelay, UAC1 only.
    pub delay: Option<u8>,
    /// Bytes per sample on the wire.
    pub subslot: u8,
    /// Service interval in microseconds.
    pub interval_us: u32,
    /// Most bytes in one packet.
    pub max_packet: u16,
    /// How long sound stays in the device after the last packet, in milliseconds;
    /// 0 for a capture stream.
    pub tail_ms: u16,
}

/// How an operation ended well.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Completed {
    /// Nothing more to say.
    Done,
    /// The stream that was opened.
    Stream(StreamHandle),
    /// Drained.
    Played {
        /// Frames that went out.
        frames: u32,
        /// Times that the pipe ran dry before its end.
        underruns: u32,
    },
}

/// [`UsbAudioEvent`]; that is its name where a debugger looks for it alone.
pub type Event = UsbAudioEvent;

/// News from `usb_audio`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum UsbAudioEvent {
    /// No more news.
    None,
    /// A card is ready.
    CardAdded {
        /// Its number.
        card: u8,
    },
    /// A card's device is gone.
    CardRemoved {
        /// Its number, not given out again before `forget_card`.
        card: u8,
    },
    /// A ticket of the caller's is ready for `result`.
    TicketDone(TicketHandle),
    /// An open host-path stream has room.
    Room(StreamHandle),
}

/// [`UsbAudioStatus`]; that is its name where a debugger looks for it alone.
pub type Status = UsbAudioStatus;

/// What `usb_audio` holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct UsbAudioStatus {
    /// Card numbers in use, vanished ones included.
    pub cards: u8,
    /// Open streams.
    pub open: u8,
}

/// Why `usb_audio` refuses, or how an operation failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
pub enum UsbAudioError {
    /// The operation is under way: wait for the hint.
    NotYet = 1,
    /// The handle is of an earlier life of `usb_audio`: start over.
    StaleServer,
    /// What the handle named is gone: drop it.
    Stale,
    /// The handle is another task's: a defect of the caller.
    NotOwner,
    /// The operation is not for the caller: a defect of the caller.
    NotAllowed,
    /// The caller has too many operations under way: end some.
    NoTickets,
    /// No card of that number.
    NoCard,
    /// The card's device is there: only a vanished one can be forgotten.
    CardPresent,
    /// The card's device is gone.
    DeviceGone,
    /// No stream of that index and direction.
    NoStream,
    /// The stream is open.
    StreamBusy,
    /// All open streams of the image are in use.
    NoStreams,
    /// No alternate has the sample format.
    NoFormat,
    /// No alternate has the number of channels.
    NoChannels,
    /// No alternate has the rate.
    NoRate,
    /// The rate's frames do not fit into the packets of any alternate.
    RateExceedsPacket,
    /// The service interval is none of the device's (B9).
    BadInterval,
    /// Only peers record: there is no capture on the host path.
    CaptureUnsupported,
    /// The stream needs a kind of synchronisation that is not there yet.
    SyncUnsupported,
    /// The stream is driven by the other side.
    WrongDrive,
    /// The lease holds a broken frame.
    PartialFrame,
    /// The device has no such control.
    NoControl,
    /// The device refused a request.
    ControlFailed,
    /// Not enough bandwidth.
    Bandwidth,
    /// `usb_core` or the controller had no resources for the endpoint.
    NoResources,
    /// The device is suspended.
    Suspended,
    /// The device is being reset: try when its next card is told.
    Resetting,
    /// Somebody takes an interface of the device: let go of its streams.
    InterfaceTaken,
    /// An operation did not end in time.
    TimedOut,
    /// `usb_core` died on the way.
    CoreDied,
    /// `usb_audio` died during the call; every handle is void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
