//! The mailbox against an honest other side and against a hostile one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use dsp_abi::mailbox::{APP_PAGE, DATAGRAM, DSP_PAGE, SLOTS, slot};
use mailbox::{Change, Mailbox, Memory, Received, SendError};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const PAGE: u32 = addr::PAGE;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    Write { at: u32, len: usize },
    Publish,
    Acquire,
}

/// Two pages, and what this side did to them.
#[derive(Clone, Debug)]
struct Pages {
    bytes: Rc<RefCell<Vec<u8>>>,
    log: Rc<RefCell<Vec<Access>>>,
    /// 0 for the application core; the DSP sees the same pages the other way round.
    swap: u32,
}

impl Pages {
    fn new() -> Self {
        let bytes = Rc::new(RefCell::new(vec![0xA5; 2 * PAGE as usize]));
        bytes.borrow_mut()[PAGE as usize..].fill(0);
        Self { bytes, log: Rc::default(), swap: 0 }
    }

    /// The same pages as the DSP's side of the protocol takes them.
    fn mirrored(&self) -> Self {
        Self { swap: PAGE, log: Rc::default(), ..self.clone() }
    }

    fn at(&self, at: u32) -> usize {
        (at ^ self.swap) as usize
    }

    fn poke(&self, at: u32, value: u32) {
        let at = self.at(at);
        self.bytes.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

impl Memory for Pages {
    fn read(&mut self, at: u32, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes.borrow()[self.at(at)..][..into.len()]);
    }

    fn write(&mut self, at: u32, from: &[u8]) {
        let own = u32::from(APP_PAGE) * PAGE;
        let end = at + from.len() as u32;
        assert!(at >= own && end <= own + PAGE, "wrote outside its own page");
        self.log.borrow_mut().push(Access::Write { at, len: from.len() });
        let at = self.at(at);
        self.bytes.borrow_mut()[at..][..from.len()].copy_from_slice(from);
    }

    fn publish(&mut self) {
        self.log.borrow_mut().push(Access::Publish);
    }

    fn acquire(&mut self) {
        self.log.borrow_mut().push(Access::Acquire);
    }
}

/// A side, with the pages as it sees them.
struct Side {
    pages: Pages,
    mailbox: Mailbox,
}

impl Side {
    fn new(mut pages: Pages, epoch: u32) -> Self {
        let mailbox = Mailbox::new(&mut pages, epoch);
        Self { pages, mailbox }
    }

    fn look(&mut self) -> Change {
        self.mailbox.look(&mut self.pages)
    }

    fn is_up(&self) -> bool {
        self.mailbox.is_up()
    }

    fn room(&mut self) -> u32 {
        self.mailbox.room(&mut self.pages)
    }

    fn send(&mut self, datagram: &[u8]) -> Result<(), SendError> {
        self.mailbox.send(&mut self.pages, datagram)
    }

    fn receive(&mut self, into: &mut [u8; DATAGRAM]) -> Received {
        self.mailbox.receive(&mut self.pages, into)
    }

    fn waiting(&mut self) -> bool {
        self.mailbox.waiting(&mut self.pages)
    }
}

/// Both sides look until nothing changes; what each saw.
fn settle(a: &mut Side, b: &mut Side) -> (Vec<Change>, Vec<Change>) {
    let mut seen = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let (x, y) = (a.look(), b.look());
        seen.0.extend((x != Change::None).then_some(x));
        seen.1.extend((y != Change::None).then_some(y));
    }
    seen
}

fn pair() -> (Pages, Side, Side) {
    let pages = Pages::new();
    let mut app = Side::new(pages.clone(), 1);
    let mut dsp = Side::new(pages.mirrored(), 1);
    settle(&mut app, &mut dsp);
    (pages, app, dsp)
}

fn receive(mailbox: &mut Side) -> Option<Vec<u8>> {
    let mut bytes = [0; DATAGRAM];
    match mailbox.receive(&mut bytes) {
        Received::Datagram(len) => Some(bytes[..len].to_vec()),
        Received::Empty => None,
        other => panic!("an honest side's ring shows {other:?}"),
    }
}

