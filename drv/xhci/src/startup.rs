//! Bringing the controller up (4.2), without ever waiting for it.
//!
//! A sequence of stages, each polled by the timer until the controller is as it
//! has to be or the stage's time is up. The order is the one that boards need:
//! the gate closed, the function reachable, the controller reset; then
//! `iommu.attach`, bus mastering, MSI-X, and the interrupter's enable last. A
//! controller that does not come up is tried again a few times.

use crate::death::Cause;
use crate::driver::{Client, Driver};
use crate::gate::Voided;
use crate::hw::{self, Hw, MAX_INTERRUPTERS, MAX_SCRATCHPADS, MAX_SLOTS, READ_PAGES};
use crate::pages::Pages;
use crate::pci::{self, Function};
use crate::port::{self, MAX_CAPABILITIES, Protocols};
use crate::regs::{CMD_HSEE, CMD_INTE, CMD_RESET, CMD_RUN, GONE, Regs, STS_HALTED, STS_NOT_READY};
use crate::trace::{Trace, note};
use crate::{context, interrupter};
use iommu_api::{Access, Attached};
use trb::{ConsumerRing, InterrupterId, PER_PAGE, PortId};

/// Milliseconds between two looks.
const POLL_MS: u64 = 1;
/// For the monitor to confirm that everything is closed.
const GATE_MS: u64 = 50;
/// For a BIOS to let go (4.22.1).
const HANDOFF_MS: u64 = 1000;
/// For CNR to clear (4.2 gives no limit; controllers need less).
const READY_MS: u64 = 1000;
/// To halt: 16 ms (5.4.1.1), doubled.
const HALT_MS: u64 = 32;
/// To reset.
const RESET_MS: u64 = 1000;
/// From a failure to the next attempt.
const RETRY_MS: u64 = 1000;
/// Attempts in a row.
const ATTEMPTS: u8 = 4;

/// USB Legacy Support capability (7.1).
const CAPABILITY_LEGACY: u8 = 1;
const LEGACY_BIOS: u32 = 1 << 16;
const LEGACY_OS: u32 = 1 << 24;
/// USBLEGCTLSTS: SMI enables to be cleared, events to be acknowledged.
const LEGACY_SMI_ENABLES: u32 = 1 << 0 | 1 << 4 | 7 << 13;
const LEGACY_SMI_EVENTS: u32 = 7 << 29;
/// DNCTRL: function wake, the one notification that is of use (fact 11).
const NOTIFICATIONS: u32 = 1 << 1;

/// How far start-up is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Begins with the next look.
    Begin,
    /// What earlier lives opened is being closed.
    Gate,
    /// A BIOS is asked to let go.
    Handoff,
    /// The controller gets its registers ready.
    Ready,
    /// It halts.
    Halting,
    /// It resets.
    Resetting,
    /// It starts.
    Starting,
    /// It runs.
    Running,
    /// It failed; the next attempt has its time.
    Failed,
    /// It is not tried again before somebody asks for it.
    GaveUp,
}

/// The state of start-up.
#[derive(Debug)]
pub(crate) struct Startup<'c> {
    stage: Stage,
    /// When to look again.
    poll: Option<u64>,
    /// When the stage's time is up.
    until: u64,
    attempts: u8,
    found: Option<(Function<'c>, Regs<'c>)>,
}

impl Startup<'_> {
    pub(crate) const fn new() -> Self {
        Self { stage: Stage::Begin, poll: None, until: 0, attempts: 0, found: None }
    }

    /// When to look again.
    pub(crate) const fn deadline(&self) -> Option<u64> {
        self.poll
    }

    /// Whether the controller was seen to run.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Whether the controller is not tried any more.
    pub(crate) fn gave_up(&self) -> bool {
        self.stage == Stage::GaveUp
    }

    /// The controller failed while it ran: from the start.
    pub(crate) const fn begin(&mut self, now: u64) {
        self.stage = Stage::Begin;
        self.poll = Some(now);
    }

    fn enter(&mut self, stage: Stage, now: u64, limit: u64) {
        note(Trace::Startup(stage));
        self.stage = stage;
        self.poll = Some(now + POLL_MS);
        self.until = now + limit;
    }
}

impl<'c> Driver<'c> {
    /// Looks how far start-up is, and goes on.
    pub(crate) fn poll_startup(&mut self, now: u64) {
        if matches!(self.startup.stage, Stage::Running | Stage::GaveUp) {
            return;
        }
        loop {
            let before = self.startup.stage;
            if let Err(cause) = self.stage(now) {
                self.startup_failed(cause, now);
                return;
            }
            if self.startup.stage == Stage::Running {
                self.startup.poll = None;
                return;
            }
            if self.startup.stage == before {
                self.startup.poll = Some(now + POLL_MS).max(self.retry());
                return;
            }
        }
    }

    /// When a failed start is tried again.
    fn retry(&self) -> Option<u64> {
        (self.startup.stage == Stage::Failed).then_some(self.startup.until)
    }

