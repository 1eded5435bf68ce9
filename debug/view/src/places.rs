//! Names and source lines of code.

use crate::dwarf::Slice;
use crate::object::{Object, demangled};
use crate::unwind::Call;
use addr::Virt;
use addr2line::{Context, Frame};

/// What the debug information says of code; made when it is first asked.
pub(crate) type Lines<'a> = Context<Slice<'a>>;

impl<'a> Object<'a> {
    /// The functions that the instruction at `at` is in: the one it was written
    /// in first, then those that this one is inlined into.
    #[must_use]
    pub fn calls(&self, at: Virt) -> Vec<Call> {
        let mut calls = self.lines().map(|lines| frames(lines, at)).unwrap_or_default();
        if calls.is_empty() {
            let function = self.function(at).map_or("?", |symbol| &symbol.name);
            calls.push(Call { function: function.into(), place: None });
        }
        calls
    }
}

fn frames(lines: &Lines<'_>, at: Virt) -> Vec<Call> {
    let mut calls = Vec::new();
    let Ok(mut frames) = lines.find_frames(at.0).skip_all_loads() else { return calls };
    while let Ok(Some(frame)) = frames.next() {
        if let Some(call) = call(&frame) {
            calls.push(call);
        }
    }
    calls
}

fn call(frame: &Frame<'_, Slice<'_>>) -> Option<Call> {
    let name = frame.function.as_ref()?.raw_name().ok()?;
    let place = frame.location.as_ref().and_then(|location| {
        Some((location.file?.to_owned(), location.line?, location.column.unwrap_or(0)))
    });
    Some(Call { function: demangled(&name).into_owned(), place })
}
