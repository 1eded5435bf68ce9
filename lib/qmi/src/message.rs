//! The three messages of the USB audio service.
//!
//! Their tables of TLVs, their parts, and the header in front. Service 0x41D,
//! version 1.

use addr::{Bus, Peer};
use serde::{Deserialize, Serialize};

use crate::tlv::{FIRST_OPTIONAL, Reader, TLV_HEADER, Tlvs, Value, Writer, fill, message, packed};
use crate::{DecodeError, EncodeError, STREAM};

/// A transaction: the requester's number, which the response repeats.
/// Indications carry 0.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Txn(pub u16);

/// What a message is; the header's first byte.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer asks.
    Request = 0,
    /// The service answers.
    Response = 2,
    /// The service tells unasked.
    Indication = 4,
}

impl TryFrom<u8> for Kind {
    type Error = DecodeError;

    fn try_from(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            0 => Ok(Self::Request),
            2 => Ok(Self::Response),
            4 => Ok(Self::Indication),
            other => Err(DecodeError::UnknownKind(other)),
        }
    }
}

/// The seven bytes in front of every payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Request, response or indication.
    pub kind: Kind,
    /// Which exchange.
    pub txn: Txn,
    /// Which message.
    pub id: u16,
    /// Bytes of payload.
    pub len: u16,
}

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 7;

    /// Reads the header and checks its length against the datagram; hands back
    /// the payload with it.
    ///
    /// # Errors
    /// When there is no header, its type is none, or its length is not what
    /// follows it (upstream never looks at that length, B14).
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let Some((head, payload)) = datagram.split_first_chunk::<{ Self::LEN }>() else {
            return Err(DecodeError::HeaderTruncated { have: datagram.len() });
        };
        let mut from = Reader::new(head);
        let header = Self {
            kind: u8::take(&mut from).try_into()?,
            txn: Txn(u16::take(&mut from)),
            id: u16::take(&mut from),
            len: u16::take(&mut from),
        };
        let (declared, present) = (usize::from(header.len), payload.len());
        if declared > present {
            return Err(DecodeError::LengthBeyondDatagram { declared, present });
        }
        if declared < present {
            return Err(DecodeError::BytesAfterPayload { declared, present });
        }
        Ok((header, payload))
    }

    fn put(&self, out: &mut Writer<'_>) {
        (self.kind as u8).put(out);
        self.txn.0.put(out);
        self.id.put(out);
        self.len.put(out);
    }
}

/// Which stream: the number the DSP was given with its port start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u32);

impl Token {
    /// The token of pcm device `pcm` of `card`, in a direction.
    #[must_use]
    pub const fn new(card: u16, pcm: u8, direction: u8) -> Self {
        Self((card as u32) << 16 | (pcm as u32) << 8 | direction as u32)
    }

