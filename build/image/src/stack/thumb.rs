//! As much of Thumb-2 as moves the stack pointer or leads elsewhere.
//!
//! Sections cited are those of the ARM Architecture Reference Manual ARMv7-A,
//! issue C.d.

/// A register, by its number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Register(u8);

/// What an instruction does, as far as it matters.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing of interest.
    None,
    /// The stack grows by so many bytes, or shrinks.
    Stack(i32),
    /// The stack pointer becomes what cannot be known.
    UnknownStack,
    /// A call of this address.
    Call(u32),
    /// A call of where a register points.
    CallRegister(Register),
    /// A branch to this address, on a condition or not.
    Branch { to: u32, always: bool },
    /// A branch to where a register points: a return when that is lr.
    BranchRegister(Register),
    /// A return, by loading pc.
    Return,
    /// A branch through the table of offsets that follows (TBB, TBH): bytes of
    /// an entry.
    Table { entry: u32 },
    /// A register becomes the word at this address.
    Load(Register, u32),
    /// A register becomes what another is.
    Move { to: Register, from: Register },
    /// The lower half of a register becomes this, its upper half 0 (MOVW).
    Low(Register, u32),
    /// The upper half of a register becomes this (MOVT).
    High(Register, u32),
    /// So many of the following instructions have a condition (IT).
    Conditions(u32),
    /// Nothing comes after it: a permanently undefined instruction.
    Trap,
}

const SP: u16 = 13;
/// The link register.
pub(super) const LR: Register = Register(14);

/// Bytes of the instruction that begins with `first` (A6.1).
pub(super) const fn length(first: u16) -> u32 {
    if first >> 11 >= 0b11101 { 4 } else { 2 }
}

/// What the 16-bit instruction `code` at `at` does (A6.2).
pub(super) fn narrow(at: u32, code: u16) -> Effect {
    let register = |shift: u16, bits: u16| Register((code >> shift & bits) as u8);
    let words = |bits: u32| bits.count_ones() as i32 * 4;
    match code {
        // B (A8.8.18), encodings T1 and T2; 0xDE and 0xDF are UDF and SVC.
        0xDE00..=0xDEFF => Effect::Trap,
        0xD000..=0xDDFF => {
            let offset = i32::from(code as u8 as i8) * 2;
            Effect::Branch { to: relative(at, offset), always: false }
        }
        0xE000..=0xE7FF => {
            let offset = i32::from((code << 5) as i16 >> 5) * 2;
            Effect::Branch { to: relative(at, offset), always: true }
        }
        // CBZ, CBNZ (A8.8.29).
        _ if code & 0xF500 == 0xB100 => {
            let offset = (code >> 9 & 1) << 6 | (code >> 3 & 0x1F) << 1;
            Effect::Branch { to: relative(at, offset.into()), always: false }
        }
        // PUSH, POP (A8.8.133, A8.8.131).
        _ if code & 0xFE00 == 0xB400 => Effect::Stack(words((code & 0x1FF).into())),
        _ if code & 0xFF00 == 0xBD00 => Effect::Return,
        _ if code & 0xFE00 == 0xBC00 => Effect::Stack(-words((code & 0xFF).into())),
        // SUB and ADD of sp (A8.8.226, A8.8.10).
        _ if code & 0xFF80 == 0xB080 => Effect::Stack(i32::from(code & 0x7F) * 4),
        _ if code & 0xFF80 == 0xB000 => Effect::Stack(-i32::from(code & 0x7F) * 4),
        // MOV and ADD to sp from a register (A8.8.104, A8.8.6).
        _ if code & 0xFF87 == 0x4685 || code & 0xFF87 == 0x4485 => Effect::UnknownStack,
        // MOV of registers (A8.8.103).
        _ if code & 0xFF00 == 0x4600 => {
            let to = Register((code >> 4 & 8 | code & 7) as u8);
            Effect::Move { to, from: register(3, 0xF) }
        }
        // BX, BLX (A8.8.27, A8.8.26).
        _ if code & 0xFF87 == 0x4700 => Effect::BranchRegister(register(3, 0xF)),
        _ if code & 0xFF87 == 0x4780 => Effect::CallRegister(register(3, 0xF)),
        // LDR of a literal (A8.8.64).
        _ if code & 0xF800 == 0x4800 => {
            Effect::Load(register(8, 7), literal(at, u32::from(code & 0xFF) * 4))
        }
        // IT (A8.8.54): the lowest set bit of the mask ends it.
        _ if code & 0xFF00 == 0xBF00 && code & 0xF != 0 => {
            Effect::Conditions(4 - (code & 0xF).trailing_zeros())
        }
        _ => Effect::None,
    }
}

