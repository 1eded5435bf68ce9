//! The life of one session, as the one function that decides it.
//!
//! No server, no peer, no clock: events in, and what becomes of the session, what
//! it needs and what is said out of it.

use addr::{Bus, Peer};
use dsp_link_api::Address;
use handles::{Handle, Raw};
use offload_broker::buffers::Pages;
use offload_broker::ops::{Op, Reply, Server};
use offload_broker::refusal::{Failure, Refusal};
use offload_broker::request::Wanted;
use offload_broker::session::{
    Event, Facts, Live, Next, RETRY_MS, Reserved, Say, SessionId, transition,
};
use offload_broker::teardown::ORDER;
use offload_broker::votes::Cast;
use offload_broker_api::SessionPhase;
use proptest::prelude::*;
use qmi::{StreamRequest, Token, Txn};
use usb_audio_api::{SampleFormat, StreamDescription, StreamFormat, StreamId};
use usb_core_api::{DeviceInfo, PowerState};
use usb_types::{Direction, EndpointAddress, Speed};
use xhci_api::{GateOpening, PlacedRing, Placement, XhciError};

const CLIENT: Address = Address { node: 5, port: 0x10 };
const PAGES: Pages = Pages { first: 3, count: 6 };
/// 128 ms of the stream fit its buffer, of which 100 are waited for, and 3 of tail.
const PLAYED_OUT: u64 = 103;
/// How long a peer is waited for.
const PATIENCE: u64 = 10_000;

fn handle<H: Handle>(index: u16) -> H {
    H::from_raw(Raw { index, seq: 1, epoch: 0 })
}

fn facts() -> Facts {
    let request = StreamRequest {
        enable: 1,
        usb_token: Token::new(1, 0, 0),
        audio_format: Some(2),
        number_of_ch: Some(2),
        bit_rate: Some(48_000),
        xfer_buff_size: Some(24_576),
        service_interval: None,
    };
    let device = DeviceInfo {
        controller: 0,
        slot: handle(1),
        slot_number: 1,
        port: 1,
        speed: Speed::Full,
        vendor: 1,
        product: 2,
        release: 3,
        configuration: 1,
        configuration_length: 100,
        power: PowerState::Active,
    };
    let format =
        StreamFormat { sample: SampleFormat::S16Le, channels: 2, rate: 48_000, interval_us: None };
    let stream = StreamId { card: 1, pcm: 0, direction: Direction::Out };
    let wanted = Wanted { stream, format, buffer_bytes: 24_576, device, handle: handle(1) };
    Facts { id: SessionId { place: 0, id: 1 }, client: CLIENT, txn: Txn(1), request, wanted }
}

/// What a server answers that does what it is asked.
fn reply(op: Op) -> Reply {
    let ring = |bus| PlacedRing { bus: Bus(bus), grant: handle(9) };
    match op {
        Op::Open(..) => Reply::Opened(handle(2)),
        Op::Describe(_) => Reply::Described(StreamDescription {
            device: handle(1),
            speed: Speed::Full,
            interface: [9, 4, 1, 1, 1, 1, 2, 0, 0],
            data_endpoint: [9, 5, 1, 9, 192, 0, 1, 0, 0],
            sync_endpoint: None,
            data_address: EndpointAddress(1),
            sync_address: None,
            revision: 0x100,
            delay: Some(1),
            subslot: 2,
            interval_us: 1000,
            max_packet: 192,
            tail_ms: 3,
        }),
        Op::Register(_) => Reply::Registered(handle(3)),
        Op::CreateInterrupter(_) => Reply::Interrupter(2),
        Op::OpenWindow { .. } => Reply::Window(handle(4)),
        Op::Place(..) => Reply::Placed(Placement {
            event: ring(0x1000),
            data: ring(0x2_2000),
            sync: None,
            gate: GateOpening { entry: 0, generation: 1 },
        }),
        Op::MapPeer(..) => Reply::Mapped(Peer(0x3000)),
        Op::PlaceBuffer(..) => Reply::BufferPlaced(Bus(0x42_2000)),
        Op::GrantBuffer(_) => Reply::BufferGranted(handle(5)),
        _ => Reply::Done,
    }
}

/// A session whose needs are met as long as they are the broker's own books.
struct Run {
    live: Option<Live>,
    now: u64,
    asked: Option<Op>,
    says: Vec<Say>,
    /// Votes cast and released, and everything that was asked.
    votes: (u32, u32),
    log: Vec<Op>,
}

impl Run {
    fn begin() -> Self {
        let live = Some(Live::new(Reserved::new(facts())));
        let mut run = Self { live, now: 0, asked: None, says: vec![], votes: (0, 0), log: vec![] };
        run.happen(Event::Begun);
        run
    }

