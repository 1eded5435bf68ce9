//! The ring state machines against a controller that keeps its own counts.

use addr::Bus;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use trb::{
    CHAIN, CYCLE, ConsumerRing, IOC, InterrupterId, ProducerRing, RingFull, RingMemory, TC, Trb,
    TrbType, no_op,
};

/// Memory, and what was done to it in which order.
struct Memory {
    trbs: RefCell<Vec<[u32; 4]>>,
    log: RefCell<Vec<Step>>,
    published: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Body(u16),
    Control(u16),
    Publish,
    ReadControl,
    Acquire,
    ReadBody,
}

impl Memory {
    fn new(len: u16) -> Self {
        Self {
            trbs: RefCell::new(vec![[0; 4]; usize::from(len)]),
            log: RefCell::default(),
            published: Cell::new(true),
        }
    }

    fn note(&self, step: Step) {
        self.log.borrow_mut().push(step);
    }

    fn put(&self, at: u16, trb: Trb) {
        self.trbs.borrow_mut()[usize::from(at)] = trb.0;
    }

    fn get(&self, at: u16) -> Trb {
        Trb(self.trbs.borrow()[usize::from(at)])
    }
}

impl RingMemory for Memory {
    fn body(&self, at: u16) -> [u32; 3] {
        self.note(Step::ReadBody);
        let [a, b, c, _] = self.trbs.borrow()[usize::from(at)];
        [a, b, c]
    }
    fn control(&self, at: u16) -> u32 {
        self.note(Step::ReadControl);
        self.trbs.borrow()[usize::from(at)][3]
    }
    fn set_body(&self, at: u16, words: [u32; 3]) {
        self.note(Step::Body(at));
        self.published.set(false);
        self.trbs.borrow_mut()[usize::from(at)][..3].copy_from_slice(&words);
    }
    fn set_control(&self, at: u16, word: u32) {
        self.note(Step::Control(at));
        self.trbs.borrow_mut()[usize::from(at)][3] = word;
    }
    fn publish(&self) {
        self.note(Step::Publish);
        self.published.set(true);
    }
    fn acquire(&self) {
        self.note(Step::Acquire);
    }
}

/// A controller's side of a transfer or command ring.
struct Controller {
    at: u16,
    cycle: bool,
    toggles: u32,
}

impl Controller {
    /// Runs every TRB that is its own; the payloads and places, Links left out.
    fn run(&mut self, memory: &Memory) -> Vec<(u16, u32)> {
        let mut done = Vec::new();
        loop {
            let trb = memory.get(self.at);
            if trb.cycle() != self.cycle {
                return done;
            }
            if trb.kind() == Some(TrbType::Link) {
                assert!(trb.has(TC));
                self.at = 0;
                self.cycle = !self.cycle;
                self.toggles += 1;
                continue;
            }
            done.push((self.at, trb.0[0]));
            self.at += 1;
        }
    }
}

