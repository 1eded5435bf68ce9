//! Somebody else on the DSP, who sends the broker what nobody may be granted.
//!
//! The project's program runs as always. Between its calls, datagrams go out from a
//! port that is not its own: requests that are malformed, that name what is not
//! there, or that are about another's stream. However they are answered, and
//! whether they are: nothing may be granted, nobody may die of it, and the
//! program gets what it asks for, although its own requests come twice.

use crate::answers;
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, MAIL_IN, MAIL_OUT};
use program::core::{Core, Simulated};
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node, Port};
use qmi::{Event, Header, Status, StreamIndication, StreamRequest, StreamResponse, Token, Txn};
use rng::Rng;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Where the stranger sends from.
const HERE: Address = Address { node: Node(DSP_NODE), port: Port(0x55) };
/// Datagrams in a run.
const DATAGRAMS: u32 = 24;
/// Nanoseconds between two of them, at most.
const PAUSE: u32 = 12_000_000;
/// Bytes of a TLV's type and length, and where in a header its length stands.
const TLV: usize = 3;
const LENGTH: usize = 5;

/// What a stranger asks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ask {
    /// For a card of which the lower eight bits exist (D-1).
    Card256,
    /// Another message of the service (D-2).
    OtherMessage,
    /// A request that ends too early (D-22).
    CutShort,
    /// A field that is shorter than it must be (D-22).
    ShortField,
    /// A field twice (D-22).
    FieldTwice,
    /// A header that promises more than there is (D-22).
    LongHeader,
    /// A format that is none: an invalid request (D-11).
    NoFormat,
    /// For a service interval that no alternate of the headset has (D-8).
    ShortInterval,
    /// That another's stream ends.
    ForeignDisable,
}

const ASKS: [Ask; 9] = [
    Ask::Card256,
    Ask::OtherMessage,
    Ask::CutShort,
    Ask::ShortField,
    Ask::FieldTwice,
    Ask::LongHeader,
    Ask::NoFormat,
    Ask::ShortInterval,
    Ask::ForeignDisable,
];

impl Ask {
    /// The datagram.
    fn bytes(self, txn: Txn, rng: &mut Rng) -> Vec<u8> {
        let request = StreamRequest {
            enable: u8::from(self != Self::ForeignDisable),
            usb_token: Token::new(if self == Self::Card256 { 0x100 } else { 0 }, 0, 0),
            audio_format: Some(if self == Self::NoFormat { 999 } else { 2 }),
            number_of_ch: Some(2),
            bit_rate: Some(48_000),
            xfer_buff_size: Some(0),
            // A microframe; the headsets have alternates of a frame.
            service_interval: (self == Self::ShortInterval).then_some(125),
        };
        let mut bytes = vec![0; qmi::MAX_DATAGRAM];
        let len = request.encode(txn, &mut bytes).expect("a request is short");
        bytes.truncate(len);
        // The last field: a word.
        let field = len - TLV - 4;
        match self {
            Self::Card256 | Self::NoFormat | Self::ShortInterval | Self::ForeignDisable => {}
            Self::OtherMessage => bytes[3] = bytes[3].wrapping_add(1 + rng.below(4) as u8),
            // Within the last field.
            Self::CutShort => bytes.truncate(len - 1 - rng.below(3) as usize),
            Self::ShortField => {
                bytes.truncate(len - 2);
                bytes[field + 1] = 2;
            }
            Self::FieldTwice => bytes.extend_from_within(field..),
            Self::LongHeader => {}
        }
        let payload = bytes.len() - Header::LEN + if self == Self::LongHeader { 9 } else { 0 };
        bytes[LENGTH..][..2].copy_from_slice(&(payload as u16).to_le_bytes());
        bytes
    }
}

/// What a stranger remembers over the program's lives.
#[derive(Debug)]
struct Memory {
    rng: RefCell<Rng>,
    service: Cell<Option<Address>>,
    /// What was asked, by transaction.
    asked: RefCell<Vec<Ask>>,
    next: Cell<u64>,
    granted: Cell<Option<Ask>>,
    /// Whether it asks at all, or only listens.
    asks: bool,
    disconnects: Cell<u32>,
    /// What was wrong with the first answer that was not as it should be.
    wrong: RefCell<Option<String>>,
}

/// The stranger. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Stranger(Rc<Memory>);

impl Stranger {
    /// One that `asks`, or only listens to what the program is told.
    pub(crate) fn new(seed: u64, asks: bool) -> Self {
        Self(Rc::new(Memory {
            rng: RefCell::new(Rng::new(seed ^ 0x57A6)),
            service: Cell::new(None),
            asked: RefCell::default(),
            next: Cell::new(0),
            granted: Cell::new(None),
            asks,
            disconnects: Cell::new(0),
            wrong: RefCell::default(),
        }))
    }

    /// What it was granted, in words.
    pub(crate) fn granted(&self) -> Option<String> {
        self.0.granted.get().map(|ask| format!("{ask:?}"))
    }

    /// How often the program was told that a device goes.
    pub(crate) fn disconnects(&self) -> u32 {
        self.0.disconnects.get()
    }

    /// What was wrong with an answer to whomever.
    pub(crate) fn wrong_answer(&self) -> Option<String> {
        self.0.wrong.take()
    }