    fn happen(&mut self, event: Event) {
        let mut event = event;
        while let Some(live) = self.live.take() {
            let waited = live.under_way.asked;
            let answered = matches!(event, Event::Answered(_));
            let mut turn = transition(live, self.now, event);
            while let Some(say) = turn.says.pop() {
                self.says.push(say);
            }
            self.live = turn.live;
            self.asked = self.live.as_ref().and_then(|live| live.under_way.asked);
            if !answered {
                assert!(waited.is_none() || self.asked == waited, "asked twice at a time");
            }
            event = match turn.next {
                None => return,
                Some(Next::Ask(op)) => {
                    assert_eq!(self.asked, Some(op));
                    return self.log.push(op);
                }
                Some(Next::Vote) => {
                    self.votes.0 += 1;
                    Event::Voted(Cast::AskHold)
                }
                Some(Next::Buffer(count)) => {
                    assert_eq!(count, PAGES.count);
                    Event::Buffer(Some(PAGES))
                }
                Some(Next::Unvote) => {
                    self.votes.1 += 1;
                    Event::Unvoted(Some(handle(1)))
                }
            };
        }
    }

    fn answer(&mut self) {
        let op = self.asked.expect("something is asked");
        self.happen(Event::Answered(Ok(reply(op))));
    }

    fn phase(&self) -> SessionPhase {
        self.live.as_ref().map_or(SessionPhase::Free, |live| live.session.phase())
    }

    /// Answers until `op` is asked.
    fn until(mut self, op: &str) -> Self {
        while name(self.asked) != op {
            self.answer();
        }
        self
    }

    fn fresh(mut self) -> Self {
        self.says.clear();
        self.log.clear();
        self
    }
}

/// The name of what is asked.
fn name(op: Option<Op>) -> String {
    let all = op.map_or(String::from("-"), |op| format!("{op:?}"));
    all.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or_default().to_owned()
}

fn words(say: &Say) -> String {
    match say {
        Say::Phase(phase) => format!("{phase:?}"),
        Say::Refuse(refused) => format!("refuse {:?}", refused.refusal),
        Say::Confirm(_, txn) => format!("confirm {}", txn.0),
        Say::RefuseDisable(_, txn) => format!("refuse disable {}", txn.0),
        other => format!("{other:?}").split('(').next().unwrap_or_default().to_lowercase(),
    }
}

fn let_go(txn: u16) -> Event {
    Event::LetGo { from: CLIENT, txn: Txn(txn), audible: true }
}

// ---- the states in which a session can be found ----

fn opening() -> Run {
    Run::begin().fresh()
}

fn arming() -> Run {
    Run::begin().until("Arm").fresh()
}

fn running() -> Run {
    let mut run = arming();
    run.answer();
    run.fresh()
}

fn revoked() -> Run {
    let mut run = running();
    run.happen(Event::Revoked { refusal: Refusal::Revoked, until: PATIENCE });
    run.fresh()
}

fn ending() -> Run {
    let mut run = running();
    run.happen(let_go(2));
    run.fresh()
}

fn sounding() -> Run {
    let mut run = ending();
    run.answer();
    run.fresh()
}

fn retrying() -> Run {
    let mut run = ending();
    run.happen(Event::Answered(Err(Failure::Xhci(XhciError::Busy))));
    run.fresh()
}

fn parked() -> Run {
    let mut run = ending();
    run.happen(Event::Answered(Err(Failure::Xhci(XhciError::GateTimeout))));
    let mut run = run.until("Unhold");
    run.answer();
    run.fresh()
}