fn td(first: u32, trbs: u32) -> Vec<Trb> {
    (0..trbs)
        .map(|n| {
            let flags = if n + 1 == trbs { IOC } else { CHAIN };
            let mut trb = no_op(InterrupterId::PRIMARY, flags);
            trb.0[0] = first + n;
            trb
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is pushed arrives once, in order, over any number of laps; a TD
    /// that does not fit changes nothing.
    #[test]
    fn a_controller_sees_every_trb_once_and_in_order(
        len in 3_u16..20,
        script in prop::collection::vec((1_u32..5, any::<bool>()), 1..200),
    ) {
        let memory = Memory::new(len);
        let mut ring = ProducerRing::new(len);
        ring.init(&memory, Bus(0x2_2000));
        let mut controller = Controller { at: 0, cycle: true, toggles: 0 };
        let (mut sent, mut seen) = (0_u32, 0_u32);
        for (trbs, run) in script {
            let before = ring;
            match ring.push(&memory, &td(sent, trbs)) {
                Ok(at) => {
                    prop_assert_eq!(at, before.enqueue());
                    sent += trbs;
                }
                Err(RingFull) => {
                    prop_assert!(trbs > u32::from(before.room()));
                    prop_assert_eq!(ring, before);
                }
            }
            if run {
                for (at, payload) in controller.run(&memory) {
                    prop_assert_eq!(payload, seen);
                    seen += 1;
                    prop_assert!(ring.completed(at));
                }
                prop_assert_eq!((seen, ring.used()), (sent, 0));
                prop_assert_eq!((controller.at % (len - 1), ring.cycle()),
                    (ring.enqueue(), (controller.cycle) != (controller.at == len - 1)));
            }
        }
    }

    /// Events arrive once and in order, and the consumer never passes the producer.
    #[test]
    fn a_consumer_sees_every_event_once_and_in_order(
        len in 1_u16..20,
        script in prop::collection::vec((0_u16..6, 0_u16..6), 1..200),
    ) {
        let memory = Memory::new(len);
        let mut ring = ConsumerRing::new(len);
        let (mut at, mut cycle) = (0, true);
        let (mut sent, mut seen) = (0_u32, 0_u32);
        for (events, takes) in script {
            for _ in 0..events {
                if sent - seen < u32::from(len) {
                    memory.put(at, Trb([sent, 0, 0, u32::from(cycle)]));
                    sent += 1;
                    at = (at + 1) % len;
                    cycle ^= at == 0;
                }
            }
            for _ in 0..takes {
                match ring.next(&memory) {
                    Some(trb) => {
                        prop_assert_eq!(trb.0[0], seen);
                        seen += 1;
                    }
                    None => prop_assert_eq!(seen, sent),
                }
            }
            // Whoever takes the ring over from here goes on in the same state;
            // in a ring of one place nothing tells full from empty.
            if len > 1 && sent - seen < u32::from(len) {
                prop_assert_eq!(ConsumerRing::take_over(&memory, len, ring.dequeue()), ring);
            }
        }
    }
}

#[test]
fn the_first_cycle_bit_is_written_last_with_a_barrier_on_both_sides() {
    let memory = Memory::new(8);
    let mut ring = ProducerRing::new(8);
    ring.init(&memory, Bus(0));
    memory.log.borrow_mut().clear();
    ring.push(&memory, &td(0, 2)).expect("room");
    use Step::{Body, Control, Publish};
    assert_eq!(*memory.log.borrow(), [Body(0), Body(1), Control(1), Publish, Control(0), Publish]);
}

#[test]
fn a_td_in_the_making_is_not_the_controllers() {
    /// Looks at each write whether the controller would start.
    struct Watched(Memory);
    impl RingMemory for Watched {
        fn body(&self, at: u16) -> [u32; 3] {
            self.0.body(at)
        }
        fn control(&self, at: u16) -> u32 {
            self.0.control(at)
        }
        fn set_body(&self, at: u16, words: [u32; 3]) {
            self.0.set_body(at, words);
        }
        fn set_control(&self, at: u16, word: u32) {
            self.0.set_control(at, word);
            let published = self.0.published.get();
            let start = self.0.get(5).cycle();
            assert!(!start || published, "handed over before all was published");
        }
        fn publish(&self) {
            self.0.publish();
        }
        fn acquire(&self) {
            self.0.acquire();
        }
    }
    let memory = Watched(Memory::new(8));
    let mut ring = ProducerRing::new(8);
    ring.init(&memory, Bus(0));
    for n in 0..5 {
        ring.push(&memory, &td(n, 1)).expect("room");
        assert!(ring.completed(n as u16));
    }
    // Over the Link: places 5, 6, 0.
    ring.push(&memory, &td(5, 3)).expect("room");
    let link = memory.0.get(7);
    assert!(link.cycle() && link.has(CHAIN), "a Link inside a TD is chained");
}

#[test]
fn the_cycle_bit_of_an_event_is_read_before_the_rest() {
    let memory = Memory::new(4);
    memory.put(0, Trb([7, 0, 0, CYCLE]));
    let ring = ConsumerRing::new(4);
    assert_eq!(ring.peek(&memory).map(|trb| trb.0[0]), Some(7));
    assert_eq!(*memory.log.borrow(), [Step::ReadControl, Step::Acquire, Step::ReadBody]);
}

#[test]
fn a_completion_that_is_not_under_way_is_refused() {
    let memory = Memory::new(8);
    let mut ring = ProducerRing::new(8);
    ring.init(&memory, Bus(0x1000));
    ring.push(&memory, &td(0, 2)).expect("room");
    assert!(!ring.completed(2), "not pushed yet");
    assert!(!ring.completed(7), "the Link");
    assert!(!ring.completed(100));
    assert!(ring.completed(1));
    assert!(!ring.completed(1), "twice");
    assert_eq!(ring.index_of(Bus(0x1000), Bus(0x1030)), Some(3));
    assert_eq!(ring.index_of(Bus(0x1000), Bus(0x1031)), None);
    assert_eq!(ring.index_of(Bus(0x1000), Bus(0x0FF0)), None);
    assert_eq!(ring.index_of(Bus(0x1000), Bus(0x1070)), None, "the Link");
    let before = |pointer| ring.index_before(Bus(0x1000), Bus(pointer));
    assert_eq!([0x1000, 0x1010, 0x1060, 0x1070].map(before), [6, 0, 5, 6].map(Some));
    assert_eq!([0x0FF0, 0x1018, 0x1080].map(before), [None; 3]);
}

#[test]
fn a_ring_leaves_one_place() {
    let memory = Memory::new(5);
    let mut ring = ProducerRing::new(5);
    ring.init(&memory, Bus(0));
    assert_eq!(ring.room(), 3);
    ring.push(&memory, &td(0, 3)).expect("room");
    assert_eq!((ring.room(), ring.used()), (0, 3));
    assert_eq!(ring.push(&memory, &td(3, 1)), Err(RingFull));
    ring.abandon();
    assert_eq!((ring.room(), ring.used()), (3, 0));
}
