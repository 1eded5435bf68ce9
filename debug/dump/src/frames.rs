//! What a Cortex-M would have left of an interrupted task.
//!
//! Humility knows tasks as a Cortex-M leaves them: r4 to r11 in the kernel's
//! record, and eight more words in a frame on the task's stack, to which `psp` in
//! the record points. The kernel of this project keeps all registers in the
//! record. The frames are laid out here, in the dump only: below the stack
//! pointer, where nothing is (ARM DDI 0403 B1.5.6 and B1.5.7).

use crate::layout::{CoreRegisters, Layout, Span};
use crate::{Memory, Register, Registers};
use addr::Virt;

/// From the start of a frame to the stack pointer before it: eight words,
/// seventeen of floating point, and one that is left out. Humility always counts
/// with floating point.
const FRAME: u32 = 4 * (8 + 17 + 1);

/// Bits of CPSR that xPSR has in the same place: N Z C V Q, IT, GE (ARM DDI
/// 0406 B1.3.3, ARM DDI 0403 B1.4.2).
const SAME: u32 = 0xFE0F_FC00;
/// xPSR: Thumb state.
const THUMB: u32 = 1 << 24;
/// xPSR: the exception that a Cortex-M serves when the kernel was called.
const SVCALL: u32 = 11;
/// CPSR: the mode, and that of tasks.
const MODE: u32 = 0x1F;
const USER: u32 = 0x10;

const PC: usize = 15;
const SP: usize = 13;

impl CoreRegisters {
    /// The stack pointer.
    pub(crate) fn stack_pointer(&self) -> u32 {
        self.numbered[SP]
    }

    /// Whether a task runs on the core, rather than the kernel.
    #[must_use]
    pub fn in_task(&self) -> bool {
        self.cpsr & MODE == USER
    }

    /// The status register as a Cortex-M has it.
    fn psr(&self) -> u32 {
        let exception = if self.in_task() { 0 } else { SVCALL };
        self.cpsr & SAME | THUMB | exception
    }

    /// The words of a frame: r0 to r3, r12, lr, pc, xPSR.
    fn frame(&self) -> [u32; 8] {
        let [r0, r1, r2, r3, .., r12, _, lr, pc] = self.numbered;
        [r0, r1, r2, r3, r12, lr, pc, self.psr()]
    }

    /// The core's registers by the numbers of a Cortex-M. `task_sp` is the stack
    /// pointer of the task that runs, or ran last.
    pub(crate) fn numbered(&self, task_sp: u32) -> Registers {
        let mut registers = Registers::default();
        for (number, &value) in (0..).map(Register).zip(&self.numbered) {
            registers.set(number, value);
        }
        let sp = self.numbered[SP];
        registers.set(Register::PSR, self.psr());
        registers.set(Register::MSP, if self.in_task() { 0 } else { sp });
        registers.set(Register::PSP, if self.in_task() { sp } else { task_sp });
        registers.set(Register::SPR, 0);
        registers
    }
}

/// Lays out the frames of all tasks but `running`, the record of the one that
/// the core was in, if any. A task whose stack has no room for one, or that has
/// not begun, is left without.
pub(crate) fn lay_out(memory: &mut Memory, layout: &Layout, running: Option<Virt>) {
    for task in layout.tasks().filter(|task| Some(*task) != running) {
        // What is not in the dump needs no frame.
        let _ = lay_out_one(memory, layout, task);
    }
}

/// Lays out the frame of the task whose record is at `task`; `None` when that
/// cannot be.
pub(crate) fn lay_out_one(memory: &mut Memory, layout: &Layout, task: Virt) -> Option<()> {
    let saved = layout.saved(memory, task)?;
    let Span { base, size } = layout.ram(memory, task)?;
    let sp = saved.numbered[SP];
    let frame = Virt(sp.checked_sub(FRAME)?.into());
    if frame < base || Virt(sp.into()) > base.plus(size.into()) {
        return None;
    }
    let words: Vec<u8> = saved.frame().iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.replace(frame, &words)?;
    memory.replace(layout.psp(task), &frame.low().to_le_bytes())
}

/// Where the core is.
pub(crate) fn pc(registers: &CoreRegisters) -> Virt {
    Virt(registers.numbered[PC].into())
}

#[cfg(test)]
mod tests {
    use super::{FRAME, lay_out, lay_out_one};
    use crate::layout::{CoreRegisters, Descriptor, Layout, Region, SavedState, Task};
    use crate::{Memory, Register};
    use addr::Virt;

    /// Two tasks: r0 to r15, cpsr, psp and the descriptor of each.
    const TABLE: u64 = 0x4022_0000;
    const RECORD: u32 = 19 * 4;
    const RAM: u32 = 0x4040_1000;
    const SIZE: u32 = 0x400;