#[test]
fn nothing_goes_before_both_sides_have_seen_each_other() {
    let pages = Pages::new();
    let mut app = Side::new(pages.clone(), 7);
    assert_eq!((app.look(), app.is_up(), app.room()), (Change::None, false, 0));
    assert_eq!(app.send(b"early"), Err(SendError::Down));
    let mut dsp = Side::new(pages.mirrored(), 3);
    let seen = settle(&mut app, &mut dsp);
    assert_eq!(seen.0, [Change::Seen, Change::CameUp]);
    assert_eq!(seen.1, [Change::Seen, Change::CameUp]);
    assert_eq!(app.send(b"now"), Ok(()));
    assert_eq!(receive(&mut dsp).as_deref(), Some(&b"now"[..]));
}

#[test]
fn a_new_life_of_either_side_voids_both_rings() {
    let (pages, mut app, mut dsp) = pair();
    app.send(b"old").expect("room");
    dsp.send(b"old").expect("room");
    let mut dsp = {
        drop(dsp);
        Side::new(pages.mirrored(), 2)
    };
    let seen = settle(&mut app, &mut dsp);
    assert_eq!(seen.0, [Change::Lost, Change::CameUp]);
    assert_eq!((receive(&mut app), receive(&mut dsp)), (None, None));
    app.send(b"new").expect("room");
    assert_eq!(receive(&mut dsp).as_deref(), Some(&b"new"[..]));
    let mut app = Side::new(pages, 2);
    let seen = settle(&mut app, &mut dsp);
    assert_eq!(seen.1, [Change::Lost, Change::CameUp]);
    assert_eq!((receive(&mut app), receive(&mut dsp)), (None, None));
}

#[test]
fn a_full_ring_refuses_and_has_room_again_once_read() {
    let (_, mut app, mut dsp) = pair();
    for n in 0..SLOTS {
        assert_eq!(app.room(), SLOTS - n);
        app.send(&[n as u8; DATAGRAM]).expect("room");
    }
    assert_eq!(app.send(b"x"), Err(SendError::Full));
    assert_eq!(app.send(&[0; DATAGRAM + 1]), Err(SendError::TooLong));
    assert_eq!(receive(&mut dsp), Some(vec![0; DATAGRAM]));
    assert_eq!(app.send(b"x"), Ok(()));
}

/// The datagram is published before the head that announces it, and the slot
/// is read before the tail that gives it back.
#[test]
fn accesses_are_ordered_as_the_other_core_must_see_them() {
    let (pages, mut app, mut dsp) = pair();
    pages.log.borrow_mut().clear();
    app.send(b"four").expect("room");
    let sent = pages.log.borrow().clone();
    let data =
        sent.iter().rposition(|a| matches!(a, Access::Write { len: 4, at } if *at == slot(0) + 8));
    let head = sent.iter().position(|a| *a == Access::Write { at: 0, len: 4 });
    let (data, head) = (data.expect("data written"), head.expect("head written"));
    assert!(data < head && sent[data..head].contains(&Access::Publish));
    dsp.send(b"back").expect("room");
    pages.log.borrow_mut().clear();
    assert!(receive(&mut app).is_some());
    let taken = pages.log.borrow().clone();
    let tail = taken.iter().position(|a| matches!(a, Access::Write { .. })).expect("tail written");
    assert_eq!(taken[..tail], [Access::Acquire, Access::Acquire]);
}

#[test]
fn a_length_beyond_the_slot_is_skipped_and_the_next_datagram_comes() {
    let (pages, mut app, mut dsp) = pair();
    dsp.send(b"first").expect("room");
    dsp.send(b"second").expect("room");
    pages.poke(u32::from(DSP_PAGE) * PAGE + slot(0), DATAGRAM as u32 + 1);
    let mut bytes = [0; DATAGRAM];
    assert_eq!(app.receive(&mut bytes), Received::BadLength(DATAGRAM as u32 + 1));
    assert_eq!(app.receive(&mut bytes), Received::Datagram(6));
}

