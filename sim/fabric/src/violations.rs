//! What models found wrong with the code that drives them.
//!
//! Each rule that a model enforces has a variant here, with what is needed to
//! find the culprit. A violation is not an error that the hardware reports: the
//! model goes on as hardware would, and the scenario fails at its end (or at
//! once, for what [`Violation::ends_the_run`]).

use crate::{StreamId, Time};
use addr::{Bus, Phys};

/// Violations that are kept with their context; the rest are only counted.
pub const KEPT: usize = 64;

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        /// A rule that was broken.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum Violation {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type,)* },)*
        }

        #[derive(Copy, Clone)]
        enum Kind { $($name,)* }

        const NAMES: &[&str] = &[$(stringify!($name),)*];

        impl Violation {
            const fn index(&self) -> usize {
                match self {
                    $(Self::$name { .. } => Kind::$name as usize,)*
                }
            }
        }
    };
}

violations! {
    // Memory and bus.

    /// A device reached a page that belongs to nobody any more.
    DmaToFreedPage {
        /// Who.
        stream: StreamId,
        /// With what address.
        bus: Bus,
        /// The page.
        page: Phys,
    }
    /// A device reached a page that it has no business with.
    DmaToForeignPage {
        /// Who.
        stream: StreamId,
        /// With what address.
        bus: Bus,
        /// The page.
        page: Phys,
    }
    /// A device was let through to where there is no memory and no doorbell.
    DmaToNothing {
        /// Who.
        stream: StreamId,
        /// Where.
        at: Phys,
    }
    /// A device moved data while the SMMU was not enabled.
    DmaUntranslated {
        /// Who.
        stream: StreamId,
        /// Where.
        bus: Bus,
    }
    /// A core wrote a page that is mapped for a device no more, but that the
    /// device may still reach, because the SMMU was not made to forget it.
    ReusedWhileReachable {
        /// The page.
        page: Phys,
    }
    /// A page that any controller can be given was given back while the SMMU may
    /// still let one reach it.
    FreedWhileReachable {
        /// The page.
        page: Phys,
    }
    /// A core touched a page that was given back.
    CoreTouchedFreedPage {
        /// The page.
        page: Phys,
    }
    /// The DSP's program was shown a page that was not zeroed since it was
    /// handed out.
    PeerSawOldData {
        /// The page.
        page: Phys,
    }

    // SMMU.

    /// A translation, stream table entry or context descriptor was replaced by
    /// another one without being invalid in between (Arm ARM D8.16
    /// "break-before-make").
    BreakBeforeMake {
        /// The descriptor.
        at: Phys,
        /// What was there.
        old: u64,
        /// What was written.
        new: u64,
    }
    /// A translation or a stream's configuration became valid again, but
    /// differently, before the SMMU was made to forget the old one.
    ChangedWithoutInvalidation {
        /// Whose translation.
        stream: StreamId,
        /// Of what page.
        bus: Bus,
    }
    /// The high half of a 64-bit register was written without its low half, or
    /// the register was put to use between the two.
    SmmuHalfWritten {
        /// Offset of the register.
        register: u32,
    }
    /// A register was written while the unit it describes was enabled.
    SmmuWrittenWhileEnabled {
        /// Offset of the register.
        register: u32,
    }
    /// A register was written before the update of CR0 or IRQ_CTRL was acknowledged.
    SmmuNotAcknowledged {
        /// Offset of the register.
        register: u32,
    }
    /// Reserved bits of a register were not written as zero.
    SmmuReservedRegisterBits {
        /// Offset of the register.
        register: u32,
        /// What was written.
        value: u64,
    }
    /// A read-only or unknown register was written, or a register accessed with
    /// a width it does not have.
    SmmuBadAccess {
        /// Offset of the register.
        register: u32,
    }
    /// A table or queue does not stand at a multiple of its size, or not in memory.
    SmmuMisplaced {
        /// Offset of the register that says where.
        register: u32,
        /// Where.
        at: Phys,
    }
    /// A queue index is outside its queue, or makes it more than full.
    SmmuBadIndex {
        /// Offset of the register.
        register: u32,
        /// The index.
        value: u32,
    }
    /// Reserved bits of a command were not zero.
    SmmuReservedCommandBits {
        /// The command's opcode.
        opcode: u8,
    }
    /// A command that the SMMU does not know, or not in this configuration.
    SmmuUnknownCommand {
        /// The command's opcode.
        opcode: u8,
    }
    /// A table entry has a value that the SMMU must refuse.
    SmmuBadEntry {
        /// Where.
        at: Phys,
        /// The record that goes with it.
        record: u8,
    }
    /// The SMMU was enabled before its caches, whose content after a reset is
    /// unknown, were emptied by CFGI_ALL, TLBI_NSNH_ALL and SYNC.
    SmmuEnabledBeforeFlush {
        /// The value of CR0.
        cr0: u32,
    }

    // xHCI controller.

    /// A TRB was changed after the controller fetched it.
    TrbChangedAfterFetch {
        /// Which controller.
        controller: u8,
        /// The TRB.
        at: Bus,
    }
    /// A TRB was handed over by its cycle bit before the rest of it was visible.
    TrbHandedOverTorn {
        /// Which controller.
        controller: u8,
        /// The TRB.
        at: Bus,
    }
    /// A context was changed by software while the controller owned it.
    ContextChanged {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Device context index, 0 for the slot context.
        dci: u8,
    }
    /// The event ring segment table was changed while in use.
    SegmentTableChanged {
        /// Which controller.
        controller: u8,
        /// Interrupter.
        interrupter: u16,
    }
    /// ERDP was moved beyond the last event, or outside the ring.
    DequeueBeyondEnqueue {
        /// Which controller.
        controller: u8,
        /// Interrupter.
        interrupter: u16,
        /// What was written.
        at: Bus,
    }
    /// A TRB named an interrupter that has no event ring.
    EventToUnsetInterrupter {
        /// Which controller.
        controller: u8,
        /// Interrupter.
        interrupter: u16,
    }
    /// Reserved bits of a controller's register were not preserved or not zero.
    XhcReservedBits {
        /// Which controller.
        controller: u8,
        /// Offset of the register.
        register: u32,
        /// What was written.
        value: u32,
    }
    /// A register was accessed in a state, order or width that it forbids.
    XhcBadAccess {
        /// Which controller.
        controller: u8,
        /// Offset of the register.
        register: u32,
    }
    /// A structure does not stand where it may: it is not aligned, crosses 64 KiB,
    /// or is missing (xHCI table 6-1).
    XhcMisplaced {
        /// Which controller.
        controller: u8,
        /// Where it stands.
        at: Bus,
    }
    /// Reserved bits of a TRB were not zero, or a field has no meaning there.
    TrbMalformed {
        /// Which controller.
        controller: u8,
        /// The TRB.
        at: Bus,
        /// Its type field.
        kind: u8,
    }
    /// A context has a field that breaks a rule of xHCI 6.2.
    ContextMalformed {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Device context index, 0 for the slot context.
        dci: u8,
    }
    /// PORTSC.PED was written as 1, which disables the port.
    PortDisabledByAccident {
        /// Which controller.
        controller: u8,
        /// Root hub port.
        port: u8,
    }
    /// A wait that USB 2.0 chapters 7 and 9 demand was cut short.
    WaitTooShort {
        /// Which controller.
        controller: u8,
        /// Root hub port.
        port: u8,
        /// Which wait.
        wait: UsbWait,
        /// Microseconds that were waited.
        waited_us: u32,
    }
    /// A port was told to suspend while an endpoint of its device was running:
    /// it is to be stopped first (xHCI 4.15.1).
    SuspendedWhileRunning {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Device context index.
        dci: u8,
    }
    /// A doorbell was rung for a device whose port is suspended, or on its way
    /// there or back.
    TransferToSuspended {
        /// Which controller.
        controller: u8,
        /// Root hub port.
        port: u8,
        /// Slot.
        slot: u8,
        /// Device context index.
        target: u8,
    }
    /// A port link state was written that does not follow from where the link is
    /// (xHCI 4.15, 5.4.8).
    BadLinkState {
        /// Which controller.
        controller: u8,
        /// Root hub port.
        port: u8,
        /// PLS as it was written.
        wanted: u8,
    }
    /// A doorbell was rung for a slot or endpoint that is not there.
    BadDoorbell {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Target.
        target: u8,
    }
    /// A ring was freed, moved or reused while the controller could still use it.
    RingInUse {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Device context index.
        dci: u8,
    }
    /// An isochronous transfer descriptor lies outside the window in which it
    /// may be scheduled (xHCI 4.11.2.5).
    FrameOutsideWindow {
        /// Which controller.
        controller: u8,
        /// The TRB.
        at: Bus,
    }
    /// The primary event ring ran full: software does not read what its own
    /// commands lead to. (The ring of a stream may fill; nobody waits for it.)
    EventRingFull {
        /// Which controller.
        controller: u8,
        /// Interrupter.
        interrupter: u16,
    }

    // DSP core.

    /// The program reached a page through a translation from before the page
    /// was handed out anew: it was given back although the monitor still had
    /// the translation.
    PeerStale {
        /// Where the program sees it.
        at: addr::Peer,
        /// The page.
        page: Phys,
    }
}

