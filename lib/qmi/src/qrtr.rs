//! QRTR frames, version 1: what carries QMI between processors.
//!
//! A frame is a header of eight little-endian words and a payload. Data goes
//! from a port of one node to a port of another; everything else is about
//! nodes and ports themselves and goes to the control port, most of it as a
//! control packet of five words: a command and the address it is about.

use crate::tlv::{Reader, Value, Writer};

/// The version of the header that is spoken here.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_LEN: usize = 32;
/// Bytes of a control packet; a shorter one is dropped (B15).
pub const CONTROL_LEN: usize = 20;
/// The port of a node's name service and router.
pub const CONTROL_PORT: Port = Port(0xFFFF_FFFE);
/// Every node.
pub const BROADCAST: Node = Node(0xFFFF_FFFF);

/// A processor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node(pub u32);

/// A socket on a processor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port(pub u32);

/// A socket on some processor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// Which processor.
    pub node: Node,
    /// Which socket.
    pub port: Port,
}

impl Address {
    /// The control port of `node`.
    #[must_use]
    pub const fn control(node: Node) -> Self {
        Self { node, port: CONTROL_PORT }
    }
}

/// What a frame is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Payload for a port.
    Data = 1,
    /// A node is there.
    Hello = 2,
    /// A node is about to be gone, with all its ports.
    Bye = 3,
    /// A service is there.
    NewServer = 4,
    /// A service is gone.
    DelServer = 5,
    /// A port is gone.
    DelClient = 6,
    /// The receiver of confirmed data is ready for more.
    ResumeTx = 7,
    /// Leave the network.
    Exit = 8,
    /// Are you there.
    Ping = 9,
    /// Tell me of such services, now and later.
    NewLookup = 10,
    /// No longer.
    DelLookup = 11,
}

impl TryFrom<u32> for FrameKind {
    type Error = FrameError;

    fn try_from(word: u32) -> Result<Self, FrameError> {
        Ok(match word {
            1 => Self::Data,
            2 => Self::Hello,
            3 => Self::Bye,
            4 => Self::NewServer,
            5 => Self::DelServer,
            6 => Self::DelClient,
            7 => Self::ResumeTx,
            8 => Self::Exit,
            9 => Self::Ping,
            10 => Self::NewLookup,
            11 => Self::DelLookup,
            other => return Err(FrameError::UnknownKind(other)),
        })
    }
}

/// Why bytes are not a frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Fewer bytes than a header has.
    HeaderTruncated {
        /// Bytes there were.
        have: usize,
    },
    /// Another version of the header.
    UnknownVersion(u32),
    /// A type that means nothing here.
    UnknownKind(u32),
    /// The size in the header is not that of what follows.
    Size {
        /// Bytes the header declares.
        declared: u32,
        /// Bytes that follow it.
        present: usize,
    },
    /// A control packet with fewer bytes than one has.
    ControlTruncated {
        /// Bytes there were.
        have: usize,
    },
    /// A control packet whose command is not the frame's type.
    CommandDiffers {
        /// The frame's type.
        kind: FrameKind,
        /// The packet's command.
        command: u32,
    },
    /// A data frame where a control packet was expected.
    NotControl,
    /// The buffer for the encoded frame is too small.
    BufferTooSmall {
        /// Bytes the frame takes.
        needed: usize,
        /// Bytes the buffer has.
        have: usize,
    },
}

/// The header of a frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What for.
    pub kind: FrameKind,
    /// From where.
    pub from: Address,
    /// Where to.
    pub to: Address,
    /// The sender waits for RESUME_TX before it sends more.
    pub confirm: bool,
}

impl Frame {
    /// Writes header and payload to the front of `buffer`; answers how many bytes.
    ///
    /// # Errors
    /// When `buffer` is too small.
    pub fn encode(&self, payload: &[u8], buffer: &mut [u8]) -> Result<usize, FrameError> {
        let needed = HEADER_LEN + payload.len();
        if buffer.len() < needed {
            return Err(FrameError::BufferTooSmall { needed, have: buffer.len() });
        }
        let mut out = Writer::new(buffer);
        for word in [
            VERSION,
            self.kind as u32,
            self.from.node.0,
            self.from.port.0,
            u32::from(self.confirm),
            // A payload that fits the buffer of a 32-bit machine.
            payload.len() as u32,
            self.to.node.0,
            self.to.port.0,
        ] {
            word.put(&mut out);
        }
        out.bytes(payload);
        Ok(needed)
    }

