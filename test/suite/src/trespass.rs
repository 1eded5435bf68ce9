//! The cases that need an MMU: a task that goes where it may not.
//!
//! In the simulator `lib/mmio`, `lib/dma` and the kernel's checks stand for the
//! MMU, and have tests of their own there; a host cannot try these.

#![allow(unsafe_code)]

use core::arch::asm;

use abi::FaultInfo;

use crate::cases::{Case, Expect, Outcome};
use crate::subject::Subject;

const ILLEGAL_TEXT: Expect = Expect::Fault(FaultInfo::IllegalText);
const ILLEGAL_INSTRUCTION: Expect = Expect::Fault(FaultInfo::IllegalInstruction);
/// What the hardware calls an access that is not aligned as it has to be (ARM
/// ARM table B3-23).
const UNALIGNED: Expect = Expect::Fault(FaultInfo::InvalidOperation(1));

/// The distributor of the interrupt controller, and the serial port: registers
/// of the kernel and of another task.
const REGISTERS: [u32; 2] = [0x0800_0000, 0x0900_0000];
/// Where nothing is.
const NOTHING: u32 = 0x7FFF_F000;

static CONSTANT: u32 = 7;

/// Reads `address`; what has to fault says so first.
fn read(subject: &Subject, address: u32) -> Outcome {
    subject.will_touch(address);
    // SAFETY: the case is that this faults; should it not, it has read a word.
    unsafe { core::ptr::with_exposed_provenance::<u32>(address as usize).read_volatile() };
    Err(line!())
}

/// Writes `address`, likewise.
fn write(subject: &Subject, address: u32) -> Outcome {
    subject.will_touch(address);
    // SAFETY: the case is that this faults. Should it not, memory of another
    // task or of the kernel is damaged, and the suite fails, as it must.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(address as usize).write_volatile(0) };
    Err(line!())
}

/// Jumps to `address`, in Thumb state.
fn jump(address: u32) -> Outcome {
    // SAFETY: as in `write`: it does not come back.
    unsafe { asm!("blx r0", inout("r0") address | 1 => _, out("lr") _) };
    Err(line!())
}

/// Runs over its stack.
#[inline(never)]
fn recurse(depth: u32) -> u32 {
    let frame = core::hint::black_box([depth; 16]);
    if depth == 0 { frame[0] } else { recurse(depth - 1) + frame[15] }
}

/// Enough frames for any stack of the image.
const DEPTH: u32 = 1000;

/// Rounds of the loop that interrupts must not disturb: some milliseconds, so
/// that slices end in it.
const ROUNDS: u32 = 100_000;

