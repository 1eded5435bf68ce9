//! Operational registers and the life of the controller: xHCI 1.2, 4.2 and 5.4.

use crate::command::CommandRing;
use crate::context::{Endpoint, EndpointState, Slot, SlotState};
use crate::ids::RootPort;
use crate::pci::Pci;
use crate::{Wake, Xhc, flag};
use addr::{Bus, PAGE};
use fabric::{Fabric, Time, Violation};

/// Registers, by their offset from the operational base.
mod register {
    pub(super) const USBCMD: u32 = 0x00;
    pub(super) const USBSTS: u32 = 0x04;
    pub(super) const PAGESIZE: u32 = 0x08;
    pub(super) const DNCTRL: u32 = 0x14;
    pub(super) const CRCR: u32 = 0x18;
    pub(super) const CRCR_HIGH: u32 = 0x1C;
    pub(super) const DCBAAP: u32 = 0x30;
    pub(super) const DCBAAP_HIGH: u32 = 0x34;
    pub(super) const CONFIG: u32 = 0x38;
    pub(super) const PORTS: u32 = 0x400;
}

/// USBCMD.
mod command {
    pub(super) const RUN: u32 = 1;
    pub(super) const RESET: u32 = 1 << 1;
    pub(super) const INTERRUPTS: u32 = 1 << 2;
    pub(super) const HOST_ERRORS: u32 = 1 << 3;
    pub(super) const SAVE: u32 = 1 << 8;
    pub(super) const RESTORE: u32 = 1 << 9;
    pub(super) const WRAP_EVENTS: u32 = 1 << 10;
    pub(super) const KEPT: u32 = INTERRUPTS | HOST_ERRORS | WRAP_EVENTS | 1 << 11;
    pub(super) const KNOWN: u32 = KEPT | RUN | RESET | SAVE | RESTORE | 1 << 7;
}

/// USBSTS.
mod status {
    pub(super) const HALTED: u32 = 1;
    pub(super) const HOST_ERROR: u32 = 1 << 2;
    pub(super) const INTERRUPT: u32 = 1 << 3;
    pub(super) const PORT_CHANGE: u32 = 1 << 4;
    pub(super) const RESTORE_ERROR: u32 = 1 << 10;
    pub(super) const NOT_READY: u32 = 1 << 11;
    pub(super) const CONTROLLER_ERROR: u32 = 1 << 12;
    pub(super) const CLEARED_BY_ONE: u32 = HOST_ERROR | INTERRUPT | PORT_CHANGE | RESTORE_ERROR;
}

/// What the scratchpad buffers are filled with, to notice who else writes there.
const SCRATCH: u32 = 0x5C7A_7C11;

/// How a controller can die.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// USBSTS.HCE: an internal error; only a reset helps.
    ControllerError,
    /// USBSTS.HSE: an error on its bus; it halts, and only a reset helps.
    HostError,
    /// It is gone from its bus: every read gives ones, and nothing helps before
    /// [`Xhc::come_back`].
    Gone,
}

/// The registers.
#[derive(Debug)]
pub(crate) struct Operational {
    run: bool,
    /// The bits of USBCMD that are just kept.
    kept: u32,
    halted: bool,
    /// Set bits of USBSTS that are cleared by writing a one.
    changes: u32,
    resetting: bool,
    dead: bool,
    notifications: u32,
    ring_low: u32,
    array_low: u32,
    /// DCBAAP.
    pub(crate) array: Bus,
    config: u32,
    scratchpads: Vec<Bus>,
}

impl Operational {
    pub(crate) fn new() -> Self {
        Self {
            run: false,
            kept: 0,
            halted: true,
            changes: 0,
            resetting: false,
            dead: false,
            notifications: 0,
            ring_low: 0,
            array_low: 0,
            array: Bus(0),
            config: 0,
            scratchpads: Vec::new(),
        }
    }

