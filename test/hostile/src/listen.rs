//! The project's own program over a core that listens in: what the broker
//! grants, what is published.

use crate::plan::{Master, Order, Plan};
use crate::tally::{Attempt, Surprise, Tally};
use crate::{calls, mail};
use addr::Peer;
use core::cell::{Cell, RefCell};
use dsp_abi::mailbox::DATAGRAM;
use dsp_abi::monitor::{Call, EVENT_MAIL, MAIL_IN, Status};
use gate::Refusal;
use program::core::Core;
use qmi::qrtr::{Address, Frame};
use qmi::{MemoryInfo, Region, StreamResponse, Token};
use rng::Rng;
use trb::PER_PAGE;

/// What was granted, as the program sees it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) session: u32,
    pub(crate) memory: MemoryInfo,
    pub(crate) interrupter: u8,
    pub(crate) broker: Address,
    pub(crate) max_packet: u16,
}

/// Runs one life of the program.
pub fn run(master: &impl Master) -> ! {
    program::main(&Listening {
        master,
        rng: RefCell::new(Rng::new(0)),
        tally: Cell::default(),
        granted: Cell::default(),
        next: Cell::new((0, true)),
        response: Cell::default(),
        start: Cell::default(),
        starves: Cell::default(),
    })
}

/// The core that the program runs on. A program that dies never unwinds, so
/// nothing here stays borrowed over an access or a call.
pub(crate) struct Listening<'m, M> {
    pub(crate) master: &'m M,
    pub(crate) rng: RefCell<Rng>,
    tally: Cell<Tally>,
    granted: Cell<Option<Granted>>,
    /// Place and cycle bit at which the data ring goes on.
    pub(crate) next: Cell<(u16, bool)>,
    /// A grant whose session is not known yet, and whose it is.
    response: Cell<Option<(StreamResponse, Address)>>,
    /// A start to be given to the program, as if it had been told to play.
    start: Cell<Option<(Token, u32)>>,
    starves: Cell<bool>,
}

impl<M: Master> Listening<'_, M> {
    pub(crate) fn note(
        &self,
        attempt: Attempt,
        answer: [u32; 4],
        status: Status,
        code: Option<Refusal>,
    ) {
        self.count(|tally| tally.note(attempt, answer, status, code));
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
        self.master.report(&tally);
    }

    /// A datagram went out, or not.
    pub(crate) fn sent(&self, answer: [u32; 4]) {
        self.count(|tally| {
            if answer[0] == Status::Ok as u32 {
                tally.sent += 1;
            } else if answer[0] == Status::MailFull as u32 {
                tally.full += 1;
            } else {
                tally.note(Attempt::Datagram, answer, Status::Ok, None);
            }
        });
    }

    /// The broker's address, once something was granted.
    pub(crate) fn broker(&self) -> Option<Address> {
        self.granted.get().map(|granted| granted.broker)
    }

    /// Carries an order out. It may end in the program's death.
    fn carry_out(&self, order: &Order) {
        let Some(plan) = order.plan() else { return };
        *self.rng.borrow_mut() = Rng::new(order.seed.into());
        self.starves.set(false);
        match plan {
            Plan::Begin(token, frames) => self.start.set(Some((token, frames))),
            Plan::Calls(count) => self.with_session(count, |it| calls::wrong(self, it)),
            Plan::Busy(count) => self.with_session(count, |it| calls::allowed(self, it)),
            Plan::Dequeue(count) => self.with_session(count, |it| calls::dequeue(self, it)),
            Plan::Mail(count) => (0..count).for_each(|_| mail::send_any(self)),
            Plan::Starve => self.starves.set(true),
            Plan::Read(at) => {
                self.master.read(at, &mut [0; 4]);
                self.count(|tally| tally.reached += 1);
            }
            Plan::Write(at) => {
                self.master.write(at, &[0xEE; 4]);
                self.count(|tally| tally.reached += 1);
            }
        }
        self.master.done(order);
    }

    fn with_session(&self, count: u32, attempt: impl Fn(&Granted)) {
        match self.granted.get() {
            Some(granted) => (0..count).for_each(|_| attempt(&granted)),
            None => {
                let attempt = Attempt::WithoutSession as u32;
                self.count(|tally| tally.surprised(Surprise { attempt, ..Surprise::default() }));
            }
        }
    }

    fn received(&self, len: u32) {
        let mut datagram = [0; DATAGRAM];
        let datagram = &mut datagram[..len as usize];
        self.master.read(MAIL_IN, datagram);
        if let Ok((frame, payload)) = Frame::decode(datagram)
            && let Ok((_, response)) = StreamResponse::decode(payload)
            && response.xhci_mem_info.is_some()
        {
            self.response.set(Some((response, frame.from)));
        }
    }

    fn found(&self, session: u32) {
        let Some((response, broker)) = self.response.take() else { return };
        let complete = (
            response.xhci_mem_info,
            response.interrupter_num,
            response.std_as_data_ep_desc.map(|endpoint| endpoint.max_packet),
        );
        let (Some(memory), Some(interrupter), Some(max_packet)) = complete else { return };
        let strip = |region: Region| Region { iova: Peer(u64::from(region.iova.low())), ..region };
        let memory = MemoryInfo {
            evt_ring: strip(memory.evt_ring),
            tr_data: strip(memory.tr_data),
            tr_sync: strip(memory.tr_sync),
            xfer_buff: strip(memory.xfer_buff),
            ..memory
        };
        self.next.set((0, true));
        self.granted.set(Some(Granted { session, memory, interrupter, broker, max_packet }));
    }

    /// Waits, after what there is to be tried.
    fn wait(&self, arguments: [u32; 5]) -> [u32; 4] {
        loop {
            if let Some(order) = self.master.order() {
                self.carry_out(&order);
            }
            if self.has_start() {
                return [Status::Ok as u32, EVENT_MAIL, 0, 0];
            }
            let answer = self.master.call(Call::Wait, arguments);
            if !self.starves.get() {
                return answer;
            }
        }
    }

    fn has_start(&self) -> bool {
        let start = self.start.take();
        self.start.set(start);
        start.is_some()
    }
}

impl<M: Master> Core for Listening<'_, M> {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        if call == Call::Wait {
            return self.wait(arguments);
        }
        if call == Call::MailReceive
            && let Some((token, frames)) = self.start.take()
        {
            let len = mail::forge_start(self.master, token, frames);
            return [Status::Ok as u32, len, 0, 0];
        }
        let answer = self.master.call(call, arguments);
        if answer[0] == Status::Refused as u32 {
            self.count(|tally| tally.own += 1);
        }
        if answer[0] == Status::Ok as u32 {
            match call {
                Call::MailReceive if answer[1] != 0 => self.received(answer[1]),
                Call::FindSession => self.found(answer[1]),
                Call::Publish if arguments[1] == 0 => {
                    let (_, cycle) = self.next.get();
                    let next = arguments[2] + arguments[3];
                    let wraps = next == u32::from(PER_PAGE);
                    self.next.set(if wraps { (0, !cycle) } else { (next as u16, cycle) });
                }
                _ => {}
            }
        }
        answer
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        self.master.read(at, into);
    }

    fn write(&self, at: Peer, from: &[u8]) {
        self.master.write(at, from);
    }
}