    fn stage(&mut self, now: u64) -> Result<(), Cause> {
        let late = now >= self.startup.until;
        match self.startup.stage {
            Stage::Begin => {
                // Life 0 would look like a page that was never written.
                self.gate.void(self.epoch.wrapping_add(1));
                self.startup.enter(Stage::Gate, now, GATE_MS);
            }
            Stage::Gate => match self.gate.voided(late) {
                Voided::Yes => self.find(now)?,
                Voided::NotYet => {}
                Voided::TellAgain => self.startup.stage = Stage::Begin,
            },
            Stage::Handoff => {
                let regs = self.regs()?;
                let held = legacy(&regs).is_some_and(|(_, value)| value & LEGACY_BIOS != 0);
                if !held || late {
                    self.take_from_bios(&regs);
                    self.startup.enter(Stage::Ready, now, READY_MS);
                }
            }
            Stage::Ready => {
                let regs = self.regs()?;
                if status(&regs)? & STS_NOT_READY == 0 {
                    regs.set_command(regs.command() & !(CMD_RUN | CMD_INTE | CMD_HSEE));
                    self.startup.enter(Stage::Halting, now, HALT_MS);
                } else if late {
                    return Err(Cause::NotReady);
                }
            }
            Stage::Halting => {
                let regs = self.regs()?;
                // One that does not halt is reset all the same.
                if status(&regs)? & STS_HALTED != 0 || late {
                    regs.set_command(CMD_RESET);
                    self.startup.enter(Stage::Resetting, now, RESET_MS);
                }
            }
            Stage::Resetting => {
                let regs = self.regs()?;
                let done = regs.command() & CMD_RESET == 0 && status(&regs)? & STS_NOT_READY == 0;
                if done {
                    self.set_up()?;
                    self.startup.enter(Stage::Starting, now, HALT_MS);
                } else if late {
                    return Err(Cause::NoReset);
                }
            }
            Stage::Starting => {
                let regs = self.regs()?;
                if status(&regs)? & STS_HALTED == 0 {
                    self.started(&regs);
                } else if late {
                    return Err(Cause::DoesNotRun);
                }
            }
            Stage::Failed if late => self.startup.stage = Stage::Begin,
            Stage::Failed | Stage::Running | Stage::GaveUp => {}
        }
        Ok(())
    }