/// A state's name, and a run that is in it.
type State = (&'static str, fn() -> Run);

const STATES: [State; 8] = [
    ("opening", opening),
    ("arming", arming),
    ("running", running),
    ("revoked", revoked),
    ("ending", ending),
    ("sounding", sounding),
    ("retrying", retrying),
    ("parked", parked),
];

/// What came of an event: phase, what is asked, what was said; `=` is nothing at
/// all, and then what the next answer brings.
fn outcome(run: &mut Run, event: Event) -> String {
    let before = (run.phase(), run.asked);
    run.happen(event);
    let changed = (run.phase(), run.asked) != before || !run.says.is_empty();
    let told = |run: &Run| {
        let says = run.says.iter().map(words);
        let state = [format!("{:?}", run.phase()), name(run.asked)];
        state.into_iter().chain(says).collect::<Vec<_>>().join(" ")
    };
    if changed {
        return told(run);
    }
    match run.phase() {
        // What was noted shows when the operation under way has ended.
        SessionPhase::Reserved | SessionPhase::Armed => {
            run.answer();
            format!("= {}", told(run))
        }
        _ => "=".to_owned(),
    }
}

/// R8: everything that can happen to a session, in every state in which it can be
/// found, and what comes of it. What is not for a state has no effect there.
#[test]
fn r8_everything_that_can_happen_in_each_state_has_its_outcome() {
    const NO: &str = "=";
    const GATE: &str = "Draining CloseGate";
    const HALT: &str = "Draining Halt";
    const ENDS: &str = "Draining CloseGate Draining";
    // Still on its way up when its operation ends well, and no longer wanted.
    const UP: &str = "= Reserved Describe";
    const ON: &str = "= Running - Running enabled";
    const BACK: &str = "= Draining Close Draining";
    const DOWN: &str = "= Draining CloseGate Draining";

    let failed = Event::Answered(Err(Failure::Xhci(XhciError::TimedOut)));
    let revoke = Event::Revoked { refusal: Refusal::Revoked, until: PATIENCE };
    let suspend = Event::Revoked { refusal: Refusal::Suspended, until: PATIENCE };
    let oust = Event::Ousted(Refusal::Misbehaved);
    let lost = Event::Lost;
    let refused = "Draining CloseGate refuse disable 7";
    let late = "Draining - refuse disable 7";
    #[rustfmt::skip]
    let rows: [(&str, Event, u64, [&str; 8]); 18] = [
        //                            opening arming running revoked ending sounding retrying parked
        ("done", Event::Answered(Ok(Reply::Done)), 0,
            // An answer that is not the operation's is a defect, and ends it.
            ["Free - Draining Free refuse BrokerDefect", "Running - Running enabled",
             NO, NO, "Draining -", NO, NO, NO]),
        ("failed", failed, 0,
            // A gate that stays open keeps all but the vote.
            ["Free - Draining Free refuse TimedOut", ENDS, NO, NO, "Draining Unhold", NO, NO, NO]),
        ("revoked", revoke, 0,
            [BACK, DOWN, "Draining - disconnect Draining", NO, NO, HALT, NO, NO]),
        ("suspended", suspend, 0,
            [BACK, DOWN, "Draining - suspend Draining", NO, NO, HALT, NO, NO]),
        ("ousted", oust, 0,
            [BACK, DOWN, "Draining CloseGate disconnect Draining", GATE, NO, HALT, NO, NO]),
        ("abandoned", Event::Abandoned, 0, [BACK, DOWN, ENDS, GATE, NO, HALT, NO, NO]),
        ("let go", let_go(7), 0,
            [BACK, DOWN, ENDS, GATE, refused, late, late, "Draining - settled confirm 7"]),
        ("let go again", let_go(2), 0,
            [BACK, DOWN, ENDS, GATE, NO, NO, NO, "Draining - settled confirm 2"]),
        ("xhci died", lost(Server::Xhci), 0, [UP, ON, NO, NO, NO, NO, NO, NO]),
        ("iommu died", lost(Server::Iommu), 0, [UP, ON, NO, NO, NO, NO, NO, NO]),
        ("usb_core died", lost(Server::UsbCore), 0, [UP, ON, NO, NO, NO, NO, NO, NO]),
        ("usb_audio died", lost(Server::UsbAudio), 0, [BACK, ON, NO, NO, NO, NO, NO, NO]),
        ("quiesced", Event::Quiesced, 0, [UP, ON, NO, NO, NO, NO, NO, NO]),
        ("try again", Event::TryAgain, 0, [UP, ON, NO, NO, NO, NO, NO, GATE]),
        ("too early", Event::Tick, RETRY_MS - 1, [UP, ON, NO, NO, NO, NO, NO, NO]),
        ("a retry", Event::Tick, RETRY_MS, [UP, ON, NO, NO, NO, NO, GATE, NO]),
        ("played out", Event::Tick, PLAYED_OUT, [UP, ON, NO, NO, NO, HALT, GATE, NO]),
        ("no patience", Event::Tick, PATIENCE, [UP, ON, NO, GATE, NO, HALT, GATE, NO]),
    ];
    for (what, event, now, expected) in rows {
        for ((state, make), expected) in STATES.into_iter().zip(expected) {
            let mut run = make();
            run.now = now;
            assert_eq!(outcome(&mut run, event), expected, "{what}, {state}");
        }
    }
}

/// R7: releasing consumes what is released, so nothing is released twice: what the
/// types do not show, the run of a whole life does.
#[test]
fn r7_a_whole_life_takes_and_gives_back_each_thing_once() {
    let mut run = running();
    run.happen(let_go(2));
    run.answer();
    run.now = PLAYED_OUT;
    run.happen(Event::Tick);
    while run.live.is_some() {
        run.answer();
    }
    assert_eq!(run.votes, (1, 1));
    let mut asked: Vec<String> = run.log.iter().map(|op| format!("{op:?}")).collect();
    let count = asked.len();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), count, "nothing was given back twice: {:?}", run.log);
    let words: Vec<String> = run.says.iter().map(words).collect();
    assert_eq!(words, ["Draining", "free", "Free", "confirm 2"]);
}

