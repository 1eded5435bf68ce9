//! The program: the project's own, which plays honestly until it is told not to.
//!
//! It is run over a core that listens in: what the broker grants, what is
//! published. When the test has set a plan, the next call that would wait
//! carries it out first.

use crate::attack::{self, Tally};
use addr::Peer;
use dsp_abi::mailbox::DATAGRAM;
use dsp_abi::monitor::{Call, MAIL_IN, Status};
use fabric::Rng;
use program::core::{Core, Simulated};
use qmi::qrtr::{Address, Frame};
use qmi::{MemoryInfo, StreamResponse};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the program does when it has nothing else to do.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It is honest.
    #[default]
    None,
    /// Every call, in every wrong way, so many times.
    Calls(u32),
    /// Datagrams as fast as they go: so many.
    Mail(u32),
    /// Calls that are allowed, as fast as they go: so many.
    Busy(u32),
    /// Dequeue pointers that are inside its event ring, and nonsense.
    Dequeue(u32),
    /// One access at this address; `true` for a write.
    Probe(u32, bool),
}

/// What was granted, as the program sees it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) session: u32,
    pub(crate) memory: MemoryInfo,
    pub(crate) interrupter: u8,
    pub(crate) broker: Address,
    pub(crate) max_packet: u16,
}

/// What test and program share. A program that dies never unwinds, so nothing
/// here stays borrowed over an access or a call.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Cell<Plan>,
    pub(crate) granted: Cell<Option<Granted>>,
    /// Place and cycle bit at which the data ring goes on.
    pub(crate) next: Cell<(u16, bool)>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) rng: RefCell<Rng>,
    /// Lives that were begun.
    pub(crate) lives: Cell<u32>,
    /// A plan was carried out to its end.
    pub(crate) done: Cell<bool>,
    response: Cell<Option<(StreamResponse, Address)>>,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            plan: Cell::default(),
            granted: Cell::default(),
            next: Cell::new((0, true)),
            tally: RefCell::default(),
            rng: RefCell::new(Rng::new(seed ^ 0xE711)),
            lives: Cell::default(),
            done: Cell::default(),
            response: Cell::default(),
        })
    }
}

/// Runs one life of the program.
pub(crate) fn run(shared: &Rc<Shared>) {
    shared.lives.set(shared.lives.get() + 1);
    shared.granted.set(None);
    shared.next.set((0, true));
    program::main(&Listening { shared: Rc::clone(shared) });
}

struct Listening {
    shared: Rc<Shared>,
}

impl Listening {
    fn received(&self, len: u32) {
        let mut datagram = [0; DATAGRAM];
        let datagram = &mut datagram[..len as usize];
        Simulated.read(MAIL_IN, datagram);
        if let Ok((frame, payload)) = Frame::decode(datagram)
            && let Ok((_, response)) = StreamResponse::decode(payload)
            && response.xhci_mem_info.is_some()
        {
            self.shared.response.set(Some((response, frame.from)));
        }
    }

    fn found(&self, session: u32) {
        let Some((response, broker)) = self.shared.response.take() else { return };
        let strip = |region: qmi::Region| qmi::Region {
            iova: Peer(u64::from(region.iova.low())),
            ..region
        };
        let memory = response.xhci_mem_info.expect("it was looked for");
        self.shared.next.set((0, true));
        self.shared.granted.set(Some(Granted {
            session,
            memory: MemoryInfo {
                evt_ring: strip(memory.evt_ring),
                tr_data: strip(memory.tr_data),
                tr_sync: strip(memory.tr_sync),
                xfer_buff: strip(memory.xfer_buff),
                ..memory
            },
            interrupter: response.interrupter_num.expect("it was granted"),
            broker,
            max_packet: response.std_as_data_ep_desc.expect("it was granted").max_packet,
        }));
    }
}

impl Core for Listening {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        if call == Call::Wait && self.shared.plan.get() != Plan::None {
            attack::carry_out(&self.shared, self.shared.plan.take());
            self.shared.done.set(true);
        }
        let answer = Simulated.call(call, arguments);
        if answer[0] == Status::Ok as u32 {
            match call {
                Call::MailReceive if answer[1] != 0 => self.received(answer[1]),
                Call::FindSession => self.found(answer[1]),
                Call::Publish if arguments[1] == 0 => {
                    let (_, cycle) = self.shared.next.get();
                    let next = arguments[2] + arguments[3];
                    let wraps = next == u32::from(trb::PER_PAGE);
                    let next = if wraps { (0, !cycle) } else { (next as u16, cycle) };
                    self.shared.next.set(next);
                }
                _ => {}
            }
        }
        answer
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        Simulated.read(at, into);
    }

    fn write(&self, at: Peer, from: &[u8]) {
        Simulated.write(at, from);
    }
}