    /// Reads a whole frame; hands back its payload with the header.
    ///
    /// # Errors
    /// When it is not exactly one frame.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(FrameError::HeaderTruncated { have: bytes.len() });
        };
        let mut from = Reader::new(head);
        let [version, kind, from_node, from_port, confirm, size, to_node, to_port]: [u32; 8] =
            core::array::from_fn(|_| Value::take(&mut from));
        if version != VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        if size as usize != payload.len() {
            return Err(FrameError::Size { declared: size, present: payload.len() });
        }
        let frame = Self {
            kind: kind.try_into()?,
            from: Address { node: Node(from_node), port: Port(from_port) },
            to: Address { node: Node(to_node), port: Port(to_port) },
            confirm: confirm != 0,
        };
        Ok((frame, payload))
    }
}

/// A service, and the socket it is at.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Service id.
    pub service: u32,
    /// Version in the low byte, instance above.
    pub instance: u32,
    /// Where.
    pub at: Address,
}

/// What a control packet says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// A node is there.
    Hello,
    /// This node is about to be gone.
    Bye(Node),
    /// A service is there; all zeros ends a listing.
    NewServer(Server),
    /// A service is gone.
    DelServer(Server),
    /// A port is gone.
    DelClient(Address),
    /// This port takes data again.
    ResumeTx(Address),
    /// Leave the network.
    Exit,
    /// Are you there.
    Ping,
    /// Tell me of servers like this.
    NewLookup(Server),
    /// No longer.
    DelLookup(Server),
}

impl Control {
    /// The type of the frame that carries it.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        match self {
            Self::Hello => FrameKind::Hello,
            Self::Bye(_) => FrameKind::Bye,
            Self::NewServer(_) => FrameKind::NewServer,
            Self::DelServer(_) => FrameKind::DelServer,
            Self::DelClient(_) => FrameKind::DelClient,
            Self::ResumeTx(_) => FrameKind::ResumeTx,
            Self::Exit => FrameKind::Exit,
            Self::Ping => FrameKind::Ping,
            Self::NewLookup(_) => FrameKind::NewLookup,
            Self::DelLookup(_) => FrameKind::DelLookup,
        }
    }

    /// The packet.
    #[must_use]
    pub fn encode(&self) -> [u8; CONTROL_LEN] {
        let about = match *self {
            Self::Hello | Self::Exit | Self::Ping => [0; 4],
            Self::Bye(node) => [node.0, 0, 0, 0],
            Self::DelClient(at) | Self::ResumeTx(at) => [at.node.0, at.port.0, 0, 0],
            Self::NewServer(server)
            | Self::DelServer(server)
            | Self::NewLookup(server)
            | Self::DelLookup(server) => {
                [server.service, server.instance, server.at.node.0, server.at.port.0]
            }
        };
        let mut packet = [0; CONTROL_LEN];
        let mut out = Writer::new(&mut packet);
        (self.kind() as u32).put(&mut out);
        for word in about {
            word.put(&mut out);
        }
        packet
    }

    /// Reads the payload of a frame of type `kind`. What follows the packet is
    /// ignored, as later versions may say more there.
    ///
    /// # Errors
    /// When the payload is too short or its command is not the frame's.
    pub fn decode(kind: FrameKind, payload: &[u8]) -> Result<Self, FrameError> {
        let Some(packet) = payload.first_chunk::<CONTROL_LEN>() else {
            return Err(FrameError::ControlTruncated { have: payload.len() });
        };
        let mut from = Reader::new(packet);
        let [command, a, b, c, d]: [u32; 5] = core::array::from_fn(|_| Value::take(&mut from));
        if command != kind as u32 {
            return Err(FrameError::CommandDiffers { kind, command });
        }
        let client = Address { node: Node(a), port: Port(b) };
        let server =
            Server { service: a, instance: b, at: Address { node: Node(c), port: Port(d) } };
        Ok(match kind {
            FrameKind::Data => return Err(FrameError::NotControl),
            FrameKind::Hello => Self::Hello,
            FrameKind::Bye => Self::Bye(client.node),
            FrameKind::NewServer => Self::NewServer(server),
            FrameKind::DelServer => Self::DelServer(server),
            FrameKind::DelClient => Self::DelClient(client),
            FrameKind::ResumeTx => Self::ResumeTx(client),
            FrameKind::Exit => Self::Exit,
            FrameKind::Ping => Self::Ping,
            FrameKind::NewLookup => Self::NewLookup(server),
            FrameKind::DelLookup => Self::DelLookup(server),
        })
    }
}