#[derive(Copy, Clone, Debug)]
enum Happening {
    Answer,
    Fail,
    Busy,
    Event(Event),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let server =
        prop::sample::select(vec![Server::Xhci, Server::Iommu, Server::UsbCore, Server::UsbAudio]);
    prop_oneof![
        12 => Just(H::Answer),
        2 => Just(H::Fail),
        1 => Just(H::Busy),
        1 => Just(H::Event(Event::Revoked { refusal: Refusal::Revoked, until: 500 })),
        1 => Just(H::Event(Event::Revoked { refusal: Refusal::Suspended, until: 500 })),
        1 => Just(H::Event(Event::Ousted(Refusal::Misbehaved))),
        1 => Just(H::Event(Event::Abandoned)),
        3 => (1_u16..4).prop_map(|txn| H::Event(let_go(txn))),
        1 => server.prop_map(|server| H::Event(Event::Lost(server))),
        1 => Just(H::Event(Event::Quiesced)),
        1 => Just(H::Event(Event::TryAgain)),
        // An answer that nobody waits for, and one of the books that nobody asked.
        1 => Just(H::Event(Event::Voted(Cast::Committed))),
        3 => (1_u64..200).prop_map(H::Pass),
    ]
}

/// Whether `op` gives something back; then its place in the one order.
fn place_in_order(run: &Run, op: Op) -> Option<usize> {
    let held = run.live.as_ref()?.session.held();
    let step = offload_broker::teardown::step_of(held, op)?;
    ORDER.iter().position(|&other| other == step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever happens to it in whatever order, a session takes one vote and
    /// gives it back once, is granted or refused once, goes down in the one order
    /// of rule 6 in each round, and comes to its end once the world lets it.
    #[test]
    fn whatever_happens_a_session_ends_once_and_in_order(
        happenings in prop::collection::vec(happening(), 1..60)
    ) {
        let mut run = Run::begin();
        let mut last = None;
        for happening in happenings {
            let asked = run.log.len();
            match happening {
                Happening::Answer if run.asked.is_some() => run.answer(),
                Happening::Fail if run.asked.is_some() => {
                    run.happen(Event::Answered(Err(Failure::Xhci(XhciError::TimedOut))));
                }
                Happening::Busy if run.asked.is_some() => {
                    run.happen(Event::Answered(Err(Failure::Xhci(XhciError::Busy))));
                }
                Happening::Event(event) => {
                    if event == Event::TryAgain {
                        last = None;
                    }
                    run.happen(event);
                }
                Happening::Pass(ms) => {
                    run.now += ms;
                    run.happen(Event::Tick);
                }
                _ => run.happen(Event::Answered(Ok(Reply::Done))),
            }
            if run.log.len() > asked && run.phase() == SessionPhase::Draining {
                let place = run.asked.and_then(|op| place_in_order(&run, op));
                if place.is_some() {
                    prop_assert!(place >= last, "{:?} after {:?}", run.asked, run.log);
                    last = place;
                }
            }
        }
        // The world relents.
        run.happen(Event::Quiesced);
        run.happen(Event::Abandoned);
        for _ in 0..100 {
            match run.asked {
                Some(_) => run.answer(),
                None => {
                    run.now += PATIENCE;
                    run.happen(Event::TryAgain);
                    run.happen(Event::Tick);
                }
            }
        }
        prop_assert!(run.live.is_none(), "it never ends: {:?}", run.live);
        prop_assert_eq!(run.votes.0, run.votes.1);
        prop_assert!(run.votes.0 <= 1);
        let count = |word: &str| run.says.iter().filter(|say| words(say).starts_with(word)).count();
        prop_assert_eq!(count("Free"), 1);
        prop_assert_eq!(count("Draining"), 1);
        prop_assert!(count("enabled") + count("refuse ") - count("refuse disable") <= 1);
        let told = count("disconnect") + count("suspend");
        prop_assert!(told <= count("enabled"));
        prop_assert!(count("owed") <= told);
    }
}
