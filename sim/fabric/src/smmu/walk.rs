//! Configuration lookup and table walk: stream table entry, context descriptor
//! (IHI 0070 5.2, 5.4), VMSAv8-64 stage 1 tables (Arm ARM D8).

use super::tlb::Entry;
use super::{Smmu, Surroundings, record};
use crate::StreamId;
use crate::memory::Owner;
use crate::violations::Violation;
use addr::{Bus, PAGE, Phys};

/// An access that was blocked, as the event queue tells it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: u8,
    /// Whether it is recorded (CD.R).
    pub(super) recorded: bool,
}

const fn fault(kind: u8) -> Fault {
    Fault { kind, recorded: true }
}

/// What the SMMU holds of a stream's configuration.
#[derive(Copy, Clone, Debug)]
pub(super) struct Config {
    stream: StreamId,
    entry_at: Phys,
    descriptor_at: Option<Phys>,
    outcome: Result<Context, Fault>,
    /// A word of it changed in memory since it was read.
    stale: bool,
}

/// An address space.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    tables: Phys,
    asid: u16,
    /// Bits of an input address.
    bits: u32,
    /// Bits of an output address.
    output_bits: u32,
    recorded: bool,
}

impl Config {
    pub(super) const fn stream(&self) -> StreamId {
        self.stream
    }

    pub(super) fn covers(&self, at: Phys) -> bool {
        let inside = |base: Phys| at.offset_from(base).is_some_and(|offset| offset < 64);
        inside(self.entry_at) || self.descriptor_at.is_some_and(inside)
    }

    pub(super) const fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Whether changing the word at `at` to `new` tears an entry that is in use:
    /// the one change it stands is that its valid bit goes (IHI 0070 3.21.3).
    pub(super) fn torn(&self, at: Phys, new: u64) -> bool {
        if self.stale || self.outcome.is_err() {
            return false;
        }
        if at == self.entry_at {
            new & 1 != 0
        } else {
            self.descriptor_at != Some(at) || new >> 31 & 1 != 0
        }
    }
}

impl Smmu {
    /// The configuration of `stream`, out of the cache if it is there.
    pub(super) fn config(
        &mut self,
        bus: &mut Surroundings<'_>,
        stream: StreamId,
    ) -> Result<Context, Fault> {
        let known = self.configs.iter().position(|config| config.stream == stream);
        if let Some(index) = known
            && (!self.configs[index].stale || self.rng.one_in(2))
        {
            return self.configs[index].outcome;
        }
        let old = known.map(|index| self.configs.swap_remove(index).outcome);
        let Some(entry_at) = self.registers.stream_entry(stream.0) else {
            return Err(fault(record::C_BAD_STREAMID));
        };
        let mut descriptor_at = None;
        let outcome = fetch(bus, entry_at, &mut descriptor_at);
        if let (Some(Ok(old)), Ok(new)) = (old, outcome)
            && old != new
        {
            bus.violation(Violation::ChangedWithoutInvalidation { stream, bus: Bus(0) });
        }
        self.configs.push(Config { stream, entry_at, descriptor_at, outcome, stale: false });
        outcome
    }

    /// The page that `at` leads to.
    pub(super) fn translation(
        &mut self,
        bus: &mut Surroundings<'_>,
        stream: StreamId,
        context: &Context,
        at: Bus,
        write: bool,
    ) -> Result<Phys, Fault> {
        let failed = |kind| Fault { kind, recorded: context.recorded };
        if at.0 >> context.bits != 0 {
            return Err(failed(record::F_TRANSLATION));
        }
        let page = at.0 / u64::from(PAGE);
        let cached = self.tlb.get(context.asid, page);
        let entry = match cached {
            Some(entry) if !entry.stale || self.rng.one_in(2) => entry,
            _ => {
                let entry = self.walk(bus, context, page).map_err(failed)?;
                if cached.is_some_and(|old| old.descriptor != entry.descriptor) {
                    bus.violation(Violation::ChangedWithoutInvalidation { stream, bus: at });
                }
                self.tlb.put(bus.memory, entry);
                entry
            }
        };
        const READ_ONLY: u64 = 1 << 7;
        const UNPRIVILEGED: u64 = 1 << 6;
        if entry.descriptor & UNPRIVILEGED == 0 || write && entry.descriptor & READ_ONLY != 0 {
            return Err(failed(record::F_PERMISSION));
        }
        Ok(entry.to)
    }

