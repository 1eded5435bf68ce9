//! Which function a pointer can be.
//!
//! Compilers load a function's address to call it several times in a row; such
//! a call leads there and nowhere else. Any other pointer is one of those that
//! are loaded without being called on the spot, or that are constants.

use super::Code;
use super::thumb::{Effect, Register};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Where pointers come from.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// By function and register: whose addresses it is loaded with.
    loaded: HashMap<(u32, Register), BTreeSet<u32>>,
    /// Functions whose addresses go elsewhere.
    taken: Vec<u32>,
}

impl Pointers {
    /// Those of a program whose constants are `constants`.
    pub(super) fn of(code: &Code, constants: &[&[u8]]) -> Self {
        let mut pointers = Self::default();
        let mut taken = HashSet::new();
        for (&start, (end, _)) in &code.functions {
            let (loaded, called) = look(code, start, *end);
            for (register, functions) in loaded {
                if !called.contains(&register) {
                    taken.extend(functions.iter().copied());
                }
                pointers.loaded.insert((start, register), functions);
            }
        }
        for words in constants.iter().map(|bytes| bytes.chunks_exact(4)) {
            let words = words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            taken.extend(words.filter_map(|word| function(code, word)));
        }
        pointers.taken = taken.into_iter().collect();
        pointers.taken.sort_unstable();
        pointers
    }

    /// What `register` can lead to in the function at `start`, which may be
    /// `outlined`: a piece of others, called with their registers.
    pub(super) fn behind(&self, start: u32, register: Register, outlined: bool) -> Vec<u32> {
        if let Some(functions) = self.loaded.get(&(start, register))
            && !functions.is_empty()
        {
            return functions.iter().copied().collect();
        }
        let mut functions = self.taken.clone();
        if outlined {
            let others = self.loaded.iter().filter(|((_, other), _)| *other == register);
            functions.extend(others.flat_map(|(_, functions)| functions));
            functions.sort_unstable();
            functions.dedup();
        }
        functions
    }
}

/// The function that `word` points at: its address with bit 0 set, for Thumb.
fn function(code: &Code, word: u32) -> Option<u32> {
    code.function(word & !1).filter(|_| word & 1 == 1)
}

/// By register: the functions whose addresses it is loaded with.
type Loaded = HashMap<Register, BTreeSet<u32>>;

/// Which functions' addresses the function from `start` to `end` loads into
/// which register, and which registers it calls.
fn look(code: &Code, start: u32, end: u32) -> (Loaded, HashSet<Register>) {
    let mut loaded = Loaded::new();
    let mut called = HashSet::new();
    let mut lows: HashMap<Register, u32> = HashMap::new();
    let mut at = start;
    while at < end {
        if !code.is_thumb(at) {
            at += 2;
            continue;
        }
        let Some((effect, next)) = code.effect(at) else { break };
        at = next;
        let value = match effect {
            Effect::Load(register, from) => code.word(from).map(|value| (register, value)),
            Effect::High(register, high) => {
                lows.get(&register).map(|low| (register, high << 16 | low))
            }
            Effect::Low(register, low) => {
                lows.insert(register, low);
                None
            }
            Effect::Move { to, from } => {
                let moved = loaded.get(&from).cloned().unwrap_or_default();
                loaded.entry(to).or_default().extend(moved);
                None
            }
            Effect::CallRegister(register) | Effect::BranchRegister(register) => {
                called.insert(register);
                None
            }
            _ => None,
        };
        if let Some((register, value)) = value
            && let Some(function) = function(code, value)
        {
            loaded.entry(register).or_default().insert(function);
        }
    }
    (loaded, called)
}
