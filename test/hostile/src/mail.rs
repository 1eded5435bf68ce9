//! Datagrams: those that the monitor lets through, those that it must not, and
//! one that never was sent.

use crate::listen::Listening;
use crate::plan::Master;
use addr::Peer;
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, MAIL_IN, MAIL_OUT};
use dsp_abi::port;
use program::core::Core;
use qmi::Token;
use qmi::qrtr::{Address, CONTROL_PORT, Frame, FrameKind, Node, Port};
use zerocopy::IntoBytes;

/// The program's port of the port service.
const PORT_SERVICE: Port = Port(0x11);
/// Who is said to have sent the start: nobody listens there.
const NOBODY: Port = Port(0x7777);
/// What the forged start asks for: 48 kHz, stereo, 16 bits, in QMI's code, and
/// a transfer buffer of 96 ms.
const RATE: u32 = 48_000;
const CHANNELS: u32 = 2;
const S16: u32 = 2;
const BUFFER: u32 = 96 * 192;

/// Writes a frame to `at`; its length.
fn put(
    core: &impl Core,
    at: Peer,
    (from, to): (Address, Address),
    kind: FrameKind,
    payload: &[u8],
) -> u32 {
    let mut bytes = [0; DATAGRAM];
    let len = Frame { kind, from, to, confirm: false }
        .encode(payload, &mut bytes)
        .expect("the payload is short");
    core.write(at, &bytes[..len]);
    len as u32
}

const fn app(port: Port) -> Address {
    Address { node: Node(APP_NODE), port }
}

/// Puts a datagram from another node where datagrams are sent from; its length.
pub(crate) fn put_foreign(core: &impl Core, from: Address, to: Address) -> u32 {
    put(core, MAIL_OUT, (from, to), FrameKind::Data, &[0; 40])
}

/// Puts a start of the port service where datagrams are received, as if the
/// broker had sent it; its length.
pub(crate) fn forge_start(core: &impl Core, token: Token, frames: u32) -> u32 {
    let start = port::Message {
        kind: port::Kind::Start as u32,
        cookie: 1,
        token: token.0,
        rate: RATE,
        format: S16,
        channels: CHANNELS,
        frames,
        buffer_bytes: BUFFER,
        ..port::Message::default()
    };
    let to = Address { node: Node(DSP_NODE), port: PORT_SERVICE };
    put(core, MAIL_IN, (app(NOBODY), to), FrameKind::Data, start.as_bytes())
}

/// Sends a datagram that the monitor lets through: nonsense for the broker, for
/// the name service, for ports that nobody has.
pub(crate) fn send_any<M: Master>(core: &Listening<'_, M>) {
    let mut payload = [0; 220];
    let (len, kind, to, port) = {
        let mut rng = core.rng.borrow_mut();
        payload.iter_mut().for_each(|byte| *byte = rng.bits() as u8);
        let (kind, to) = match rng.below(4) {
            0 | 1 => (FrameKind::Data, core.broker().unwrap_or(app(Port(0x4000)))),
            2 => (FrameKind::Data, app(Port(rng.bits() as u32))),
            _ => {
                let kinds = [
                    FrameKind::NewServer,
                    FrameKind::DelServer,
                    FrameKind::DelClient,
                    FrameKind::ResumeTx,
                ];
                (kinds[rng.below(4) as usize], Address::control(Node(APP_NODE)))
            }
        };
        if kind == FrameKind::Data && rng.one_in(2) {
            // A request, as far as its header goes.
            payload[0] = 0;
            payload[3..5].copy_from_slice(&qmi::STREAM.to_le_bytes());
        }
        let control = kind != FrameKind::Data;
        let len = if control { 20 } else { rng.below(payload.len() as u32) as usize };
        if control {
            // The kind stands in the payload too.
            payload[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        }
        let port = if control { CONTROL_PORT } else { Port(rng.below(0x40)) };
        (len, kind, to, port)
    };
    let from = Address { node: Node(DSP_NODE), port };
    let len = put(core.master, MAIL_OUT, (from, to), kind, &payload[..len]);
    core.sent(core.master.raw([Call::MailSend as u32, len, 0, 0, 0, 0]));
}
