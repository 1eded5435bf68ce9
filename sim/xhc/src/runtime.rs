//! Runtime registers, interrupters and their moderation: xHCI 1.2, 4.17 and 5.5.
//!
//! A 64-bit register is written low word, then high word, and takes effect with
//! the high one (ERSTBA) or with the low one (ERDP), as on QEMU.

use crate::capability::RUNTIME;
use crate::event::{Dequeue, EventRing, interrupter_register};
use crate::ids::InterrupterId;
use crate::{Wake, Xhc, flag};
use addr::Bus;
use fabric::{Fabric, Time, Violation};
use usb_model::Microframe;

/// IMAN: pending, enable.
const PENDING: u32 = 1;
const ENABLE: u32 = 1 << 1;
/// ERDP: event handler busy.
const BUSY: u32 = 1 << 3;
/// Default of IMODI: 1 ms (5.5.2.2).
const MODERATION: u16 = 4000;
/// A unit of IMODI, in nanoseconds.
const MODERATION_UNIT: u64 = 250;

/// An interrupter.
#[derive(Debug)]
pub(crate) struct Interrupter {
    pending: bool,
    enabled: bool,
    /// MSI-X was on when IE was written: only then does the vector work, as on QEMU.
    vector: bool,
    interval: u16,
    /// ERSTSZ.
    pub(crate) segments: u16,
    table_low: u32,
    /// ERSTBA.
    pub(crate) table: Bus,
    /// ERDP, without its low bits.
    pub(crate) dequeue: Bus,
    busy: bool,
    pub(crate) ring: Option<EventRing>,
    /// An event waits to be told about (IPE).
    wanted: bool,
    /// The moderation counter reaches 0 then.
    quiet_until: Time,
    timer: bool,
}

impl Interrupter {
    pub(crate) fn new() -> Self {
        Self {
            pending: false,
            enabled: false,
            vector: false,
            interval: MODERATION,
            segments: 0,
            table_low: 0,
            table: Bus(0),
            dequeue: Bus(0),
            busy: false,
            ring: None,
            wanted: false,
            quiet_until: Time::ZERO,
            timer: false,
        }
    }
}

impl Xhc {
    pub(crate) fn runtime_read(&mut self, fabric: &Fabric, offset: u32) -> u32 {
        let Some(relative) = (offset - RUNTIME).checked_sub(0x20) else {
            return if offset == RUNTIME { self.microframe_index(fabric) } else { 0 };
        };
        let Some(state) = self.interrupters.get(relative as usize / 0x20) else { return 0 };
        match relative % 0x20 {
            0x00 => flag(state.pending, PENDING) | flag(state.enabled, ENABLE),
            0x04 => {
                let left = state.quiet_until.since(fabric.now()).0 / MODERATION_UNIT;
                u32::from(state.interval) | (left as u32 & 0xFFFF) << 16
            }
            0x08 => u32::from(state.segments),
            0x10 => state.table.low(),
            0x14 => state.table.high(),
            0x18 => state.dequeue.low() | flag(state.busy, BUSY),
            0x1C => state.dequeue.high(),
            _ => 0,
        }
    }

    /// MFINDEX; it stands still while the controller does.
    fn microframe_index(&self, fabric: &Fabric) -> u32 {
        if self.operational.running() { self.frame_index(Microframe::at(fabric.now())) } else { 0 }
    }

    /// MFINDEX in microframe `at`: not in step with the other clocks.
    pub(crate) fn frame_index(&self, at: Microframe) -> u32 {
        (at.0.wrapping_add(self.p.seed % 2048 * 8) & 0x3FFF) as u32
    }