/// What the 32-bit instruction `first`, `second` at `at` does (A6.3).
pub(super) fn wide(at: u32, first: u16, second: u16) -> Effect {
    let base = first & 0xF;
    let of = |shift: u16| Register((second >> shift & 0xF) as u8);
    match (first & 0xFFF0, second) {
        // TBB, TBH (A8.8.238).
        (0xE8D0, _) if second & 0xFFE0 == 0xF000 => {
            Effect::Table { entry: if second & 0x10 == 0 { 1 } else { 2 } }
        }
        // STMDB, LDM of sp with write-back (A8.8.200, A8.8.58).
        (0xE920, _) if base == SP => Effect::Stack(second.count_ones() as i32 * 4),
        (0xE8B0, _) if base == SP && second & 0x8000 != 0 => Effect::Return,
        (0xE8B0, _) if base == SP => Effect::Stack(-(second.count_ones() as i32 * 4)),
        // STR, LDR of sp with write-back (A8.8.203, A8.8.63): 1PUW imm8.
        (0xF840 | 0xF850, _) if base == SP && second & 0x0900 == 0x0900 => {
            let bytes = i32::from(second & 0xFF);
            let up = second & 0x0200 != 0;
            match of(12) {
                Register(15) if first & 0x10 != 0 => Effect::Return,
                _ => Effect::Stack(if up { -bytes } else { bytes }),
            }
        }
        // STRD, LDRD with write-back (A8.8.210, A8.8.72).
        _ if first & 0xFE60 == 0xE860 && base == SP => {
            let bytes = i32::from(second & 0xFF) * 4;
            Effect::Stack(if first & 0x80 != 0 { -bytes } else { bytes })
        }
        // SUB, ADD of sp by a constant (A8.8.226, A8.8.10), T3 and T4 each.
        _ if first & 0xF800 == 0xF000 && second & 0x8F00 == 0x0D00 && base == SP => {
            let bits = u32::from(first >> 10 & 1) << 11
                | u32::from(second >> 12 & 7) << 8
                | u32::from(second & 0xFF);
            match first & 0xFBF0 {
                0xF1A0 => Effect::Stack(expand(bits) as i32),
                0xF2A0 => Effect::Stack(bits as i32),
                0xF100 => Effect::Stack(-(expand(bits) as i32)),
                0xF200 => Effect::Stack(-(bits as i32)),
                _ => Effect::None,
            }
        }
        // SUB, ADD of a register (A8.8.225, A8.8.9) to sp.
        (0xEBA0 | 0xEB00, _) if second & 0x0F00 == 0x0D00 => Effect::UnknownStack,
        // LDR of a literal (A8.8.64), to pc a branch through a constant.
        (0xF850 | 0xF8D0, _) if base == 15 => {
            let up = first & 0x80 != 0;
            let offset = u32::from(second & 0xFFF);
            let from = literal(at, 0);
            let from = if up { from.wrapping_add(offset) } else { from.wrapping_sub(offset) };
            Effect::Load(of(12), from)
        }
        // MOVW, MOVT (A8.8.102, A8.8.106).
        _ if first & 0xFBF0 == 0xF240 && second & 0x8000 == 0 => {
            Effect::Low(of(8), half(first, second))
        }
        _ if first & 0xFBF0 == 0xF2C0 && second & 0x8000 == 0 => {
            Effect::High(of(8), half(first, second))
        }
        // UDF (A8.8.247).
        (0xF7F0, _) if second & 0xF000 == 0xA000 => Effect::Trap,
        // BL (A8.8.25), B (A8.8.18) T4 and T3; BLX would lead into ARM code.
        _ if first & 0xF800 == 0xF000 && second & 0xD000 == 0xD000 => {
            Effect::Call(relative(at, far(first, second)))
        }
        _ if first & 0xF800 == 0xF000 && second & 0xD000 == 0x9000 => {
            Effect::Branch { to: relative(at, far(first, second)), always: true }
        }
        _ if first & 0xF800 == 0xF000 && second & 0xD000 == 0x8000 && first >> 7 & 7 != 7 => {
            let bits = i32::from(first >> 10 & 1) << 19
                | i32::from(second >> 11 & 1) << 18
                | i32::from(second >> 13 & 1) << 17
                | i32::from(first & 0x3F) << 11
                | i32::from(second & 0x7FF);
            Effect::Branch { to: relative(at, (bits << 12) >> 11), always: false }
        }
        _ => Effect::None,
    }
}