pub(crate) const CASES: &[Case] = &[
    Case::new("foreign_memory_cannot_be_read", Expect::Access, |subject, round| {
        read(subject, subject.foreign[round].0)
    })
    .of_foreign(),
    Case::new("foreign_memory_cannot_be_read_to_its_end", Expect::Access, |subject, round| {
        let (base, size) = subject.foreign[round];
        read(subject, base + size - 4)
    })
    .of_foreign(),
    Case::new("foreign_memory_cannot_be_written", Expect::Access, |subject, round| {
        write(subject, subject.foreign[round].0)
    })
    .of_foreign(),
    Case::new("foreign_memory_cannot_be_executed", ILLEGAL_TEXT, |subject, round| {
        jump(subject.foreign[round].0)
    })
    .of_foreign(),
    Case::new("the_kernels_window_cannot_be_read", Expect::Access, |subject, round| {
        read(subject, subject.foreign[round].0 | 1 << 31)
    })
    .of_foreign(),
    Case::new("the_kernels_registers_cannot_be_read", Expect::Access, |subject, _| {
        read(subject, REGISTERS[0])
    }),
    Case::new("another_tasks_registers_cannot_be_written", Expect::Access, |subject, _| {
        write(subject, REGISTERS[1])
    }),
    Case::new("address_0_cannot_be_read", Expect::Access, |subject, _| read(subject, 0)),
    Case::new("where_nothing_is_cannot_be_read", Expect::Access, |subject, _| {
        read(subject, NOTHING)
    }),
    Case::new("constants_cannot_be_written", Expect::Access, |subject, _| {
        write(subject, core::ptr::from_ref(&CONSTANT).expose_provenance() as u32)
    }),
    Case::new("code_cannot_be_written", Expect::Access, |subject, _| {
        write(subject, recurse as *const () as u32 & !3)
    }),
    Case::new("constants_cannot_be_executed", ILLEGAL_TEXT, |_, _| {
        jump(core::ptr::from_ref(&CONSTANT).expose_provenance() as u32)
    }),
    Case::new("data_cannot_be_executed", ILLEGAL_TEXT, |_, _| {
        // `bx lr`, twice.
        let code = core::hint::black_box([0x4770_4770u32]);
        jump(code.as_ptr().expose_provenance() as u32)
    }),
    Case::new("a_stack_that_runs_over_is_told_as_such", Expect::Overflow, |_, _| {
        core::hint::black_box(recurse(core::hint::black_box(DEPTH)));
        Err(line!())
    }),
    Case::new("what_is_no_instruction_is_a_fault", ILLEGAL_INSTRUCTION, |_, _| {
        // SAFETY: traps.
        unsafe { asm!("udf #1") };
        Err(line!())
    }),
    Case::new("a_wide_one_is_told_at_its_start", ILLEGAL_INSTRUCTION, |_, _| {
        // SAFETY: traps.
        unsafe { asm!("udf.w #1") };
        Err(line!())
    }),
    Case::new("system_registers_cannot_be_written", ILLEGAL_INSTRUCTION, |_, _| {
        // SAFETY: traps.
        unsafe { asm!("mcr p15, 0, {}, c1, c0, 0", in(reg) 0) };
        Err(line!())
    }),
    Case::new("the_firmware_cannot_be_called", ILLEGAL_INSTRUCTION, |_, _| {
        // SAFETY: traps.
        unsafe { asm!(".arch_extension virt", "hvc #0") };
        Err(line!())
    }),
    Case::new("floating_point_is_off", ILLEGAL_INSTRUCTION, |_, _| {
        // SAFETY: traps. `vmov s0, r0`, which this target's assembler refuses.
        unsafe { asm!(".inst.w 0xee000a10") };
        Err(line!())
    }),
    Case::new("an_unaligned_multiple_load_is_a_fault", UNALIGNED, |_, _| {
        let words = core::hint::black_box([0u32; 4]);
        let address = words.as_ptr().expose_provenance() + 2;
        // SAFETY: traps; it would read the array.
        unsafe { asm!("ldm {}, {{r0, r1}}", in(reg) address, out("r0") _, out("r1") _) };
        Err(line!())
    }),
    Case::new("interrupts_leave_registers_and_flags_alone", Expect::Pass, |_, _| {
        let wrong: u32;
        // SAFETY: changes only what it names, and r7 and r11, which it restores.
        unsafe {
            asm!(
                "push {{r6, r7, r9, r11}}",
                "mov r1, #0x11", "mov r2, #0x22", "mov r3, #0x33", "mov r4, #0x44",
                "mov r5, #0x55", "mov r6, #0x66", "mov r7, #0x77", "mov r8, #0x88",
                "mov r9, #0x99", "mov r10, #0xaa", "mov r11, #0xbb", "mov r12, #0xcc",
                "2: cmp r1, #0x11", "bne 3f", "cmp r2, #0x22", "bne 3f",
                "cmp r3, #0x33", "bne 3f", "cmp r4, #0x44", "bne 3f",
                "cmp r5, #0x55", "bne 3f", "cmp r6, #0x66", "bne 3f",
                "cmp r7, #0x77", "bne 3f", "cmp r8, #0x88", "bne 3f",
                "cmp r9, #0x99", "bne 3f", "cmp r10, #0xaa", "bne 3f",
                "cmp r11, #0xbb", "bne 3f", "cmp r12, #0xcc", "bne 3f",
                "subs r0, r0, #1", "bne 2b",
                "3: pop {{r6, r7, r9, r11}}",
                inout("r0") ROUNDS => wrong,
                out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("r8") _, out("r10") _, out("r12") _, out("lr") _,
            );
        }
        if wrong == 0 { Ok(()) } else { Err(line!()) }
    }),
];