    fn walk(
        &mut self,
        bus: &mut Surroundings<'_>,
        context: &Context,
        page: u64,
    ) -> Result<Entry, u8> {
        const OUTPUT: u64 = 0x0000_FFFF_FFFF_F000;
        const ACCESS: u64 = 1 << 10;
        const NOT_GLOBAL: u64 = 1 << 11;
        // 4 KiB granule: 9 bits a level above 12 bits of offset.
        let levels = (context.bits - 12).div_ceil(9);
        let mut table = context.tables;
        let mut path = [Phys(u64::MAX); 3];
        for level in (0..levels).rev() {
            let width = if level + 1 == levels { context.bits - 12 - 9 * level } else { 9 };
            let index = page >> (9 * level) & ((1 << width) - 1);
            let at = table.plus(index * 8);
            let descriptor = self.table_word(bus, at).ok_or(record::F_WALK_EABT)?;
            path.rotate_right(1);
            path[0] = at;
            let valid = descriptor & 0b11;
            // Blocks (0b01) are legal above the last level; the driver has no
            // use for them and 0b01 on the last level is reserved.
            if valid != 0b11 {
                if valid == 0b01 {
                    bus.violation(Violation::SmmuBadEntry { at, record: record::F_TRANSLATION });
                }
                return Err(record::F_TRANSLATION);
            }
            let to = Phys(descriptor & OUTPUT);
            if to.0 >> context.output_bits != 0 {
                return Err(record::F_ADDR_SIZE);
            }
            table = to;
            if level == 0 {
                if descriptor & ACCESS == 0 {
                    return Err(record::F_ACCESS);
                }
                let global = descriptor & NOT_GLOBAL == 0;
                let space = (!global).then_some(context.asid);
                return Ok(Entry { space, page, descriptor, path, to, stale: false });
            }
        }
        unreachable!("a walk has at least one level")
    }

    /// A word of a translation table, which must belong to the SMMU.
    fn table_word(&mut self, bus: &mut Surroundings<'_>, at: Phys) -> Option<u64> {
        let page = Phys(at.0 & !u64::from(PAGE - 1));
        if bus.memory.owner(page) != Some(Owner::Tables) {
            bus.violation(Violation::SmmuBadEntry { at, record: record::F_WALK_EABT });
            return None;
        }
        if !self.walked.contains(&page) {
            self.walked.push(page);
        }
        bus.memory.word64(at).ok()
    }
}

/// Eight double words of a table entry; `None` where the SMMU has no table.
fn entry(bus: &mut Surroundings<'_>, at: Phys) -> Option<[u64; 8]> {
    if bus.memory.owner(at) != Some(Owner::Tables) {
        return None;
    }
    let mut words = [0; 8];
    for (n, word) in words.iter_mut().enumerate() {
        *word = bus.memory.word64(at.plus(n as u64 * 8)).ok()?;
    }
    Some(words)
}

/// Reads stream table entry and context descriptor.
fn fetch(
    bus: &mut Surroundings<'_>,
    entry_at: Phys,
    descriptor_at: &mut Option<Phys>,
) -> Result<Context, Fault> {
    let ste = entry(bus, entry_at).ok_or(fault(record::F_STE_FETCH))?;
    if ste[0] & 1 == 0 {
        return Err(fault(record::C_BAD_STE));
    }
    if !stream_entry_is_legal(&ste) {
        bus.violation(Violation::SmmuBadEntry { at: entry_at, record: record::C_BAD_STE });
        return Err(fault(record::C_BAD_STE));
    }
    let at = Phys(ste[0] & 0x000F_FFFF_FFFF_FFC0);
    *descriptor_at = Some(at);
    let cd = entry(bus, at).ok_or(fault(record::F_CD_FETCH))?;
    if cd[0] >> 31 & 1 == 0 {
        return Err(fault(record::C_BAD_CD));
    }
    context(&cd).ok_or_else(|| {
        bus.violation(Violation::SmmuBadEntry { at, record: record::C_BAD_CD });
        fault(record::C_BAD_CD)
    })
}

/// Stage 1 translation with one context descriptor and nothing else (5.2).
fn stream_entry_is_legal(ste: &[u64; 8]) -> bool {
    const S1_TRANSLATE: u64 = 0b101 << 1;
    // Config, S1Fmt = 0, S1ContextPtr, S1CDMax = 0.
    let first = ste[0] & !0x000F_FFFF_FFFF_FFC0 == S1_TRANSLATE | 1;
    // Cacheability and shareability of context descriptor fetches only; no
    // S1STALLD, EATS, STRW.
    let second = ste[1] & !0xFC == 0;
    first && second && ste[2..].iter().all(|&word| word == 0)
}

/// The address space that a context descriptor describes (5.4); `None` for an
/// illegal one.
fn context(cd: &[u64; 8]) -> Option<Context> {
    let field = |low: u32, bits: u32| cd[0] >> low & ((1 << bits) - 1);
    let bits = 64 - field(0, 6) as u32;
    let granule_4k = field(6, 2) == 0;
    let (epd0, endian, epd1) = (field(14, 1), field(15, 1), field(30, 1));
    let aa64 = field(41, 1) == 1;
    // HD, HA, S: not implemented here. A: aborts must be reported as such.
    let (hd, ha, stall, abort) = (field(42, 1), field(43, 1), field(44, 1), field(46, 1));
    let output_bits = *[32, 36, 40, 42, 44].get(field(32, 3) as usize)?;
    let legal = granule_4k
        && (25..=39).contains(&bits)
        && epd0 == 0
        && endian == 0
        && epd1 == 1
        && aa64
        && hd == 0
        && ha == 0
        && stall == 0
        && abort == 1;
    let tables = Phys(cd[1] & 0x000F_FFFF_FFFF_FFF0);
    // The first table's alignment is its size, 64 bytes at least for hardware
    // that reads lines.
    let entries = 1_u64 << ((bits - 12 - 1) % 9 + 1);
    let placed = tables.is_aligned((entries * 8).max(64)) && cd[1] == tables.0;
    (legal && placed).then_some(Context {
        tables,
        asid: field(48, 16) as u16,
        bits,
        output_bits,
        recorded: field(45, 1) == 1,
    })
}