    pub(crate) fn runtime_write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) {
        let number = (offset - RUNTIME).checked_sub(0x20).map(|relative| relative / 0x20);
        let id = number.map(|number| InterrupterId(number as u16));
        let Some(id) = id.filter(|id| id.index() < self.interrupters.len()) else {
            self.bad_access(fabric, offset);
            return;
        };
        let n = id.index();
        let reserved = match offset - interrupter_register(id, 0) {
            0x00 => value & !(PENDING | ENABLE),
            0x08 => value & 0xFFFF_0000,
            0x10 => value & 0x3F,
            0x04 | 0x14 | 0x18 | 0x1C => 0,
            _ => u32::MAX,
        };
        if reserved != 0 {
            self.reserved_bits(fabric, offset, value);
        }
        match offset - interrupter_register(id, 0) {
            0x00 => self.write_management(fabric, id, value),
            0x04 => {
                self.interrupters[n].interval = value as u16;
                if value as u16 == 0 {
                    self.interrupters[n].quiet_until = Time::ZERO;
                }
            }
            0x08 => {
                self.interrupters[n].segments = value as u16;
                // Size 0 turns a secondary ring off at once (5.5.2.3.1).
                if value as u16 == 0 {
                    self.interrupters[n].ring = None;
                }
            }
            0x10 => self.interrupters[n].table_low = value & !0x3F,
            0x14 => {
                let low = u64::from(self.interrupters[n].table_low);
                let table = self.pointer(fabric, offset, low | u64::from(value) << 32);
                self.interrupters[n].table = table;
                // The primary ring may only be set while halted (5.5.2.3.2).
                if id == InterrupterId::PRIMARY && self.operational.running() {
                    self.bad_access(fabric, offset);
                }
                self.start_event_ring(fabric, id);
            }
            0x18 => self.write_dequeue(fabric, id, value),
            0x1C => {
                let low = u64::from(self.interrupters[n].dequeue.low());
                // The low word has acted already: the high one must not change it.
                if value != self.interrupters[n].dequeue.high()
                    && self.interrupters[n].ring.is_some()
                {
                    self.bad_access(fabric, offset);
                }
                let dequeue = self.pointer(fabric, offset, low | u64::from(value) << 32);
                self.interrupters[n].dequeue = dequeue;
            }
            _ => {}
        }
    }

    fn write_management(&mut self, fabric: &mut Fabric, id: InterrupterId, value: u32) {
        let msix = self.pci.msix_enabled();
        let state = &mut self.interrupters[id.index()];
        let enabled = value & ENABLE != 0;
        let rises = enabled && !state.enabled;
        state.enabled = enabled;
        state.vector = msix && (state.vector || enabled);
        if value & PENDING != 0 && state.pending {
            state.pending = false;
            state.quiet_until = fabric.now() + moderation(state.interval);
        }
        let fires = rises && state.pending;
        if rises && !msix {
            // The vector would never fire on QEMU, however MSI-X is set later.
            self.bad_access(fabric, interrupter_register(id, 0));
        }
        if fires {
            self.send(fabric, id);
        }
        self.try_interrupt(fabric, id);
    }

    fn write_dequeue(&mut self, fabric: &mut Fabric, id: InterrupterId, value: u32) {
        let state = &mut self.interrupters[id.index()];
        let high = u64::from(state.dequeue.high());
        state.dequeue = Bus(high << 32 | u64::from(value & !0xF));
        let at = state.dequeue;
        let news = state.ring.as_mut().map(|ring| ring.set_dequeue(at));
        match news {
            // Nothing is left to tell of (4.17.5).
            Some(Dequeue::Empty) => state.wanted = false,
            Some(Dequeue::Left) => state.wanted |= value & BUSY != 0,
            Some(Dequeue::Astray) => {
                let (controller, interrupter) = (self.number, id.0);
                let violation = Violation::DequeueBeyondEnqueue { controller, interrupter, at };
                self.violation(fabric, violation);
            }
            None => {}
        }
        if value & BUSY != 0 {
            self.interrupters[id.index()].busy = false;
            self.try_interrupt(fabric, id);
        }
    }

    /// An event that may interrupt was put on a ring.
    pub(crate) fn interrupt(&mut self, fabric: &mut Fabric, id: InterrupterId) {
        self.interrupters[id.index()].wanted = true;
        self.try_interrupt(fabric, id);
    }

    /// Sets IP and EHB when an event waits, software is not busy and the
    /// moderation interval is over (4.17.2, 4.17.5).
    pub(crate) fn try_interrupt(&mut self, fabric: &mut Fabric, id: InterrupterId) {
        let moderates = self.p.moderates;
        let state = &mut self.interrupters[id.index()];
        if !state.wanted || state.busy || state.pending {
            return;
        }
        if moderates && state.quiet_until > fabric.now() {
            if !state.timer {
                state.timer = true;
                let at = state.quiet_until;
                self.wake_at(fabric, at, Wake::Moderation(id));
            }
            return;
        }
        state.wanted = false;
        state.busy = true;
        state.pending = true;
        if self.interrupters[id.index()].enabled {
            self.operational.note_interrupt();
            self.send(fabric, id);
        }
    }

    pub(crate) fn moderation_over(&mut self, fabric: &mut Fabric, id: InterrupterId) {
        self.interrupters[id.index()].timer = false;
        self.try_interrupt(fabric, id);
    }

    /// Interrupts were let through: those that waited for it go out.
    pub(crate) fn send_pending(&mut self, fabric: &mut Fabric) {
        for n in 0..self.p.interrupters {
            let state = &self.interrupters[usize::from(n)];
            if state.pending && state.enabled {
                self.send(fabric, InterrupterId(n));
            }
        }
    }

    /// Sends the message of `id`; with MSI-X that clears IP (4.17.5).
    fn send(&mut self, fabric: &mut Fabric, id: InterrupterId) {
        if !self.operational.interrupts_enabled() {
            return;
        }
        let state = &mut self.interrupters[id.index()];
        if !state.vector {
            return;
        }
        state.pending = false;
        state.quiet_until = fabric.now() + moderation(state.interval);
        if let Some(message) = self.pci.fire(id.index()) {
            self.message(fabric, message);
        }
    }
}

fn moderation(interval: u16) -> Time {
    Time::ns(u64::from(interval) * MODERATION_UNIT)
}