/// A wait that USB demands of software.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum UsbWait {
    /// 100 ms of stable connection before the reset (USB 2.0 7.1.7.3).
    Debounce,
    /// 10 ms after the reset (7.1.7.5).
    ResetRecovery,
    /// 2 ms after SET_ADDRESS (9.2.6.3).
    SetAddress,
    /// 10 ms of suspend before it ends (7.1.7.6; EHCI 2.3.9).
    Suspended,
    /// 20 ms of resume signalling (7.1.7.7).
    Resume,
    /// 10 ms after the resume (7.1.7.7).
    ResumeRecovery,
}

impl Violation {
    /// Kinds of violation there are.
    pub const KINDS: usize = NAMES.len();

    /// The name of its kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        NAMES[self.index()]
    }

    /// Whether nothing after it can be believed: a device wrote or read what was
    /// not its own, or anybody what is nobody's.
    #[must_use]
    pub const fn ends_the_run(&self) -> bool {
        matches!(
            self,
            Self::DmaToFreedPage { .. }
                | Self::DmaToForeignPage { .. }
                | Self::DmaToNothing { .. }
                | Self::CoreTouchedFreedPage { .. }
                | Self::PeerStale { .. }
        )
    }
}

/// The violations of a run.
#[derive(Clone, Debug)]
pub struct Violations {
    kept: Vec<(Time, Violation)>,
    counts: [u32; Violation::KINDS],
    fatal: Option<(Time, Violation)>,
}