    fn regs(&self) -> Result<Regs<'c>, Cause> {
        self.startup.found.map(|(_, regs)| regs).ok_or(Cause::Gone)
    }

    /// The function, its registers, and who has the controller.
    fn find(&mut self, now: u64) -> Result<(), Cause> {
        self.startup.found = None;
        let function = Function::open(&self.config.function, &self.config.bar);
        let function = function.map_err(|_| Cause::BadFunction)?;
        let regs = Regs::open(&self.config.bar).ok_or(Cause::BadFunction)?;
        self.startup.found = Some((function, regs));
        if let Some((at, value)) = legacy(&regs) {
            regs.set_extended(at, value | LEGACY_OS);
        }
        self.startup.enter(Stage::Handoff, now, HANDOFF_MS);
        Ok(())
    }

    /// Ends what a BIOS may still have armed.
    fn take_from_bios(&self, regs: &Regs<'_>) {
        if let Some((at, _)) = legacy(regs)
            && let Some(control) = regs.extended(at + 4)
        {
            regs.set_extended(at + 4, control & !LEGACY_SMI_ENABLES | LEGACY_SMI_EVENTS);
        }
    }

    /// From a controller that was just reset to one that is told to run.
    fn set_up(&mut self) -> Result<(), Cause> {
        let (function, regs) = self.startup.found.ok_or(Cause::Gone)?;
        let caps = regs.caps;
        if !regs.pages_are_4k() || caps.scratchpads > MAX_SCRATCHPADS {
            return Err(Cause::BadFunction);
        }
        let attached = self.iommu.attach().map_err(|_| Cause::Mapper)?;
        self.after_reset();
        let (read, written) = self.map_pool(caps.scratchpads)?;
        let hw = Hw {
            regs,
            function,
            protocols: Protocols::read(&regs),
            size: context::Size::new(caps.wide_contexts),
            slots: caps.slots.min(MAX_SLOTS as u8),
            interrupters: caps.interrupters.min(function.vectors).min(MAX_INTERRUPTERS as u16),
            pool: &self.config.dma_xhci,
            read,
            written,
        };
        hw.prepare();
        // Before the event ring is named: its segment table is fetched when
        // ERSTBA is written (4.9.4), and without bus mastering that is lost.
        hw.function.set_master(true);
        regs.set_slots(hw.slots);
        regs.set_contexts(hw.contexts_bus());
        regs.set_notifications(NOTIFICATIONS);
        self.commands.set_up(&hw);
        self.events = ConsumerRing::new(PER_PAGE);
        let (_, events) = hw.events();
        interrupter::set_ring(&hw, InterrupterId::PRIMARY, events, 0);
        self.enable(&hw, &attached);
        self.hw = Some(hw);
        Ok(())
    }

    /// MSI-X, interrupter, run: in this order.
    fn enable(&self, hw: &Hw<'_>, attached: &Attached) {
        let (primary, dsp) = (self.config.primary_vector, self.config.dsp_vectors);
        hw.function.enable_msix(&self.config.bar, attached.doorbell, |vector| match vector {
            0 => Some(primary),
            n if n < hw.interrupters => Some(dsp + n - 1),
            _ => None,
        });
        hw.regs.set_management(InterrupterId::PRIMARY, true, false);
        hw.regs.set_command(CMD_RUN | CMD_INTE | CMD_HSEE);
    }

    /// Lets the controller see `dma_xhci`: what it reads, what it writes, and
    /// bounce pages for either way, sharing what is left.
    fn map_pool(&mut self, scratchpads: u16) -> Result<(addr::Bus, addr::Bus), Cause> {
        let pool = &self.config.dma_xhci;
        let start = hw::bounce_start(scratchpads);
        let bounce = pool.pages().checked_sub(start).filter(|&n| n >= 2).ok_or(Cause::Pool)?;
        let (out, back) = (bounce.div_ceil(2), bounce / 2);
        let wide = self.regs()?.caps.wide_addresses;
        // The controller was reset: what an earlier set-up had there is free.
        pool.take_back(0, start);
        let map = |page: u16, count: u16, access| {
            let bus = self.iommu.map(pool.id(), page, count, access).map_err(|_| Cause::Mapper)?;
            // Without AC64 the controller has no way to say more (fact 99).
            if wide || bus.high() == 0 { Ok(bus) } else { Err(Cause::Pool) }
        };
        let read = map(0, READ_PAGES, Access::Read)?;
        let written = map(READ_PAGES, hw::written_pages(scratchpads), Access::ReadWrite)?;
        let out_bus = map(start, out, Access::Read)?;
        let in_bus = map(start + out, back, Access::ReadWrite)?;
        self.bounce_out.seen_from(Pages::new(pool, start, out), out_bus);
        self.bounce_in.seen_from(Pages::new(pool, start + out, back), in_bus);
        Ok((read, written))
    }

    /// The controller runs: power for the ports, and word to the clients.
    /// Devices that were there all the time may never raise an event.
    fn started(&mut self, regs: &Regs<'_>) {
        self.startup.stage = Stage::Running;
        self.startup.attempts = 0;
        note(Trace::Startup(Stage::Running));
        self.gate.watch(regs.event_dequeue_at(InterrupterId::PRIMARY).low());
        for port in (1..=regs.caps.ports).filter_map(|n| PortId::new(n).ok()) {
            if regs.caps.port_power
                && let Some(value) = port::power_on(regs.port(port))
            {
                regs.set_port(port, value);
            }
        }
        for news in &mut self.news {
            news.controller_ready();
        }
        self.hint(Client::UsbCore);
        self.hint(Client::Broker);
    }

    /// Somebody asks: a controller that is not tried any more may be back, and has one
    /// attempt.
    pub(crate) fn try_again(&mut self, now: u64) {
        if self.startup.gave_up() {
            self.startup.attempts = ATTEMPTS - 1;
            self.startup.begin(now);
        }
    }

    fn startup_failed(&mut self, cause: Cause, now: u64) {
        // What left its bus while it was looked at looked like anything.
        let cause = if pci::answers(&self.config.function) { cause } else { Cause::Gone };
        note(Trace::Died(cause));
        self.hw = None;
        self.make_safe();
        let startup = &mut self.startup;
        startup.attempts += 1;
        if startup.attempts < ATTEMPTS && cause != Cause::BadFunction {
            startup.enter(Stage::Failed, now, RETRY_MS);
            startup.poll = Some(startup.until);
        } else {
            startup.stage = Stage::GaveUp;
            startup.poll = None;
        }
    }

    /// A controller that cannot be reset is kept from memory instead: bus
    /// mastering off, and nothing mapped for it.
    fn make_safe(&mut self) {
        if let Some((function, _)) = self.startup.found
            && pci::answers(&self.config.function)
        {
            function.set_master(false);
        }
        if self.iommu.attach().is_ok() {
            self.after_reset();
            self.news[Client::Broker as usize].safe = true;
            self.hint(Client::Broker);
        }
    }
}

fn status(regs: &Regs<'_>) -> Result<u32, Cause> {
    match regs.status() {
        GONE => Err(Cause::Gone),
        status => Ok(status),
    }
}

/// The USB Legacy Support capability: where, and its first word.
fn legacy(regs: &Regs<'_>) -> Option<(u32, u32)> {
    let mut at = regs.caps.extended;
    for _ in 0..MAX_CAPABILITIES {
        let header = regs.extended(at).filter(|_| at != 0)?;
        if header as u8 == CAPABILITY_LEGACY {
            return Some((at, header));
        }
        match header >> 8 & 0xFF {
            0 => return None,
            next => at += next * 4,
        }
    }
    None
}
