//! The controller's registers (xHCI 1.2 chapter 5).
//!
//! Offsets, bits and accessors; what they are used for is in the modules of
//! their chapters. Words that mix kinds of bits (PORTSC, IMAN, USBSTS) are
//! written through functions that know which bits a write means.

use addr::{Bus, Phys};
use mmio::Registers;
use trb::{Dci, InterrupterId, PortId, SlotId};

/// What a register answers when its device is gone from the bus.
pub(crate) const GONE: u32 = u32::MAX;

/// USBCMD.RS: run.
pub(crate) const CMD_RUN: u32 = 1 << 0;
/// USBCMD.HCRST: reset.
pub(crate) const CMD_RESET: u32 = 1 << 1;
/// USBCMD.INTE: interrupts at all.
pub(crate) const CMD_INTE: u32 = 1 << 2;
/// USBCMD.HSEE: host system errors are reported.
pub(crate) const CMD_HSEE: u32 = 1 << 3;

/// USBSTS.HCH: halted.
pub(crate) const STS_HALTED: u32 = 1 << 0;
/// USBSTS.HSE: a host system error, as of a blocked access to a ring.
pub(crate) const STS_SYSTEM_ERROR: u32 = 1 << 2;
/// USBSTS.EINT: an interrupter raised its interrupt; cleared by writing 1.
pub(crate) const STS_EINT: u32 = 1 << 3;
/// USBSTS.CNR: the registers are not ready.
pub(crate) const STS_NOT_READY: u32 = 1 << 11;
/// USBSTS.HCE: the controller is broken inside.
pub(crate) const STS_CONTROLLER_ERROR: u32 = 1 << 12;

/// CRCR.RCS: the consumer's cycle.
pub(crate) const CRCR_CYCLE: u64 = 1 << 0;
/// CRCR.CA: abort.
pub(crate) const CRCR_ABORT: u64 = 1 << 2;
/// CRCR.CRR: the command ring runs.
pub(crate) const CRCR_RUNNING: u32 = 1 << 3;

/// IMAN.IP: pending; cleared by writing 1.
pub(crate) const IMAN_PENDING: u32 = 1 << 0;
/// IMAN.IE: enabled.
pub(crate) const IMAN_ENABLE: u32 = 1 << 1;

/// ERDP.EHB: cleared by writing 1.
pub(crate) const ERDP_BUSY: u64 = 1 << 3;

/// Operational registers, from CAPLENGTH.
mod op {
    pub(super) const USBCMD: u32 = 0x00;
    pub(super) const USBSTS: u32 = 0x04;
    pub(super) const PAGESIZE: u32 = 0x08;
    pub(super) const DNCTRL: u32 = 0x14;
    pub(super) const CRCR: u32 = 0x18;
    pub(super) const DCBAAP: u32 = 0x30;
    pub(super) const CONFIG: u32 = 0x38;
    pub(super) const PORTSC: u32 = 0x400;
    pub(super) const PORT_STRIDE: u32 = 0x10;
}

/// Registers of one interrupter, from runtime + 0x20 + 32 n.
mod ir {
    pub(super) const FIRST: u32 = 0x20;
    pub(super) const STRIDE: u32 = 0x20;
    pub(super) const IMAN: u32 = 0x00;
    pub(super) const IMOD: u32 = 0x04;
    pub(super) const ERSTSZ: u32 = 0x08;
    pub(super) const ERSTBA: u32 = 0x10;
    pub(super) const ERDP: u32 = 0x18;
}

/// What the capability registers say (5.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// HCIVERSION.
    pub(crate) version: u16,
    /// MaxSlots.
    pub(crate) slots: u8,
    /// MaxIntrs.
    pub(crate) interrupters: u16,
    /// MaxPorts.
    pub(crate) ports: u8,
    /// Scratchpad pages that the controller wants.
    pub(crate) scratchpads: u16,
    /// Contexts have 64 bytes (CSZ).
    pub(crate) wide_contexts: bool,
    /// Addresses have 64 bits (AC64).
    pub(crate) wide_addresses: bool,
    /// Ports have power switches (PPC).
    pub(crate) port_power: bool,
    /// Large ESIT payloads (HCCPARAMS2.LEC).
    pub(crate) large_payload: bool,
    /// Offset of the first extended capability, 0 for none.
    pub(crate) extended: u32,
    operational: u32,
    runtime: u32,
    doorbells: u32,
}