impl Default for Violations {
    fn default() -> Self {
        Self { kept: Vec::with_capacity(KEPT), counts: [0; Violation::KINDS], fatal: None }
    }
}

impl Violations {
    pub(crate) fn add(&mut self, now: Time, violation: Violation) {
        self.counts[violation.index()] += 1;
        if self.fatal.is_none() && violation.ends_the_run() {
            self.fatal = Some((now, violation));
        }
        if self.kept.len() < KEPT {
            self.kept.push((now, violation));
        }
    }

    /// Violations since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The first [`KEPT`] of them, with their times.
    #[must_use]
    pub fn kept(&self) -> &[(Time, Violation)] {
        &self.kept
    }

    /// How often each kind was seen, for those that were.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        NAMES.iter().copied().zip(self.counts).filter(|&(_, count)| count > 0)
    }

    /// How often the kind called `name` was seen.
    #[must_use]
    pub fn count(&self, name: &str) -> u32 {
        NAMES.iter().position(|&known| known == name).map_or(0, |index| self.counts[index])
    }

    /// The first of them that [`Violation::ends_the_run`], with its time.
    #[must_use]
    pub const fn fatal(&self) -> Option<(Time, Violation)> {
        self.fatal
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Violation, Violations};
    use crate::{StreamId, Time};
    use addr::{Bus, Phys};

    #[test]
    fn violations_are_counted_by_kind_and_the_first_are_kept() {
        let mut violations = Violations::default();
        for n in 0..100 {
            violations.add(Time(n), Violation::ReusedWhileReachable { page: Phys(n) });
        }
        assert_eq!(violations.fatal(), None);
        let worse = Violation::DmaToFreedPage { stream: StreamId(16), bus: Bus(0), page: Phys(0) };
        violations.add(Time(100), worse);
        assert_eq!((violations.total(), violations.kept().len()), (101, KEPT));
        assert_eq!(violations.count("ReusedWhileReachable"), 100);
        assert_eq!(violations.by_kind().count(), 2);
        violations.add(Time(101), Violation::CoreTouchedFreedPage { page: Phys(0) });
        assert_eq!(violations.fatal(), Some((Time(100), worse)));
    }
}