#[test]
fn a_head_too_far_ahead_is_reported_and_not_followed() {
    let (pages, mut app, _dsp) = pair();
    pages.poke(u32::from(DSP_PAGE) * PAGE, SLOTS + 1);
    let mut bytes = [0; DATAGRAM];
    assert_eq!(app.receive(&mut bytes), Received::BadHead(SLOTS + 1));
    assert!(!app.waiting(), "a head that lies is not waited for");
    pages.poke(u32::from(DSP_PAGE) * PAGE, 0);
    assert_eq!(app.receive(&mut bytes), Received::Empty);
}

#[test]
fn a_tail_that_lies_makes_the_ring_full_not_overwritten() {
    let (pages, mut app, _dsp) = pair();
    app.send(b"kept").expect("room");
    pages.poke(u32::from(DSP_PAGE) * PAGE + 4, 5);
    assert_eq!((app.room(), app.send(b"x")), (0, Err(SendError::Full)));
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Receive,
    Answer(Vec<u8>),
    Collect,
    Poke { at: u32, value: u32 },
    Look,
}

fn step(hostile: bool) -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let honest = prop_oneof![
        bytes().prop_map(Step::Send),
        Just(Step::Receive),
        bytes().prop_map(Step::Answer),
        Just(Step::Collect),
        Just(Step::Look),
    ];
    let at = prop_oneof![0_u32..4, (0_u32..PAGE / 4)];
    let value = prop_oneof![0_u32..12, any::<u32>()];
    let poke = (at, value)
        .prop_map(|(word, value)| Step::Poke { at: u32::from(DSP_PAGE) * PAGE + word * 4, value });
    if hostile { prop_oneof![1 => honest, 2 => poke].boxed() } else { honest.boxed() }
}

proptest! {
    #[test]
    fn between_honest_sides_every_datagram_arrives_once_and_in_order(
        steps in proptest::collection::vec(step(false), 0..200)
    ) {
        let (_, mut app, mut dsp) = pair();
        let (mut down, mut up) = (VecDeque::new(), VecDeque::new());
        for step in steps {
            match step {
                Step::Send(bytes) => match app.send(&bytes) {
                    Ok(()) => down.push_back(bytes),
                    Err(error) => {
                        prop_assert_eq!((error, down.len()), (SendError::Full, SLOTS as usize));
                    }
                },
                Step::Collect => prop_assert_eq!(receive(&mut dsp), down.pop_front()),
                Step::Answer(bytes) => {
                    if dsp.send(&bytes).is_ok() {
                        up.push_back(bytes);
                    }
                }
                Step::Receive => prop_assert_eq!(receive(&mut app), up.pop_front()),
                Step::Look => prop_assert_eq!(app.look(), Change::None),
                Step::Poke { .. } => {}
            }
        }
    }

    /// Whatever the other side writes, this side stays within its page (the
    /// memory asserts it), within its buffer, and never spins.
    #[test]
    fn a_hostile_side_gets_no_further_than_its_own_page(
        steps in proptest::collection::vec(step(true), 0..200)
    ) {
        let (pages, mut app, mut dsp) = pair();
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    let _ = app.send(&bytes);
                }
                Step::Receive => {
                    let mut bytes = [0; DATAGRAM];
                    let mut taken = 0;
                    while let Received::Datagram(len) = app.receive(&mut bytes) {
                        prop_assert!(len <= DATAGRAM);
                        taken += 1;
                        prop_assert!(taken <= SLOTS, "more datagrams than the ring has slots");
                    }
                }
                Step::Answer(bytes) => {
                    let _ = dsp.send(&bytes);
                }
                Step::Collect => {
                    let _ = dsp.receive(&mut [0; DATAGRAM]);
                }
                Step::Poke { at, value } => pages.poke(at, value),
                Step::Look => {
                    for _ in 0..3 {
                        app.look();
                    }
                    prop_assert_eq!(app.look(), Change::None, "a page that stands still settles");
                }
            }
        }
    }
}
