//! Who called whom: the stack of a task.
//!
//! Frames are found by the program's `.debug_frame` (DWARF 4, 6.4). Two kinds of
//! code have no entry there: a system-call stub, of which the kernel's contract
//! says that it changes the stack with `push` alone and leaves lr as it was; and
//! where a program begins, which is the end of the way.

use crate::dwarf::Slice;
use crate::object::Object;
use addr::Virt;
use dump::Memory;
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, RegisterRule, UnwindContext, UnwindSection, UnwindTableRow,
};

/// Most frames; more are a circle.
const FRAMES: usize = 256;

const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

/// What lr holds where nobody called.
const NO_CALLER: u32 = 0xFFFF_FFFF;

/// A function that was entered and has not returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stack pointer before it was entered.
    pub sp: u32,
    /// Where it is.
    pub pc: Virt,
    /// It, and the functions that it is inlined into; itself first.
    pub calls: Vec<Call>,
}

/// A function by name, and where in its source it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// File, line and column.
    pub place: Option<(String, u32, u32)>,
}

/// The functions that a task is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The innermost first.
    pub frames: Vec<Frame>,
    /// Why they are not all, when they are not.
    pub broken: Option<String>,
}

/// The stack of whoever runs `object` with these registers, r0 to r15. It ends
/// where the stack pointer reaches `limit`.
#[must_use]
pub fn unwind(object: &Object<'_>, memory: &Memory, r: &[u32; 16], limit: u32) -> Stack {
    let mut walk = Walk { object, memory, registers: *r, innermost: true };
    let mut stack = Stack::default();
    while stack.frames.len() < FRAMES {
        let pc = Virt(walk.registers[PC].into());
        let calls = object.calls(walk.probe());
        let before = (walk.registers[SP], pc);
        let step = walk.step();
        stack.frames.push(Frame { sp: walk.registers[SP], pc, calls });
        match step {
            Err(why) => {
                stack.broken = Some(why);
                return stack;
            }
            Ok(Next::Nobody) => return stack,
            Ok(Next::Caller) if walk.registers[SP] >= limit => return stack,
            Ok(Next::Caller) if (walk.registers[SP], Virt(walk.registers[PC].into())) == before => {
                stack.broken = Some("a function that called itself without a stack".into());
                return stack;
            }
            Ok(Next::Caller) => {}
        }
    }
    stack.broken = Some(format!("more than {FRAMES} frames"));
    stack
}

/// Who is next on the way out.
enum Next {
    Caller,
    Nobody,
}

struct Walk<'w, 'a> {
    object: &'w Object<'a>,
    memory: &'w Memory,
    registers: [u32; 16],
    /// Nobody was called from where `pc` is.
    innermost: bool,
}

type Row = UnwindTableRow<usize>;

impl Walk<'_, '_> {
    /// An address in the instruction that `pc` is about: a return address is
    /// that of the next, which can belong to another function.
    fn probe(&self) -> Virt {
        let pc = u64::from(self.registers[PC] & !1);
        Virt(if self.innermost { pc } else { pc.saturating_sub(1) })
    }

    /// Goes to the caller.
    fn step(&mut self) -> Result<Next, String> {
        let probe = self.probe();
        if !self.object.has_code(probe) {
            return Err(format!("{:#010x} is no code of `{}`", probe.0, self.object.name()));
        }
        let mut context = UnwindContext::new();
        let bases = BaseAddresses::default();
        let frames: &DebugFrame<Slice<'_>> = self.object.frames();
        let row = frames.unwind_info_for_address(
            &bases,
            &mut context,
            probe.0,
            DebugFrame::cie_from_offset,
        );
        let next = match row {
            Ok(row) => self.by_table(&row.clone())?,
            Err(gimli::Error::NoUnwindInfoForAddress) => self.by_pushes(probe)?,
            Err(error) => return Err(format!("unwinding from {:#010x}: {error}", probe.0)),
        };
        self.innermost = false;
        Ok(next)
    }