impl Capabilities {
    /// Out of the first eight words of the register block.
    pub(crate) const fn parse(words: [u32; 8]) -> Self {
        let [base, hcs1, hcs2, _, hcc1, doorbells, runtime, hcc2] = words;
        Self {
            version: (base >> 16) as u16,
            operational: base & 0xFF,
            slots: hcs1 as u8,
            interrupters: (hcs1 >> 8) as u16 & 0x7FF,
            ports: (hcs1 >> 24) as u8,
            scratchpads: ((hcs2 >> 21 & 0x1F) << 5 | hcs2 >> 27) as u16,
            wide_addresses: hcc1 & 1 != 0,
            wide_contexts: hcc1 & 1 << 2 != 0,
            port_power: hcc1 & 1 << 3 != 0,
            extended: (hcc1 >> 16) * 4,
            large_payload: hcc2 & 1 << 4 != 0,
            doorbells: doorbells & !0x3,
            runtime: runtime & !0x1F,
        }
    }
}

/// The register block of one controller.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Regs<'c> {
    bar: &'c Registers,
    pub(crate) caps: Capabilities,
}

impl<'c> Regs<'c> {
    /// The block in `bar`; `None` when the controller does not answer, or says
    /// that its registers are where the block is not.
    pub(crate) fn open(bar: &'c Registers) -> Option<Self> {
        let mut words = [0; 8];
        for (word, offset) in words.iter_mut().zip((0..).step_by(4)) {
            *word = bar.read32(offset);
        }
        if words[0] == GONE {
            return None;
        }
        let caps = Capabilities::parse(words);
        let ports = op::PORTSC + u32::from(caps.ports) * op::PORT_STRIDE;
        let interrupters = ir::FIRST + u32::from(caps.interrupters) * ir::STRIDE;
        let doorbells = (u32::from(caps.slots) + 1) * 4;
        let fits = |base: u32, len: u32| base.checked_add(len).is_some_and(|end| end <= bar.len());
        (fits(caps.operational, ports)
            && fits(caps.runtime, interrupters)
            && fits(caps.doorbells, doorbells)
            && caps.slots > 0
            && caps.ports > 0
            && caps.interrupters > 0)
            .then_some(Self { bar, caps })
    }

    fn read_op(&self, register: u32) -> u32 {
        self.bar.read32(self.caps.operational + register)
    }

    fn write_op(&self, register: u32, value: u32) {
        self.bar.write32(self.caps.operational + register, value);
    }

    pub(crate) fn command(&self) -> u32 {
        self.read_op(op::USBCMD)
    }

    pub(crate) fn set_command(&self, value: u32) {
        self.write_op(op::USBCMD, value);
    }

    pub(crate) fn status(&self) -> u32 {
        self.read_op(op::USBSTS)
    }

    /// Acknowledges EINT and nothing else: the other bits that a 1 clears are
    /// errors, which a reset ends.
    pub(crate) fn clear_interrupt(&self) {
        self.write_op(op::USBSTS, STS_EINT);
    }

    /// Whether the controller works with pages of 4 KiB (PAGESIZE bit 0).
    pub(crate) fn pages_are_4k(&self) -> bool {
        self.read_op(op::PAGESIZE) & 1 != 0
    }

    pub(crate) fn set_notifications(&self, mask: u32) {
        self.write_op(op::DNCTRL, mask);
    }

    pub(crate) fn set_command_ring(&self, value: u64) {
        self.bar.write64(self.caps.operational + op::CRCR, value);
    }

    /// The low word of CRCR; its pointer bits read as 0.
    pub(crate) fn command_ring(&self) -> u32 {
        self.read_op(op::CRCR)
    }

    pub(crate) fn set_contexts(&self, base: Bus) {
        self.bar.write64(self.caps.operational + op::DCBAAP, base.0);
    }

    pub(crate) fn set_slots(&self, count: u8) {
        self.write_op(op::CONFIG, u32::from(count));
    }

    pub(crate) fn port(&self, port: PortId) -> u32 {
        self.read_op(Self::port_register(port))
    }

    /// Writes PORTSC; `value` comes from [`crate::port`], which knows its bits.
    pub(crate) fn set_port(&self, port: PortId, value: u32) {
        self.write_op(Self::port_register(port), value);
    }