    /// Has a datagram go out if it is time, and says when the next one is due.
    fn ask(&self) -> u64 {
        let memory = &self.0;
        let (Some(to), count) = (memory.service.get(), memory.asked.borrow().len() as u32) else {
            return u64::MAX;
        };
        if count == DATAGRAMS || !memory.asks {
            return u64::MAX;
        }
        let [_, low, high, _] = Simulated.call(Call::Now, [0; 5]);
        let now = u64::from(low) | u64::from(high) << 32;
        if now < memory.next.get() {
            return memory.next.get();
        }
        // The program may end in any call, and what it had borrowed stays so.
        let (ask, payload, pause) = {
            let mut rng = memory.rng.borrow_mut();
            let ask = ASKS[rng.below(ASKS.len() as u32) as usize];
            let payload = ask.bytes(Txn(1 + count as u16), &mut rng);
            (ask, payload, rng.below(PAUSE))
        };
        let mut bytes = [0; DATAGRAM];
        let frame = Frame { kind: FrameKind::Data, from: HERE, to, confirm: false };
        let len = frame.encode(&payload, &mut bytes).expect("a request is short");
        Simulated.write(MAIL_OUT, &bytes[..len]);
        // A mailbox without room loses it.
        Simulated.call(Call::MailSend, [len as u32, 0, 0, 0, 0]);
        memory.asked.borrow_mut().push(ask);
        memory.next.set(now + 1 + u64::from(pause));
        memory.next.get()
    }

    /// Has what the program asked of the broker come twice, now and then: whoever
    /// does not hear an answer asks again.
    fn repeat(&self, len: u32) {
        let mut bytes = [0; DATAGRAM];
        let bytes = &mut bytes[..(len as usize).min(DATAGRAM)];
        Simulated.read(MAIL_OUT, bytes);
        let to = Frame::decode(bytes).ok().map(|(frame, _)| frame.to);
        if self.0.asks
            && to.is_some()
            && to == self.0.service.get()
            && self.0.rng.borrow_mut().one_in(2)
        {
            Simulated.call(Call::MailSend, [len, 0, 0, 0, 0]);
        }
    }

    /// Looks at a datagram that came in.
    fn hear(&self, len: u32) {
        let mut bytes = [0; DATAGRAM];
        let bytes = &mut bytes[..(len as usize).min(DATAGRAM)];
        Simulated.read(MAIL_IN, bytes);
        let Ok((frame, payload)) = Frame::decode(bytes) else { return };
        match Control::decode(frame.kind, payload) {
            Ok(Control::NewServer(server)) if server.service == qmi::SERVICE => {
                self.0.service.set(Some(server.at));
            }
            Ok(Control::DelServer(server)) if self.0.service.get() == Some(server.at) => {
                self.0.service.set(None);
            }
            Ok(Control::Bye(node)) if node == Node(APP_NODE) => self.0.service.set(None),
            _ => {}
        }
        if let Ok((_, indication)) = StreamIndication::decode(payload)
            && indication.dev_event == Event::DISCONNECT
        {
            self.0.disconnects.set(self.0.disconnects.get() + 1);
        }
        let Ok((txn, response)) = StreamResponse::decode(payload) else { return };
        if let Some(wrong) = answers::wrong(&response) {
            self.0.wrong.borrow_mut().get_or_insert(wrong);
        }
        // What is granted later may follow from the first.
        let first = self.0.granted.get().is_none();
        if first && frame.to == HERE && response.status == Some(Status::SUCCESS) {
            let asked = self.0.asked.borrow();
            let ask = asked.get(usize::from(txn.0).wrapping_sub(1)).copied();
            self.0.granted.set(ask.or(Some(Ask::OtherMessage)));
        }
    }
}

impl Core for Stranger {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        if call == Call::Wait {
            let [low, high, ..] = arguments;
            let until = (u64::from(low) | u64::from(high) << 32).min(self.ask());
            return Simulated.call(call, [until as u32, (until >> 32) as u32, 0, 0, 0]);
        }
        let answer = Simulated.call(call, arguments);
        if call == Call::MailSend && answer[0] == 0 {
            self.repeat(arguments[0]);
        }
        if call == Call::MailReceive && answer[0] == 0 && answer[1] != 0 {
            self.hear(answer[1]);
        }
        answer
    }

    fn read(&self, at: addr::Peer, into: &mut [u8]) {
        Simulated.read(at, into);
    }

    fn write(&self, at: addr::Peer, from: &[u8]) {
        Simulated.write(at, from);
    }
}

#[cfg(test)]
mod tests {
    use super::{ASKS, Ask};
    use qmi::{StreamRequest, Txn};
    use rng::Rng;

    /// The strict decoder takes those whose mistake is what they ask for, and no
    /// other.
    #[test]
    fn what_is_malformed_is_no_request_and_the_rest_is_one() {
        let whole = [Ask::Card256, Ask::NoFormat, Ask::ShortInterval, Ask::ForeignDisable];
        for ask in ASKS {
            for seed in 0..50 {
                let bytes = ask.bytes(Txn(3), &mut Rng::new(seed));
                let decoded = StreamRequest::decode(&bytes);
                assert_eq!(decoded.is_ok(), whole.contains(&ask), "{ask:?}: {decoded:?}");
            }
        }
    }
}