    /// The card: all sixteen bits of it, as a narrower card aliases others (D-1).
    #[must_use]
    pub const fn card(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The pcm device of the card.
    #[must_use]
    pub const fn pcm(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// 0 plays, 1 records; anything else names nothing.
    #[must_use]
    pub const fn direction(self) -> u8 {
        self.0 as u8
    }
}

macro_rules! wraps {
    ($($name:ident => $inner:ty),*) => {$(
        impl Value for $name {
            const SIZE: usize = <$inner>::SIZE;
            fn put(&self, out: &mut Writer<'_>) {
                self.0.put(out);
            }
            fn take(from: &mut Reader<'_>) -> Self {
                Self(Value::take(from))
            }
        }
    )*};
}
wraps!(Token => u32, Status => i32, Speed => i32, Event => i32, Peer => u64, Bus => u64);

/// How an operation went, in the service's words. Signed on the wire.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub i32);

impl Status {
    /// It was done.
    pub const SUCCESS: Self = Self(0);
    /// It was not done.
    pub const FAILURE: Self = Self(1);
    /// No such device or stream.
    pub const NOT_FOUND: Self = Self(2);
    /// The request asks for what cannot be.
    pub const INVALID_PARAMETER: Self = Self(3);
    /// Memory or addresses ran out.
    pub const NO_MEMORY: Self = Self(4);
}

/// How fast the device is. Signed on the wire.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Speed(pub i32);

impl Speed {
    /// 1.5 Mbit/s.
    pub const LOW: Self = Self(1);
    /// 12 Mbit/s.
    pub const FULL: Self = Self(2);
    /// 480 Mbit/s.
    pub const HIGH: Self = Self(3);
    /// 5 Gbit/s.
    pub const SUPER: Self = Self(4);
    /// 10 Gbit/s and more.
    pub const SUPER_PLUS: Self = Self(5);
}

/// What happened to the device. Signed on the wire.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event(pub i32);

impl Event {
    /// It came.
    pub const CONNECT: Self = Self(0);
    /// It went, or its streams have to end.
    pub const DISCONNECT: Self = Self(1);
    /// It is about to be suspended.
    pub const SUSPEND: Self = Self(2);
    /// It was resumed.
    pub const RESUME: Self = Self(3);
}

packed! {
    /// Result and error of QMI itself.
    QmiResult {
        /// 0 when the message was understood.
        result: u16,
        /// Why it was not.
        error: u16,
    }
}

impl QmiResult {
    /// The message was understood.
    pub const OK: Self = Self { result: 0, error: 0 };
    /// The message is malformed.
    pub const MALFORMED: Self = Self { result: 1, error: 1 };
    /// The service has no such message.
    pub const NOT_SUPPORTED: Self = Self { result: 1, error: 94 };
}

packed! {
    /// A standard interface descriptor (USB 2.0, table 9-12), as the service carries it.
    InterfaceDescriptor {
        /// Its length, 9.
        #[serde(rename = "bLength")]
        length: u8,
        /// Its type, 4.
        #[serde(rename = "bDescriptorType")]
        descriptor_type: u8,
        /// Which interface.
        #[serde(rename = "bInterfaceNumber")]
        number: u8,
        /// Which alternate setting of it.
        #[serde(rename = "bAlternateSetting")]
        alternate: u8,
        /// Endpoints besides endpoint 0.
        #[serde(rename = "bNumEndpoints")]
        endpoints: u8,
        /// Class code.
        #[serde(rename = "bInterfaceClass")]
        class: u8,
        /// Subclass code.
        #[serde(rename = "bInterfaceSubClass")]
        subclass: u8,
        /// Protocol code.
        #[serde(rename = "bInterfaceProtocol")]
        protocol: u8,
        /// String descriptor that names it.
        #[serde(rename = "iInterface")]
        string: u8,
    }
}

packed! {
    /// An audio endpoint descriptor (UAC1, table 4-20): always nine bytes here;
    /// a device that has seven gives zero for the last two.
    EndpointDescriptor {
        /// Its length on the device, 7 or 9.
        #[serde(rename = "bLength")]
        length: u8,
        /// Its type, 5.
        #[serde(rename = "bDescriptorType")]
        descriptor_type: u8,
        /// Number, and bit 7 for IN.
        #[serde(rename = "bEndpointAddress")]
        address: u8,
        /// Transfer, synchronisation and usage type.
        #[serde(rename = "bmAttributes")]
        attributes: u8,
        /// Largest packet.
        #[serde(rename = "wMaxPacketSize")]
        max_packet: u16,
        /// Service interval as the device encodes it.
        #[serde(rename = "bInterval")]
        interval: u8,
        /// Feedback rate exponent.
        #[serde(rename = "bRefresh")]
        refresh: u8,
        /// The sync endpoint.
        #[serde(rename = "bSynchAddress")]
        sync_address: u8,
    }
}

packed! {
    /// One piece of memory, twice: as the DSP and as the controller address it.
    Region {
        /// Where the DSP finds it.
        iova: Peer,
        /// Where the controller finds it.
        dma: Bus,
        /// Its bytes.
        size: u32,
    }
}

packed! {
    /// The memory of a stream.
    MemoryInfo {
        /// The session's event ring.
        evt_ring: Region,
        /// The data endpoint's ring.
        tr_data: Region,
        /// The sync endpoint's ring; zeros when there is none.
        tr_sync: Region,
        /// The buffer the rings point into.
        xfer_buff: Region,
        /// Always zeros.
        dcba: Region,
    }
}

message! {
    /// STREAM request: the peer wants a stream enabled or disabled.
    StreamRequest {
        mandatory {
            /// 0 disables, anything else enables.
            0x01 enable: u8,
            /// Which stream.
            0x02 usb_token: Token,
        }
        optional {
            /// Sample format code.
            0x10 audio_format: u32,
            /// Channels.
            0x11 number_of_ch: u32,
            /// Sample rate in Hz, whatever the name says.
            0x12 bit_rate: u32,
            /// Wanted size of the transfer buffer, in bytes.
            0x13 xfer_buff_size: u32,
            /// Service interval in microseconds.
            0x14 service_interval: u32,
        }
    }
}

message! {
    /// STREAM response. After a refusal it holds what was known before the
    /// step that failed (B13).
    StreamResponse {
        mandatory {
            /// How QMI itself fared.
            0x02 resp: QmiResult,
        }
        optional {
            /// How the stream fared.
            0x10 status: Status,
            /// The same in the service's own code.
            0x11 internal_status: u32,
            /// The device's slot at its controller.
            0x12 slot_id: u32,
            /// The request's token.
            0x13 usb_token: Token,
            /// The active alternate of the streaming interface.
            0x14 std_as_opr_intf_desc: InterfaceDescriptor,
            /// Its data endpoint.
            0x15 std_as_data_ep_desc: EndpointDescriptor,
            /// Its sync endpoint, when there is one.
            0x16 std_as_sync_ep_desc: EndpointDescriptor,
            /// 0x0100 or 0x0200.
            0x17 usb_audio_spec_revision: u16,
            /// bDelay of a UAC1 device.
            0x18 data_path_delay: u8,
            /// Bytes per sample and channel.
            0x19 usb_audio_subslot_size: u8,
            /// The stream's memory.
            0x1A xhci_mem_info: MemoryInfo,
            /// What goes into the Interrupter Target field of every TRB.
            0x1B interrupter_num: u8,
            /// How fast the device is.
            0x1C speed_info: Speed,
            /// Which controller.
            0x1D controller_num: u8,
        }
    }
}

message! {
    /// STREAM indication: something happened to a device.
    StreamIndication {
        mandatory {
            /// What.
            0x01 dev_event: Event,
            /// To the device in this slot.
            0x02 slot_id: u32,
        }
        optional {
            /// The stream it is about.
            0x10 usb_token: Token,
            /// As in the response.
            0x11 std_as_opr_intf_desc: InterfaceDescriptor,
            /// As in the response.
            0x12 std_as_data_ep_desc: EndpointDescriptor,
            /// As in the response.
            0x13 std_as_sync_ep_desc: EndpointDescriptor,
            /// As in the response.
            0x14 usb_audio_spec_revision: u16,
            /// As in the response.
            0x15 data_path_delay: u8,
            /// As in the response.
            0x16 usb_audio_subslot_size: u8,
            /// As in the response.
            0x17 xhci_mem_info: MemoryInfo,
            /// As in the response.
            0x18 interrupter_num: u8,
            /// As in the response.
            0x19 controller_num: u8,
        }
    }
}

/// Gives a message its header.
macro_rules! framed {
    ($($name:ident is $kind:ident),*) => {$(
        impl $name {
            /// Writes header and payload to the front of `buffer`; answers how
            /// many bytes.
            ///
            /// # Errors
            /// When `buffer` is too small; nothing was written then.
            pub fn encode(&self, txn: Txn, buffer: &mut [u8]) -> Result<usize, EncodeError> {
                let len = self.payload_len();
                let needed = Header::LEN + len;
                if buffer.len() < needed {
                    return Err(EncodeError::BufferTooSmall { needed, have: buffer.len() });
                }
                let mut out = Writer::new(buffer);
                // The longest payload of the service has 202 bytes.
                Header { kind: Kind::$kind, txn, id: STREAM, len: len as u16 }.put(&mut out);
                self.put_payload(&mut out);
                Ok(needed)
            }

            /// Reads a whole datagram as this message.
            ///
            /// # Errors
            /// When it is anything but one well-formed message of this kind.
            pub fn decode(datagram: &[u8]) -> Result<(Txn, Self), DecodeError> {
                let (header, payload) = Header::decode(datagram)?;
                if header.kind != Kind::$kind {
                    return Err(DecodeError::WrongKind(header.kind as u8));
                }
                if header.id != STREAM {
                    return Err(DecodeError::UnknownMessage(header.id));
                }
                Ok((header.txn, Self::from_payload(payload)?))
            }
        }
    )*};
}
framed!(
    StreamRequest is Request,
    StreamResponse is Response,
    StreamIndication is Indication
);

/// Any message of the service.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The peer asks.
    Request(StreamRequest),
    /// The broker answers.
    Response(StreamResponse),
    /// The broker tells.
    Indication(StreamIndication),
}

impl Message {
    /// Reads a whole datagram as whatever its header says it is.
    ///
    /// # Errors
    /// When it is not one well-formed message of the service.
    pub fn decode(datagram: &[u8]) -> Result<(Txn, Self), DecodeError> {
        let (header, _) = Header::decode(datagram)?;
        Ok(match header.kind {
            Kind::Request => {
                let (txn, message) = StreamRequest::decode(datagram)?;
                (txn, Self::Request(message))
            }
            Kind::Response => {
                let (txn, message) = StreamResponse::decode(datagram)?;
                (txn, Self::Response(message))
            }
            Kind::Indication => {
                let (txn, message) = StreamIndication::decode(datagram)?;
                (txn, Self::Indication(message))
            }
        })
    }
}