    fn port_register(port: PortId) -> u32 {
        op::PORTSC + u32::from(port.number() - 1) * op::PORT_STRIDE
    }

    const fn interrupter(&self, id: InterrupterId) -> u32 {
        self.caps.runtime + ir::FIRST + id.number() as u32 * ir::STRIDE
    }

    /// Writes IMAN: enable or not, and with `clear` a 1 to the pending bit.
    pub(crate) fn set_management(&self, id: InterrupterId, enable: bool, clear: bool) {
        let enable = if enable { IMAN_ENABLE } else { 0 };
        let clear = if clear { IMAN_PENDING } else { 0 };
        self.bar.write32(self.interrupter(id) + ir::IMAN, enable | clear);
    }

    pub(crate) fn set_moderation(&self, id: InterrupterId, interval: u16) {
        self.bar.write32(self.interrupter(id) + ir::IMOD, u32::from(interval));
    }

    pub(crate) fn set_segments(&self, id: InterrupterId, count: u32) {
        self.bar.write32(self.interrupter(id) + ir::ERSTSZ, count);
    }

    /// Starts the event ring: size and dequeue pointer must stand by now.
    pub(crate) fn set_segment_table(&self, id: InterrupterId, base: Bus) {
        self.bar.write64(self.interrupter(id) + ir::ERSTBA, base.0);
    }

    pub(crate) fn event_dequeue(&self, id: InterrupterId) -> u64 {
        self.bar.read64(self.interrupter(id) + ir::ERDP)
    }

    pub(crate) fn set_event_dequeue(&self, id: InterrupterId, value: u64) {
        self.bar.write64(self.interrupter(id) + ir::ERDP, value);
    }

    /// Where the monitor finds the interrupter's ERDP.
    pub(crate) fn event_dequeue_at(&self, id: InterrupterId) -> Phys {
        self.bar.base().plus(u64::from(self.interrupter(id) + ir::ERDP))
    }

    /// Rings the command doorbell.
    pub(crate) fn ring_command(&self) {
        self.bar.write32(self.caps.doorbells, 0);
    }

    /// Rings an endpoint's doorbell.
    pub(crate) fn ring(&self, slot: SlotId, endpoint: Dci) {
        self.bar.write32(self.doorbell(slot), u32::from(endpoint.index()));
    }

    /// Where the monitor finds the slot's doorbell.
    pub(crate) fn doorbell_at(&self, slot: SlotId) -> Phys {
        self.bar.base().plus(u64::from(self.doorbell(slot)))
    }

    const fn doorbell(&self, slot: SlotId) -> u32 {
        self.caps.doorbells + slot.number() as u32 * 4
    }

    /// Reads a word of an extended capability; `None` outside the block.
    pub(crate) fn extended(&self, offset: u32) -> Option<u32> {
        let inside = offset.checked_add(4).is_some_and(|end| end <= self.bar.len());
        (inside && offset.is_multiple_of(4)).then(|| self.bar.read32(offset))
    }

    /// Writes a word of an extended capability that was read before.
    pub(crate) fn set_extended(&self, offset: u32, value: u32) {
        self.bar.write32(offset, value);
    }
}

#[cfg(test)]
mod tests {
    use super::Capabilities;

    #[test]
    fn capabilities_of_qemus_controller_are_read() {
        let caps =
            Capabilities::parse([0x0100_0040, 0x0800_1040, 0xF, 0, 0x0008_7001, 0x2000, 0x1000, 0]);
        assert_eq!((caps.version, caps.slots, caps.interrupters, caps.ports), (0x100, 64, 16, 8));
        assert_eq!((caps.scratchpads, caps.wide_contexts, caps.wide_addresses), (0, false, true));
        assert_eq!((caps.extended, caps.operational), (0x20, 0x40));
        assert_eq!((caps.doorbells, caps.runtime), (0x2000, 0x1000));
    }

    #[test]
    fn the_scratchpad_count_has_a_high_and_a_low_half() {
        let hcs2 = 3 << 21 | 5 << 27;
        let caps = Capabilities::parse([0, 0, hcs2, 0, 1 << 2, 0x2003, 0x101F, 1 << 4]);
        assert_eq!(caps.scratchpads, 3 << 5 | 5);
        assert!(caps.wide_contexts && caps.large_payload);
        assert_eq!(
            (caps.doorbells, caps.runtime),
            (0x2000, 0x1000),
            "reserved bits are not address"
        );
    }
}