    /// It failed, and was not reset since.
    pub(crate) fn failed(&self) -> bool {
        self.dead || self.changes & status::HOST_ERROR != 0
    }

    /// It may still write events: it runs, or is about to halt.
    pub(crate) fn alive(&self) -> bool {
        !self.halted && !self.failed()
    }

    /// It runs.
    pub(crate) fn running(&self) -> bool {
        self.alive() && self.run
    }

    pub(crate) fn interrupts_enabled(&self) -> bool {
        self.kept & command::INTERRUPTS != 0
    }

    pub(crate) fn note_interrupt(&mut self) {
        self.changes |= status::INTERRUPT;
    }

    pub(crate) fn note_port_change(&mut self) {
        self.changes |= status::PORT_CHANGE;
    }

    pub(crate) fn max_slots(&self) -> u8 {
        self.config as u8
    }
}

impl Xhc {
    pub(crate) fn operational_read(&mut self, fabric: &mut Fabric, relative: u32) -> u32 {
        let state = &self.operational;
        match relative {
            register::USBCMD => {
                let reset = flag(state.resetting, command::RESET);
                u32::from(state.run) | reset | state.kept
            }
            register::USBSTS => {
                flag(state.halted, status::HALTED)
                    | state.changes
                    | flag(state.resetting, status::NOT_READY)
                    | flag(state.dead, status::CONTROLLER_ERROR)
            }
            register::PAGESIZE => 1,
            register::DNCTRL => state.notifications,
            // Only CRR can be read (5.4.5).
            register::CRCR => u32::from(self.commands.running()) << 3,
            register::DCBAAP => state.array.low(),
            register::DCBAAP_HIGH => state.array.high(),
            register::CONFIG => state.config,
            _ if relative >= register::PORTS => self.port_read(fabric, relative - register::PORTS),
            _ => 0,
        }
    }

    pub(crate) fn operational_write(&mut self, fabric: &mut Fabric, relative: u32, value: u32) {
        let offset = relative + u32::from(self.p.caplength);
        if self.operational.resetting {
            // CNR: nothing may be written (5.4.2).
            self.bad_access(fabric, offset);
            return;
        }
        match relative {
            register::USBCMD => self.write_command(fabric, value),
            register::USBSTS => {
                self.operational.changes &= !(value & status::CLEARED_BY_ONE);
            }
            register::DNCTRL => {
                if value & 0xFFFF_0000 != 0 {
                    self.reserved_bits(fabric, offset, value);
                }
                self.operational.notifications = value & 0xFFFF;
            }
            register::CRCR => {
                if value & 0x30 != 0 {
                    self.reserved_bits(fabric, offset, value);
                }
                self.operational.ring_low = value;
                self.control_commands(fabric, value & 2 != 0, value & 4 != 0);
            }
            register::CRCR_HIGH => {
                let low = self.operational.ring_low;
                if self.commands.running() {
                    // Stopping and aborting is all that is possible now.
                    if low & 6 == 0 {
                        self.bad_access(fabric, offset);
                    }
                    return;
                }
                let base = u64::from(low & !0x3F) | u64::from(value) << 32;
                let base = self.pointer(fabric, offset, base);
                self.commands.set(base, low & 1 == 1);
            }
            register::DCBAAP => {
                if value & 0x3F != 0 {
                    self.reserved_bits(fabric, offset, value);
                }
                self.operational.array_low = value & !0x3F;
                self.operational.array =
                    Bus(u64::from(self.operational.array.high()) << 32 | u64::from(value & !0x3F));
                self.forbid_while_running(fabric, offset);
            }
            register::DCBAAP_HIGH => {
                let array = u64::from(self.operational.array_low) | u64::from(value) << 32;
                self.operational.array = self.pointer(fabric, offset, array);
                self.forbid_while_running(fabric, offset);
            }
            register::CONFIG => {
                if value & !0x3FF != 0 || value as u8 > self.p.slots {
                    self.reserved_bits(fabric, offset, value);
                }
                self.operational.config = value & 0x3FF;
                self.forbid_while_running(fabric, offset);
            }
            _ if relative >= register::PORTS => {
                self.port_write(fabric, relative - register::PORTS, value);
            }
            _ => self.bad_access(fabric, offset),
        }
    }

