//! Suspends and resumes the system when it is told to.
//!
//! It is told by bells: suspend, hibernate, resume. Which devices stay up, in
//! which order the others go down, and what is undone when one of them cannot,
//! is `usb_core`'s; here is when. A device that wakes the system is an order to
//! resume. Each order is asked for by ticket, so this task sleeps meanwhile, and
//! needs no timer.
//!
//! When `usb_core` dies, its next life begins awake, and the order that stands is
//! asked for again. When this task dies, its next life looks where the system is
//! and wakes it up ([`State::BEGIN`] says why). A suspend that failed is noted
//! and not tried again: all devices are up, and whoever ordered it can order it
//! again.
//!
//! Nobody sends to it, so it receives notifications only.

#![cfg_attr(not(test), no_std)]

mod transition;

pub use transition::{Action, At, Event, Order, State, transition};

use ringbuf::{counted_ringbuf, ringbuf_entry};
use usb_core_api::{Depth, SystemPower, TicketHandle, UsbCore, UsbCoreError};
use userlib::{sys_irq_control, sys_recv_notification, task_slot};

task_slot!(USB_CORE, usb_core);

/// What the image gives the task.
#[derive(Copy, Clone, Debug)]
pub struct Config {
    /// Notification bit of the bell that orders a suspend.
    pub suspend: u32,
    /// Of the bell that orders a suspend of everything.
    pub hibernate: u32,
    /// Of the bell that orders a resume.
    pub resume: u32,
    /// Notification bit of the supervisor's news.
    pub peer_changed: u32,
    /// All notification bits.
    pub mask: u32,
}

impl Config {
    /// The order that is in `bits`. Of several the one that keeps more awake:
    /// a bell does not say when it was rung.
    #[must_use]
    pub const fn order(&self, bits: u32) -> Option<Order> {
        if bits & self.resume != 0 {
            Some(Order::Resume)
        } else if bits & self.suspend != 0 {
            Some(Order::Suspend)
        } else if bits & self.hibernate != 0 {
            Some(Order::Hibernate)
        } else {
            None
        }
    }
}

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
#[repr(u8)]
enum Trace {
    #[count(skip)]
    None,
    /// A bell.
    Told(Order),
    /// A device woke the system.
    Woken,
    /// Where a life of this task or of `usb_core` begins.
    Found(SystemPower),
    Asked(Order),
    Done(Order),
    /// `usb_core` refused, or failed and undid what it had done.
    Failed(Order, UsbCoreError),
    CoreDied,
}

counted_ringbuf!(Trace, 32, Trace::None);

/// Runs the task.
#[inline(always)]
pub fn main(config: &Config) -> ! {
    let mut task = Power { usb: UsbCore::from(USB_CORE.get_task_id()), state: State::BEGIN };
    let bells = config.suspend | config.hibernate | config.resume;
    sys_irq_control(bells, true);
    task.happen(Event::Begun);
    loop {
        // The news after the bells: a device that wakes the system is not
        // overruled by who rang before it did.
        task.pull();
        let bits = sys_recv_notification(config.mask);
        if bits & bells != 0 {
            sys_irq_control(bits & bells, true);
        }
        if bits & config.peer_changed != 0 {
            task.meet_core();
        }
        if let Some(order) = config.order(bits) {
            ringbuf_entry!(Trace::Told(order));
            task.happen(Event::Told(order));
        }
    }
}

struct Power {
    usb: UsbCore,
    state: State,
}

impl Power {
    /// Takes in what happened, and does what follows until that is to wait.
    fn happen(&mut self, mut event: Event) {
        loop {
            let (state, action) = transition(self.state, event);
            self.state = state;
            event = match action {
                None => return,
                Some(Action::Look) => Event::Found(self.look()),
                Some(Action::Ask(order)) => Event::Asked(self.ask(order)),
            };
        }
    }

    fn look(&self) -> Result<SystemPower, UsbCoreError> {
        let found = self.usb.status()?.system;
        ringbuf_entry!(Trace::Found(found));
        Ok(found)
    }

    fn ask(&self, order: Order) -> Result<TicketHandle, UsbCoreError> {
        let asked = match order {
            Order::Resume => self.usb.start_resume(),
            Order::Suspend => self.usb.start_suspend(Depth::AllButHeld),
            Order::Hibernate => self.usb.start_suspend(Depth::All),
        };
        ringbuf_entry!(match asked {
            Ok(_) => Trace::Asked(order),
            Err(error) => Trace::Failed(order, error),
        });
        asked
    }

    /// Takes all news. What of it is no ticket and woke nobody is about devices,
    /// which are not this task's.
    fn pull(&mut self) {
        use usb_core_api::Event as News;
        loop {
            match self.usb.pull() {
                Ok(News::None) | Err(_) => return,
                Ok(News::Woken(_)) => {
                    ringbuf_entry!(Trace::Woken);
                    self.happen(Event::Woken);
                }
                Ok(News::TicketDone(_)) => self.collect(),
                Ok(_) => {}
            }
        }
    }

    /// Asks how what is under way ended, if it did.
    fn collect(&mut self) {
        let At::OnItsWay(order, ticket) = self.state.at else { return };
        let ended = self.usb.result(ticket);
        match ended {
            Err(UsbCoreError::NotYet) => return,
            Err(error) => ringbuf_entry!(Trace::Failed(order, error)),
            Ok(()) => ringbuf_entry!(Trace::Done(order)),
        }
        self.happen(Event::Ended(ended));
    }

    /// Another life of `usb_core` is the one to talk to, or the one that was held
    /// back runs by now.
    fn meet_core(&mut self) {
        let core = UsbCore::from(USB_CORE.get_task_id());
        let another = core.task_id() != self.usb.task_id();
        if another {
            self.usb = core;
            ringbuf_entry!(Trace::CoreDied);
        }
        if another || self.state.at == At::Lost {
            self.happen(Event::Begun);
        }
    }
}
