//! A task's stack and registers as text, for below its line in the table.

use crate::system::TaskRegisters;
use crate::unwind::Stack;
use serde_json::{Value as Json, json};
use std::fmt::{self, Display, Formatter};

/// A stack; with the source lines if they are wanted.
#[derive(Debug)]
pub struct ShowStack<'s> {
    /// The stack.
    pub stack: &'s Stack,
    /// Whether each function's place in the source is shown.
    pub lines: bool,
}

impl Display for ShowStack<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "   |")?;
        let mut lead = "+---> ";
        for frame in &self.stack.frames {
            for call in &frame.calls {
                writeln!(
                    f,
                    "   {lead:<6} {:#010x} {:#010x} {}",
                    frame.sp, frame.pc.0, call.function
                )?;
                lead = "|";
                if let (true, Some((file, line, column))) = (self.lines, &call.place) {
                    writeln!(f, "   {lead:<17} @ {file}:{line}:{column}")?;
                }
            }
        }
        if let Some(why) = &self.stack.broken {
            writeln!(f, "   stack unwind failed: {why}")?;
        }
        writeln!(f, "   |")
    }
}

impl Stack {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let frames = self.frames.iter().map(|frame| {
            let functions: Vec<&str> = frame.calls.iter().map(|c| c.function.as_str()).collect();
            json!({ "sp": frame.sp, "pc": frame.pc.0, "functions": functions })
        });
        json!({ "frames": frames.collect::<Vec<_>>(), "broken": self.broken })
    }
}

/// Names of the registers, by number.
const NAMES: [&str; 16] = [
    "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "SP", "LR",
    "PC",
];

impl Display for TaskRegisters {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "   |")?;
        for (n, (name, value)) in NAMES.iter().zip(self.r).enumerate() {
            match n {
                0 => write!(f, "   +--->")?,
                _ if n % 4 == 0 => write!(f, "\n   |    ")?,
                _ => {}
            }
            write!(f, "  {name:>3} = {value:#010x}")?;
        }
        writeln!(f, "\n   |      PSR = {:#010x}\n   |", self.psr)
    }
}
