//! The most stack that a program can use, read from its instructions.
//!
//! Every function is followed from its start, with the depth of the stack at
//! each instruction; what it needs is the deepest of that and of its calls. A
//! call through a pointer can lead to each function that the pointer can be
//! (`pointers`). Where something cannot be followed, as a function that calls
//! itself, the answer says so and is a lower bound.

mod pointers;
mod thumb;

use object::read::elf::ElfFile32;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use pointers::Pointers;
use rustc_demangle::demangle;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use thumb::{Effect, LR};

/// How much stack a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackBound {
    /// Bytes: never more, unless something could not be followed.
    pub bytes: u32,
    /// The functions of the deepest path, from the entry on, and what each adds.
    pub path: Vec<(String, u32)>,
    /// What could not be followed.
    pub gaps: Vec<Gap>,
}

impl StackBound {
    /// Whether the program can never need more.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        self.gaps.is_empty()
    }
}

/// Why a bound is only a lower one: in which function, and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// It calls itself, at once or by others.
    Recursion(String),
    /// It calls what a pointer says, and no function's address is anywhere.
    Pointer(String),
    /// It moves the stack pointer by what is not in the instruction.
    Stack(String),
    /// It goes to an address that is in no function.
    Nowhere(String),
    /// It is not Thumb code.
    Arm(String),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recursion(name) => write!(f, "{name} can call itself"),
            Self::Pointer(name) => write!(f, "{name} calls through a pointer"),
            Self::Stack(name) => write!(f, "{name} moves the stack by what is not known"),
            Self::Nowhere(name) => write!(f, "{name} goes to what is no function"),
            Self::Arm(name) => write!(f, "{name} is A32 code, which is not read"),
        }
    }
}

/// The bound of the program in the ELF file `file`, from where it starts.
/// `None` when it is none that can be read, or does not start in a function.
pub(crate) fn bound(file: &[u8]) -> Option<StackBound> {
    let elf = ElfFile32::<LittleEndian>::parse(file).ok()?;
    let code = Code::of(&elf)?;
    Some(code.bound(code.function(elf.entry() as u32 & !1)?))
}

/// A program's instructions.
struct Code {
    base: u32,
    bytes: Vec<u8>,
    /// First addresses of stretches, and whether they are Thumb instructions.
    kinds: BTreeMap<u32, bool>,
    /// Functions: first address, end, name.
    functions: BTreeMap<u32, (u32, String)>,
    pointers: Pointers,
}

impl Code {
    fn of(elf: &ElfFile32<'_, LittleEndian>) -> Option<Self> {
        let text = elf.sections().find(|section| section.kind() == SectionKind::Text)?;
        let mut code = Self {
            base: text.address() as u32,
            bytes: text.data().ok()?.to_vec(),
            kinds: BTreeMap::new(),
            functions: BTreeMap::new(),
            pointers: Pointers::default(),
        };
        for symbol in elf.symbols() {
            let (name, at) = (symbol.name().ok()?, symbol.address() as u32);
            // Mapping symbols (ELF for the Arm architecture, 5.5.5).
            if let Some(kind) = name.strip_prefix('$') {
                code.kinds.insert(at, kind.starts_with('t'));
            } else if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                let end = (at & !1) + symbol.size() as u32;
                code.functions.insert(at & !1, (end, name.to_owned()));
            }
        }
        let constants = elf.sections().filter(|section| {
            matches!(section.kind(), SectionKind::ReadOnlyData | SectionKind::Data)
        });
        let constants: Vec<&[u8]> = constants.filter_map(|section| section.data().ok()).collect();
        code.pointers = Pointers::of(&code, &constants);
        Some(code)
    }

    /// The bound from the function at `entry` on.
    fn bound(&self, entry: u32) -> StackBound {
        let mut walk =
            Walk { code: self, needs: HashMap::new(), above: Vec::new(), gaps: Vec::new() };
        let bytes = walk.need(entry);
        walk.gaps.sort();
        walk.gaps.dedup();
        let path = std::iter::successors(Some(entry), |start| walk.needs[start].deepest);
        let path = path.map(|start| (self.name(start), walk.needs[&start].own)).collect();
        StackBound { bytes, path, gaps: walk.gaps }
    }

    /// The function that starts at `at`.
    fn function(&self, at: u32) -> Option<u32> {
        self.functions.contains_key(&at).then_some(at)
    }

    fn name(&self, start: u32) -> String {
        let name = self.functions.get(&start).map_or("?", |(_, name)| name);
        format!("{:#}", demangle(name))
    }

    /// Whether it was made out of pieces of other functions, and finds their
    /// registers as they left them.
    fn is_outlined(&self, start: u32) -> bool {
        self.functions.get(&start).is_some_and(|(_, name)| name.starts_with("OUTLINED_FUNCTION"))
    }

    fn is_thumb(&self, at: u32) -> bool {
        self.kinds.range(..=at).next_back().is_some_and(|(_, &thumb)| thumb)
    }

    fn read(&self, at: u32, len: usize) -> Option<&[u8]> {
        let from = at.checked_sub(self.base)? as usize;
        self.bytes.get(from..from + len)
    }

    fn half(&self, at: u32) -> Option<u16> {
        Some(u16::from_le_bytes(self.read(at, 2)?.try_into().ok()?))
    }

    fn word(&self, at: u32) -> Option<u32> {
        Some(u32::from_le_bytes(self.read(at, 4)?.try_into().ok()?))
    }

    /// What the instruction at `at` does, and where the next one is.
    fn effect(&self, at: u32) -> Option<(Effect, u32)> {
        let first = self.half(at)?;
        Some(match thumb::length(first) {
            2 => (thumb::narrow(at, first), at + 2),
            _ => (thumb::wide(at, first, self.half(at + 2)?), at + 4),
        })
    }

    /// Where the table behind a TBB or TBH at `pc` - 4 leads. Its end is where
    /// instructions begin again.
    fn table(&self, pc: u32, entry: u32) -> Vec<u32> {
        let end = self.kinds.range(pc + 1..).find(|&(_, &thumb)| thumb).map_or(pc, |(&at, _)| at);
        let offset = |at: u32| match entry {
            1 => self.read(at, 1).map(|byte| u32::from(byte[0])),
            _ => self.half(at).map(u32::from),
        };
        (pc..end).step_by(entry as usize).filter_map(|at| Some(pc + 2 * offset(at)?)).collect()
    }
}