    fn by_table(&mut self, row: &Row) -> Result<Next, String> {
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let register = self.registers.get(usize::from(register.0));
                let register = register.ok_or("a frame of a register that is not known")?;
                register.wrapping_add_signed(*offset as i32)
            }
            CfaRule::Expression(_) => return Err("a frame by an expression".into()),
        };
        let mut caller = self.registers;
        caller[SP] = cfa;
        for (register, rule) in row.registers() {
            // Registers of floating point do not lead on.
            let Some(known) = caller.get_mut(usize::from(register.0)) else { continue };
            match rule {
                RegisterRule::Offset(offset) => {
                    *known = self.word(cfa.wrapping_add_signed(*offset as i32))?;
                }
                RegisterRule::ValOffset(offset) => *known = cfa.wrapping_add_signed(*offset as i32),
                RegisterRule::Undefined if usize::from(register.0) == LR => *known = NO_CALLER,
                RegisterRule::Undefined | RegisterRule::SameValue => {}
                _ => return Err(format!("a rule for r{} that is not known", register.0)),
            }
        }
        Ok(self.go_to(caller))
    }

    /// Undoes what a system-call stub pushed.
    fn by_pushes(&mut self, probe: Virt) -> Result<Next, String> {
        let Some(function) = self.object.function(probe) else {
            return Err(format!("no function is at {:#010x}", probe.0));
        };
        let before = probe.0 - function.at.0;
        let code = self.object.code_from(function.at);
        let code = code.and_then(|code| code.get(..before as usize)).unwrap_or_default();
        let Some(pushes) = pushes_of_stub(code) else {
            return Ok(Next::Nobody);
        };
        let mut caller = self.registers;
        for push in pushes.into_iter().rev() {
            for register in (0..16).filter(|register| push & 1 << register != 0) {
                caller[register] = self.word(caller[SP])?;
                caller[SP] = caller[SP].wrapping_add(4);
            }
        }
        Ok(self.go_to(caller))
    }

    fn go_to(&mut self, mut caller: [u32; 16]) -> Next {
        caller[PC] = caller[LR] & !1;
        let nobody = matches!(caller[LR], 0 | NO_CALLER);
        self.registers = caller;
        if nobody { Next::Nobody } else { Next::Caller }
    }

    fn word(&self, at: u32) -> Result<u32, String> {
        self.memory.word(Virt(at.into())).ok_or(format!("the dump lacks the stack at {at:#010x}"))
    }
}

/// The registers of each `push` in the Thumb code that came before the SVC with
/// which it ends, as sets. `None` when it does not end with one: then it is no
/// system-call stub.
fn pushes_of_stub(code: &[u8]) -> Option<Vec<u16>> {
    /// SVC (ARM ARM A8.8.228), PUSH in its encodings T1, T2 and T3 (A8.8.133).
    const SVC: u16 = 0xDF00;
    const PUSH: u16 = 0xB400;
    const PUSH_WIDE: u16 = 0xE92D;
    const PUSH_ONE: u16 = 0xF84D;
    const PUSH_ONE_END: u16 = 0x0D04;

    let (halves, _) = code.as_chunks::<2>();
    let mut halves = halves.iter().map(|half| u16::from_le_bytes(*half));
    let mut pushes = Vec::new();
    let mut last = 0;
    while let Some(first) = halves.next() {
        last = first;
        if first & 0xFE00 == PUSH {
            let lr = if first & 0x100 != 0 { 1 << LR } else { 0 };
            pushes.push(first & 0xFF | lr);
        }
        // A longer instruction (A6.1).
        if first >> 11 >= 0b11101 {
            let second = halves.next()?;
            match first {
                PUSH_WIDE => pushes.push(second),
                PUSH_ONE if second & 0xFFF == PUSH_ONE_END => pushes.push(1 << (second >> 12)),
                _ => {}
            }
        }
    }
    (last & 0xFF00 == SVC).then_some(pushes)
}

#[cfg(test)]
mod tests {
    use super::{LR, pushes_of_stub};

    fn code(halves: &[u16]) -> Vec<u8> {
        halves.iter().flat_map(|half| half.to_le_bytes()).collect()
    }

    #[test]
    fn each_form_of_push_is_found() {
        // push {r4, r5, lr}; mov r4, r0; push.w {r4-r11, lr}; push {r12}; svc 0
        let stub = code(&[0xB530, 0x4604, 0xE92D, 0x4FF0, 0xF84D, 0xCD04, 0xDF00]);
        let lr = 1 << LR;
        assert_eq!(pushes_of_stub(&stub), Some(vec![0x30 | lr, 0xFF0 | lr, 1 << 12]));
    }

    #[test]
    fn code_that_does_not_wait_in_the_kernel_is_no_stub() {
        assert_eq!(pushes_of_stub(&code(&[0xB530, 0x4604])), None);
        // bl, whose second half looks like an SVC
        assert_eq!(pushes_of_stub(&code(&[0xF7FF, 0xDF00])), None);
        assert_eq!(pushes_of_stub(&code(&[0xF7FF])), None);
        assert_eq!(pushes_of_stub(&[]), None);
    }
}