    fn layout() -> Layout {
        Layout {
            table: Virt(TABLE),
            current: Virt(TABLE - 4),
            tasks: 2,
            task: Task { size: RECORD, save: 0, descriptor: 18 * 4 },
            registers: SavedState {
                numbered: core::array::from_fn(|n| n as u32 * 4),
                cpsr: 16 * 4,
                psp: 17 * 4,
            },
            descriptor: Descriptor { regions: 0 },
            region: Region { base: 0, size: 4 },
        }
    }

    /// Memory in which both tasks have `sp`, and other registers of their number.
    fn memory(sp: u32) -> Memory {
        let descriptor = TABLE as u32 + 0x100;
        let mut record: Vec<u32> = (0..18).collect();
        record[13] = sp;
        record[16] = 0x6000_0230;
        record.push(descriptor);
        let table = [record.clone(), record].concat();
        let mut memory = Memory::default();
        let mut add = |at: u64, words: &[u32]| {
            let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            memory.insert(Virt(at), bytes).unwrap();
        };
        add(TABLE - 4, &[TABLE as u32]);
        add(TABLE, &table);
        add(descriptor.into(), &[descriptor + 4, RAM, SIZE]);
        add(RAM.into(), &vec![0xBADD_CAFE; SIZE as usize / 4]);
        memory
    }

    fn words(memory: &Memory, at: u32, count: u32) -> Vec<u32> {
        (0..count).map(|n| memory.word(Virt((at + n * 4).into())).unwrap()).collect()
    }

    #[test]
    fn a_frame_lies_where_a_debugger_counts_back_to_the_stack_pointer() {
        let sp = RAM + 0x200;
        let mut memory = memory(sp);
        lay_out_one(&mut memory, &layout(), Virt(TABLE)).unwrap();
        let psp = memory.word(Virt(TABLE + 17 * 4)).unwrap();
        assert_eq!(psp + 104, sp);
        // N, Z, C, V and Thumb; neither mode nor byte order.
        let frame = [0, 1, 2, 3, 12, 14, 15, 0x6100_0000];
        assert_eq!(words(&memory, psp, 8), frame);
        assert_eq!(words(&memory, psp - 8, 2), [0xBADD_CAFE; 2]);
        assert_eq!(words(&memory, psp + 32, 2), [0xBADD_CAFE; 2]);
    }

    #[test]
    fn a_stack_pointer_with_no_room_below_it_or_outside_gets_no_frame() {
        for (sp, fits) in [
            (RAM + FRAME, true),
            (RAM + SIZE, true),
            (RAM + FRAME - 4, false),
            (RAM + SIZE + 4, false),
            (0, false),
            (u32::MAX, false),
        ] {
            let mut memory = memory(sp);
            let before = memory.clone();
            let laid_out = lay_out_one(&mut memory, &layout(), Virt(TABLE)).is_some();
            assert_eq!(laid_out, fits, "{sp:#x}");
            assert_eq!(memory != before, fits, "{sp:#x}");
        }
    }

    #[test]
    fn the_task_that_runs_gets_no_frame_and_all_others_do() {
        let mut memory = memory(RAM + 0x200);
        let running = layout().current(&memory);
        assert_eq!(running, Some(Virt(TABLE)));
        lay_out(&mut memory, &layout(), running);
        let psp = |n: u64| memory.word(Virt(TABLE + n * u64::from(RECORD) + 17 * 4));
        assert_eq!(psp(0), Some(17));
        assert_eq!(psp(1), Some(RAM + 0x200 - FRAME));
    }

    #[test]
    fn the_cores_registers_have_the_numbers_of_a_cortex_m() {
        let numbered = core::array::from_fn(|n| n as u32 + 100);
        let task = CoreRegisters { numbered, cpsr: 0x2000_0030 }.numbered(7);
        let kernel = CoreRegisters { numbered, cpsr: 0x2000_01D3 }.numbered(7);
        let wanted: Vec<u32> = (0..=18).chain([20]).collect();
        for registers in [&task, &kernel] {
            assert!(registers.iter().map(|(register, _)| register.0).eq(wanted.iter().copied()));
            assert_eq!(registers.get(Register::PC), Some(115));
        }
        let special = [Register::PSR, Register::MSP, Register::PSP, Register::SPR];
        assert_eq!(special.map(|r| task.get(r)), [Some(0x2100_0000), Some(0), Some(113), Some(0)]);
        assert_eq!(
            special.map(|r| kernel.get(r)),
            [Some(0x2100_000B), Some(113), Some(7), Some(0)]
        );
    }
}