/// A place relative to the pc of an instruction, which is 4 ahead of it.
const fn relative(at: u32, offset: i32) -> u32 {
    at.wrapping_add(4).wrapping_add_signed(offset)
}

/// As [`relative`], from the word that the pc is in.
const fn literal(at: u32, offset: u32) -> u32 {
    (at.wrapping_add(4) & !3).wrapping_add(offset)
}

/// The offset of BL and of B's encoding T4.
fn far(first: u16, second: u16) -> i32 {
    let sign = u32::from(first >> 10 & 1);
    let top = |bit: u16| u32::from(second >> bit & 1) ^ sign ^ 1;
    let bits = sign << 23
        | top(13) << 22
        | top(11) << 21
        | u32::from(first & 0x3FF) << 11
        | u32::from(second & 0x7FF);
    (bits << 8) as i32 >> 7
}

/// The 16 bits of MOVW and MOVT.
fn half(first: u16, second: u16) -> u32 {
    u32::from(first & 0xF) << 12
        | u32::from(first >> 10 & 1) << 11
        | u32::from(second >> 12 & 7) << 8
        | u32::from(second & 0xFF)
}

/// ThumbExpandImm (A6.3.2).
const fn expand(bits: u32) -> u32 {
    let byte = bits & 0xFF;
    match bits >> 8 {
        0b0000 => byte,
        0b0001 => byte << 16 | byte,
        0b0010 => byte << 24 | byte << 8,
        0b0011 => byte << 24 | byte << 16 | byte << 8 | byte,
        _ => (0x80 | bits & 0x7F).rotate_right(bits >> 7),
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, LR, Register, length, narrow, wide};

    const AT: u32 = 0x4030_0010;

    /// Assembled by GNU as.
    #[test]
    fn what_moves_the_stack_is_read() {
        assert_eq!(narrow(AT, 0xB5F0), Effect::Stack(20)); // push {r4-r7, lr}
        assert_eq!(narrow(AT, 0xBDF0), Effect::Return); // pop {r4-r7, pc}
        assert_eq!(narrow(AT, 0xBC70), Effect::Stack(-12)); // pop {r4-r6}
        assert_eq!(narrow(AT, 0xB086), Effect::Stack(24)); // sub sp, #24
        assert_eq!(narrow(AT, 0xB006), Effect::Stack(-24)); // add sp, #24
        assert_eq!(wide(AT, 0xE92D, 0x4FF0), Effect::Stack(36)); // push.w {r4-r11, lr}
        assert_eq!(wide(AT, 0xE8BD, 0x8FF0), Effect::Return); // pop.w {r4-r11, pc}
        assert_eq!(wide(AT, 0xE8BD, 0x0F00), Effect::Stack(-16)); // pop.w {r8-r11}
        assert_eq!(wide(AT, 0xF84D, 0x8D04), Effect::Stack(4)); // str r8, [sp, #-4]!
        assert_eq!(wide(AT, 0xF84D, 0xED08), Effect::Stack(8)); // str lr, [sp, #-8]!
        assert_eq!(wide(AT, 0xF85D, 0x8B04), Effect::Stack(-4)); // ldr r8, [sp], #4
        assert_eq!(wide(AT, 0xF85D, 0xFB04), Effect::Return); // ldr pc, [sp], #4
        assert_eq!(wide(AT, 0xF8CD, 0x8004), Effect::None); // str.w r8, [sp, #4]
        assert_eq!(wide(AT, 0xE96D, 0x3402), Effect::Stack(8)); // strd r3, r4, [sp, #-8]!
        assert_eq!(wide(AT, 0xE9CD, 0x3402), Effect::None); // strd r3, r4, [sp, #8]
        assert_eq!(wide(AT, 0xF5AD, 0x5D28), Effect::Stack(0x2A00)); // sub.w sp, sp, #10752
        assert_eq!(wide(AT, 0xF2AD, 0x4D1C), Effect::Stack(1052)); // subw sp, sp, #1052
        assert_eq!(wide(AT, 0xF50D, 0x7D90), Effect::Stack(-288)); // add.w sp, sp, #288
        assert_eq!(wide(AT, 0xF20D, 0x4D1C), Effect::Stack(-1052)); // addw sp, sp, #1052
        assert_eq!(wide(AT, 0xEBAD, 0x0D04), Effect::UnknownStack); // sub.w sp, sp, r4
        assert_eq!(narrow(AT, 0x46A5), Effect::UnknownStack); // mov sp, r4
    }

    #[test]
    fn what_leads_elsewhere_is_read() {
        assert_eq!(wide(AT, 0xF000, 0xF8F6), Effect::Call(0x4030_0200)); // bl .+0x1f0
        assert_eq!(wide(AT, 0xF7FF, 0xFFF6), Effect::Call(0x4030_0000)); // bl .-0x10
        let b = Effect::Branch { to: 0x4030_0200, always: true };
        assert_eq!(wide(AT, 0xF000, 0xB8F6), b); // b.w
        let b = Effect::Branch { to: 0x4030_0200, always: false };
        assert_eq!(wide(AT, 0xF040, 0x80F6), b); // bne.w
        let b = Effect::Branch { to: 0x4030_000C, always: true };
        assert_eq!(narrow(AT, 0xE7FC), b); // b.n .-4
        let b = Effect::Branch { to: 0x4030_0018, always: false };
        assert_eq!(narrow(AT, 0xD102), b); // bne.n .+8
        assert_eq!(narrow(AT, 0xB110), b); // cbz r0, .+8
        assert_eq!(narrow(AT, 0x4770), Effect::BranchRegister(LR));
        assert_eq!(narrow(AT, 0x47B0), Effect::CallRegister(Register(6)));
        assert_eq!(wide(AT, 0xE8DF, 0xF000), Effect::Table { entry: 1 }); // tbb [pc, r0]
        assert_eq!(wide(AT, 0xE8DF, 0xF011), Effect::Table { entry: 2 }); // tbh [pc, r1, lsl #1]
        assert_eq!(narrow(AT, 0xDEFE), Effect::Trap); // udf #254
        assert_eq!(narrow(AT, 0xBF1E), Effect::Conditions(3)); // ittt ne
        assert_eq!(narrow(AT, 0xBF00), Effect::None); // nop
    }

    #[test]
    fn constants_of_registers_are_read() {
        assert_eq!(narrow(AT, 0x4E02), Effect::Load(Register(6), 0x4030_001C)); // ldr r6, [pc, #8]
        assert_eq!(wide(AT, 0xF8DF, 0x9010), Effect::Load(Register(9), 0x4030_0024));
        assert_eq!(wide(AT, 0xF64A, 0x36CD), Effect::Low(Register(6), 0xABCD)); // movw r6, #0xabcd
        assert_eq!(wide(AT, 0xF2C4, 0x0630), Effect::High(Register(6), 0x4030)); // movt r6, #0x4030
        let moved = Effect::Move { to: Register(12), from: Register(10) };
        assert_eq!(narrow(AT, 0x46D4), moved); // mov ip, r10
        assert_eq!((length(0xB5F0), length(0xE92D), length(0xE7FC)), (2, 4, 2));
    }
}
