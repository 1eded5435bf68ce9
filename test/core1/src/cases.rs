//! The cases, each going on where the one before it left core 1.

use crate::image;
use crate::machine::{pass, say, start_core_1, start_distributor, until, was_raised};
use crate::peers::{BUFFER, BUFFER_BUS, BUFFER_BYTES, Peers, Said};
use addr::Peer;
use dsp_abi::bell;
use dsp_abi::control::NoticeKind;
use dsp_abi::port::{self, Ending, Kind};
use qmi::Txn;
use qmi::qrtr::{Control, Server};

/// Frames of the sound that is played.
const FRAMES: u32 = 48_000;
/// Bytes of a packet.
const PACKET: u32 = 192;
/// One packet in this many reports its completion.
const SPACING: u32 = 8;
/// Milliseconds in which the monitor says that a stream stands still.
const STALL_MS: u64 = 600;

/// Runs all cases; one that fails panics.
pub(crate) fn run() {
    let mut passed = 0;
    let mut peers = Peers::new();
    for (name, case) in CASES {
        case(&mut peers);
        passed += 1;
        say(format_args!("case core1.{name} ok"));
    }
    say(format_args!("suite {passed} passed 0 failed"));
}

/// A name, and what is tried.
type Case = (&'static str, fn(&mut Peers));

const CASES: [Case; 11] = [
    ("comes_up", comes_up),
    ("program_announces_itself", program_announces_itself),
    ("answers_requests", answers_requests),
    ("program_asks_when_told", program_asks_when_told),
    ("fault_ends_one_life", fault_ends_one_life),
    ("stream_goes_through_the_gate", stream_goes_through_the_gate),
    ("vector_wakes_the_program", vector_wakes_the_program),
    ("stall_is_told_once", stall_is_told_once),
    ("closed_gate_ends_the_stream", closed_gate_ends_the_stream),
    ("translations_are_forgotten", translations_are_forgotten),
    ("own_memory_is_no_ring", own_memory_is_no_ring),
];

fn comes_up(peers: &mut Peers) {
    start_distributor();
    for at in (0..FRAMES * 4).step_by(4) {
        peers.load(at, sound(at));
    }
    start_core_1(image::ENTRY);
    until("the monitor", || peers.answer().monitor_epoch == 1);
    until("the program", || peers.answer().program_epoch == 1);
    until("the bells", || was_raised(bell::TLB_TO_APP));
    assert!(was_raised(bell::GATE0_TO_APP) && was_raised(bell::MAIL_TO_APP));
    assert!(!was_raised(bell::NOTICE));
}

/// A word of the sound, of which no two packets are the same.
const fn sound(at: u32) -> u32 {
    (at + 1).wrapping_mul(2_654_435_761)
}

fn announced(peers: &mut Peers) {
    assert!(matches!(peers.said(), Said::Control(Control::Hello)));
    let said = peers.said();
    let Said::Control(Control::NewServer(Server { service, .. })) = said else {
        panic!("{said:?}");
    };
    assert_eq!(service, port::SERVICE);
}

fn program_announces_itself(peers: &mut Peers) {
    peers.link_up();
    announced(peers);
    pass(5);
    assert!(peers.silent(), "it starts nothing by itself");
}

fn answers_requests(peers: &mut Peers) {
    was_raised(bell::TLB_TO_APP);
    was_raised(bell::GATE0_TO_APP);
    peers.confirm_tables(false);
    assert!(was_raised(bell::TLB_TO_APP));
    peers.gate(false);
    assert!(was_raised(bell::GATE0_TO_APP));
}

/// The program's request to begin, or to end, a stream.
fn request(peers: &mut Peers, enable: u8) -> Txn {
    let said = peers.said();
    let Said::Request(txn, request) = said else { panic!("{said:?}") };
    assert_eq!((request.enable, request.usb_token.0), (enable, 0x0001_0000));
    txn
}

fn program_asks_when_told(peers: &mut Peers) {
    peers.announce_broker();
    peers.start(1, FRAMES);
    request(peers, 1);
    // No answer comes; the next case takes this life.
}

/// A response that names what is not mapped: the program faults, is started
/// anew, and all of it is said.
fn fault_ends_one_life(peers: &mut Peers) {
    peers.map_events();
    peers.confirm_tables(true);
    peers.gate(true);
    peers.start(2, FRAMES);
    let txn = request(peers, 1);
    was_raised(bell::NOTICE);
    peers.grant(txn, Peers::shadow());
    died(peers, 2);
    assert_eq!(peers.notice().kind, NoticeKind::Restarted as u32);
    assert!(was_raised(bell::NOTICE));
    peers.gate(false);
}

/// The program's life number `epoch` begins, after a death that was told.
fn died(peers: &mut Peers, epoch: u32) {
    assert!(matches!(peers.said(), Said::Control(Control::Bye(_))));
    announced(peers);
    assert_eq!(peers.answer().program_epoch, epoch);
}

/// Starts a stream; it is granted.
fn begin(peers: &mut Peers, cookie: u32, shadow: Peer) {
    peers.map(true);
    peers.confirm_tables(true);
    peers.gate(true);
    peers.announce_broker();
    peers.start(cookie, FRAMES);
    let txn = request(peers, 1);
    peers.grant(txn, shadow);
}

/// Waits for a record of the port service.
fn told(peers: &mut Peers, kind: Kind) -> port::Message {
    let said = peers.said();
    let Said::Port(message) = said else { panic!("{said:?}") };
    assert_eq!(message.kind, kind as u32);
    message
}

/// The packet at `place` of the real ring is the sound's packet `n`.
fn is_packet(peers: &Peers, place: u32, n: u32) -> bool {
    let trb = peers.real(place);
    if trb.type_number() != trb::TrbType::Isoch as u8 {
        return false;
    }
    assert_eq!((trb.length(), trb.interrupter().number()), (PACKET, 1));
    let at = trb.pointer().offset_from(BUFFER_BUS).expect("inside the buffer") as u32;
    assert!(at + PACKET <= BUFFER_BYTES);
    (0..PACKET).step_by(4).all(|word| peers.buffer(at + word) == sound(n * PACKET + word))
}

fn stream_goes_through_the_gate(peers: &mut Peers) {
    begin(peers, 3, Peers::shadow());
    assert_eq!(told(peers, Kind::Started).cookie, 3);
    until("the first packets", || is_packet(peers, SPACING - 1, SPACING - 1));
    for n in 0..SPACING {
        assert!(is_packet(peers, n, n), "packet {n}");
    }
    assert_eq!(peers.answer().refusals, 0);
}

/// The first place that the program has not written yet.
fn first_free(peers: &Peers) -> u32 {
    let free = |place: &u32| peers.real(*place).type_number() == 0;
    (0..255).find(free).expect("the ring is not full")
}

fn vector_wakes_the_program(peers: &mut Peers) {
    // The program is still at the packets that the case before waited for.
    pass(20);
    let free = first_free(peers);
    pass(20);
    assert_eq!(first_free(peers), free, "nothing goes on without the controller");
    peers.complete(SPACING - 1);
    until("the next packets", || is_packet(peers, free, free));
    until("all of them", || first_free(peers) == free + SPACING);
}

fn stall_is_told_once(peers: &mut Peers) {
    was_raised(bell::NOTICE);
    until("the notice", || was_raised(bell::NOTICE));
    assert_eq!(peers.notice().kind, NoticeKind::Stalled as u32);
    pass(STALL_MS);
    assert!(!was_raised(bell::NOTICE), "it was said");
}

/// The program hears that something about gates changed, finds an event, and is
/// told that the session is closed when it wants to take it.
fn closed_gate_ends_the_stream(peers: &mut Peers) {
    peers.report(2 * SPACING - 1);
    peers.gate(false);
    let txn = request(peers, 0);
    peers.take_back(txn);
    let done = told(peers, Kind::Done);
    assert_eq!((done.cookie, done.result), (3, Ending::Revoked as u32));
}

/// Unmapped and confirmed: the program does not reach the buffer any more, which
/// it did a moment ago.
fn translations_are_forgotten(peers: &mut Peers) {
    begin(peers, 4, Peers::shadow());
    told(peers, Kind::Started);
    until("the first packets", || is_packet(peers, 0, 0));
    let free = first_free(peers);
    peers.map(false);
    peers.confirm_tables(false);
    let before = peers.buffer(free * PACKET % BUFFER_BYTES);
    peers.complete(SPACING - 1);
    died(peers, 3);
    assert_eq!(peers.buffer(free * PACKET % BUFFER_BYTES), before);
    peers.gate(false);
}

/// Addresses that lead the program into itself or its monitor.
fn own_memory_is_no_ring(peers: &mut Peers) {
    for (n, address) in
        [image::ENTRY, image::PROGRAM, BUFFER.low() + 0x0200_0000].iter().enumerate()
    {
        begin(peers, 5 + n as u32, Peer(u64::from(*address) & !0xFFF));
        died(peers, 4 + n as u32);
        peers.gate(false);
    }
    assert_eq!(peers.answer().monitor_epoch, 1);
}