/// What one function needs.
#[derive(Copy, Clone, Debug)]
struct Need {
    bytes: u32,
    /// Its own part of that, on the deepest path.
    own: u32,
    /// Whom it calls there.
    deepest: Option<u32>,
}

struct Walk<'c> {
    code: &'c Code,
    needs: HashMap<u32, Need>,
    /// The functions that are being looked at, each called by the one before.
    above: Vec<u32>,
    gaps: Vec<Gap>,
}

impl Walk<'_> {
    /// Bytes that the function at `start` needs with all that it calls.
    fn need(&mut self, start: u32) -> u32 {
        if let Some(need) = self.needs.get(&start) {
            return need.bytes;
        }
        if self.above.contains(&start) {
            self.gaps.push(Gap::Recursion(self.code.name(start)));
            return 0;
        }
        self.above.push(start);
        let (deepest, calls) = self.follow(start);
        let mut need = Need { bytes: deepest, own: deepest, deepest: None };
        for (depth, to) in calls {
            let bytes = depth + self.need(to);
            if bytes > need.bytes {
                need = Need { bytes, own: depth, deepest: Some(to) };
            }
        }
        self.above.pop();
        self.needs.insert(start, need);
        need.bytes
    }

    /// How deep the function itself goes, and how deep it is when it calls whom.
    fn follow(&mut self, start: u32) -> (u32, HashSet<(u32, u32)>) {
        let code = self.code;
        let (end, _) = code.functions[&start];
        let (mut deepest, mut calls) = (0, HashSet::new());
        let mut depths: HashMap<u32, u32> = HashMap::new();
        // Where to go on, how deep, and how many instructions have a condition.
        let mut ahead = vec![(start, 0u32, 0u32)];
        let mut gaps = Vec::new();
        while let Some((at, depth, conditions)) = ahead.pop() {
            // Behind a call that never comes back may be the function's end.
            if at >= end || depths.get(&at).is_some_and(|&known| known >= depth) {
                continue;
            }
            if !code.is_thumb(at) {
                // Behind such a call may be constants, too.
                if at == start {
                    gaps.push(Gap::Arm(code.name(start)));
                }
                continue;
            }
            depths.insert(at, depth);
            let Some((effect, next)) = code.effect(at) else { continue };
            let conditional = conditions > 0;
            let left = conditions.saturating_sub(1);
            let mut go = |to: u32, depth: u32, conditions: u32| {
                if (start..end).contains(&to) {
                    ahead.push((to, depth, conditions));
                } else if code.function(to).is_some() {
                    calls.insert((depth, to));
                } else {
                    gaps.push(Gap::Nowhere(code.name(start)));
                }
            };
            let mut on = !matches!(effect, Effect::Trap);
            let mut depth = depth;
            match effect {
                Effect::Stack(bytes) if bytes > 0 || !conditional => {
                    depth = depth.saturating_add_signed(bytes);
                    deepest = deepest.max(depth);
                }
                Effect::UnknownStack => gaps.push(Gap::Stack(code.name(start))),
                Effect::Call(to) => match code.function(to) {
                    Some(to) => _ = calls.insert((depth, to)),
                    None => gaps.push(Gap::Nowhere(code.name(start))),
                },
                Effect::CallRegister(register) | Effect::BranchRegister(register)
                    if register != LR =>
                {
                    let known = code.pointers.behind(start, register, code.is_outlined(start));
                    if known.is_empty() {
                        gaps.push(Gap::Pointer(code.name(start)));
                    }
                    calls.extend(known.into_iter().map(|to| (depth, to)));
                    on = conditional || matches!(effect, Effect::CallRegister(_));
                }
                Effect::BranchRegister(_) | Effect::Return => on = conditional,
                Effect::Branch { to, always } => {
                    go(to, depth, 0);
                    on = conditional || !always;
                }
                Effect::Table { entry } => {
                    // A byte that fills its last half word leads anywhere.
                    let places = code.table(next, entry).into_iter();
                    places.filter(|to| (start..end).contains(to)).for_each(|to| go(to, depth, 0));
                    on = false;
                }
                Effect::Conditions(count) => {
                    ahead.push((next, depth, count));
                    on = false;
                }
                _ => {}
            }
            if on {
                ahead.push((next, depth, left));
            }
        }
        self.gaps.append(&mut gaps);
        (deepest, calls)
    }
}

#[cfg(test)]
mod tests;