    fn forbid_while_running(&mut self, fabric: &mut Fabric, offset: u32) {
        if self.operational.running() {
            self.bad_access(fabric, offset);
        }
    }

    fn write_command(&mut self, fabric: &mut Fabric, value: u32) {
        let offset = u32::from(self.p.caplength);
        if value & !command::KNOWN != 0 {
            self.reserved_bits(fabric, offset, value);
        }
        if value & command::RESET != 0 {
            // Only of a controller that is halted or beyond help (5.4.1).
            if !self.operational.halted && self.operational.alive() {
                self.bad_access(fabric, offset);
            }
            self.reset(fabric);
            return;
        }
        let before = self.operational.interrupts_enabled();
        self.operational.kept = value & command::KEPT;
        if !before && self.operational.interrupts_enabled() {
            self.send_pending(fabric);
        }
        if value & command::RESTORE != 0 {
            // Nothing survives a loss of power here: software starts afresh (4.23.2).
            self.operational.changes |= status::RESTORE_ERROR;
        }
        let run = value & command::RUN != 0;
        match (self.operational.run, run) {
            (false, true) => self.start(fabric),
            (true, false) => {
                self.operational.run = false;
                if self.operational.alive() {
                    self.after(fabric, self.p.halt, Wake::Halted);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, fabric: &mut Fabric) {
        let offset = u32::from(self.p.caplength);
        let misconfigured = self.operational.max_slots() == 0
            || self.operational.array.0 == 0
            || !self.pci.bus_master()
            || self.legacy.bios
            || self.interrupters[0].ring.is_none()
            || !self.operational.halted;
        if misconfigured {
            self.bad_access(fabric, offset);
        }
        if self.operational.failed() {
            return;
        }
        self.operational.run = true;
        self.operational.halted = false;
        self.take_scratchpads(fabric);
        self.announce_ports(fabric);
    }

    /// Reads the scratchpad array and takes its pages (4.20).
    fn take_scratchpads(&mut self, fabric: &mut Fabric) {
        if self.p.scratchpads == 0 {
            return;
        }
        let Some([low, high]) = self.read_words::<2>(fabric, self.operational.array) else {
            self.host_error(fabric);
            return;
        };
        let array = Bus(u64::from(low) | u64::from(high) << 32);
        if array.0 == 0 || !array.is_aligned(64) {
            self.misplaced(fabric, array);
            self.host_error(fabric);
            return;
        }
        let array = self.reach(array);
        let mut pages = Vec::with_capacity(usize::from(self.p.scratchpads));
        for n in 0..u64::from(self.p.scratchpads) {
            let entry = self.read_words::<2>(fabric, array.plus(8 * n)).unwrap_or_default();
            let page = Bus(u64::from(entry[0]) | u64::from(entry[1]) << 32);
            let usable = page.0 != 0 && page.is_aligned(u64::from(PAGE));
            if !usable || !self.write_words(fabric, self.reach(page), [SCRATCH; 4]) {
                self.misplaced(fabric, page);
                self.host_error(fabric);
                return;
            }
            pages.push(self.reach(page));
        }
        self.operational.scratchpads = pages;
    }

    /// Notices who wrote to what the controller was lent.
    pub(crate) fn check_scratchpads(&mut self, fabric: &mut Fabric) {
        let pages = std::mem::take(&mut self.operational.scratchpads);
        for &page in &pages {
            // A page that is out of reach was not written by anybody.
            let seen = self.read_words::<4>(fabric, page);
            if seen.is_some_and(|words| words != [SCRATCH; 4]) {
                self.context_changed(fabric, 0, 0);
                let _ = self.write_words(fabric, page, [SCRATCH; 4]);
            }
        }
        self.operational.scratchpads = pages;
    }

    /// It stands still now.
    pub(crate) fn halt(&mut self, fabric: &mut Fabric) {
        self.check_scratchpads(fabric);
        self.operational.scratchpads.clear();
        self.stop_everything();
        self.operational.run = false;
        self.operational.halted = true;
    }

    fn stop_everything(&mut self) {
        self.commands.stop();
        for slot in &mut self.slots {
            slot.quiesce();
        }
        self.deferred.iter_mut().for_each(|deferred| *deferred = None);
    }

    /// HCRST (5.4.1): everything but the PCI function starts afresh.
    fn reset(&mut self, fabric: &mut Fabric) {
        self.generation = self.generation.wrapping_add(1);
        self.blind.set(false);
        self.operational = Operational::new();
        self.operational.resetting = true;
        self.commands = CommandRing::new();
        self.deferred.clear();
        for slot in &mut self.slots {
            slot.forget();
        }
        for interrupter in &mut self.interrupters {
            *interrupter = crate::runtime::Interrupter::new();
        }
        if self.p.reset == Time::ZERO {
            self.reset_done(fabric);
        } else {
            self.after(fabric, self.p.reset, Wake::ResetDone);
        }
    }

    pub(crate) fn reset_done(&mut self, fabric: &mut Fabric) {
        self.operational.resetting = false;
        for n in 1..=self.p.ports() {
            self.reset_port(fabric, RootPort(n));
        }
    }

    /// Host controller error: it does nothing any more until it is reset.
    pub(crate) fn fail(&mut self, _fabric: &mut Fabric) {
        self.operational.dead = true;
        self.stop_everything();
    }

    fn host_error(&mut self, _fabric: &mut Fabric) {
        self.operational.changes |= status::HOST_ERROR;
        self.operational.run = false;
        self.operational.halted = true;
        self.stop_everything();
    }

    /// Lets the controller die.
    pub fn kill(&mut self, fabric: &mut Fabric, death: Death) {
        match death {
            Death::ControllerError => self.fail(fabric),
            Death::HostError => self.host_error(fabric),
            Death::Gone => {
                self.left = self.bar();
                self.gone = true;
                self.generation = self.generation.wrapping_add(1);
                self.stop_everything();
                self.operational = Operational::new();
            }
        }
    }

    /// A controller that was gone is back on its bus, as it was when it was switched
    /// on; what is plugged into it stayed.
    pub fn come_back(&mut self, fabric: &mut Fabric) {
        if std::mem::take(&mut self.gone) {
            self.pci = Pci::new(self.p.interrupters);
            self.reset(fabric);
        }
    }

    /// Slots that are enabled: none may be left when a scenario has cleaned up.
    #[must_use]
    pub fn enabled_slots(&self) -> usize {
        self.slots.iter().filter(|slot| slot.state != SlotState::Disabled).count()
    }

    /// Endpoints that are configured, endpoint 0 of each slot left out.
    #[must_use]
    pub fn configured_endpoints(&self) -> usize {
        self.slots.iter().map(|slot| slot.endpoints_beyond_control()).sum()
    }

    /// Endpoints that stand still because their devices are suspended.
    #[must_use]
    pub fn suspended_endpoints(&self) -> usize {
        let suspended =
            |endpoint: &Endpoint| endpoint.state == EndpointState::Stopped && endpoint.for_suspend;
        let all = self.slots.iter().flat_map(Slot::live);
        all.filter(|(_, endpoint)| suspended(endpoint)).count()
    }

    /// A slot was asked for beyond CONFIG.MaxSlotsEn, or a context is not where
    /// the array says.
    pub(crate) fn context_changed(&self, fabric: &mut Fabric, slot: u8, dci: u8) {
        let controller = self.number;
        self.violation(fabric, Violation::ContextChanged { controller, slot, dci });
    }
}
