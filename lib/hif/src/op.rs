//! Operations and their bytes.

/// An operation. The order is the encoding's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// From here on, that label is here.
    Label(u8),
    /// Calls a function with the stack.
    Call(u8),
    /// Drops the top.
    Drop,
    /// Drops so many.
    DropN(u8),
    /// Pushes a byte.
    Push(u8),
    /// Pushes a halfword.
    Push16(u16),
    /// Pushes a word.
    Push32(u32),
    /// Pushes nothing, which is not 0.
    PushNone,
    /// Changes the two at the top for one another.
    Swap,
    /// Doubles the top.
    Dup,
    /// Adds the two at the top.
    Add,
    /// Both.
    And,
    /// Either.
    Or,
    /// One of them.
    Xor,
    /// To the label if the top is less than what is below it.
    BranchLessThan(u8),
    /// If it is not more.
    BranchLessThanOrEqualTo(u8),
    /// If it is more.
    BranchGreaterThan(u8),
    /// If it is not less.
    BranchGreaterThanOrEqualTo(u8),
    /// If they are equal.
    BranchEqualTo(u8),
    /// To the label.
    BranchAlways(u8),
    /// The program's end.
    Done,
    /// The top as four bytes, the lowest pushed first.
    Expand32,
    /// The four at the top, the highest byte first, as a word.
    Collect32,
}

impl Op {
    /// The operation at the start of `text`, and what is behind it.
    #[must_use]
    pub fn take(text: &[u8]) -> Option<(Self, &[u8])> {
        let (&number, rest) = text.split_first()?;
        let byte = rest.first().copied();
        let op = match number {
            0 => Self::Label(byte?),
            1 => Self::Call(byte?),
            2 => Self::Drop,
            3 => Self::DropN(byte?),
            4 => Self::Push(byte?),
            5 => Self::Push16(u16::from_le_bytes(*rest.first_chunk()?)),
            6 => Self::Push32(u32::from_le_bytes(*rest.first_chunk()?)),
            7 => Self::PushNone,
            8 => Self::Swap,
            9 => Self::Dup,
            10 => Self::Add,
            11 => Self::And,
            12 => Self::Or,
            13 => Self::Xor,
            14 => Self::BranchLessThan(byte?),
            15 => Self::BranchLessThanOrEqualTo(byte?),
            16 => Self::BranchGreaterThan(byte?),
            17 => Self::BranchGreaterThanOrEqualTo(byte?),
            18 => Self::BranchEqualTo(byte?),
            19 => Self::BranchAlways(byte?),
            20 => Self::Done,
            21 => Self::Expand32,
            22 => Self::Collect32,
            _ => return None,
        };
        Some((op, &text[op.bytes().1..]))
    }

    /// Its bytes, and how many they are.
    #[must_use]
    pub const fn bytes(self) -> ([u8; 5], usize) {
        let (number, operand, len) = match self {
            Self::Label(n) => (0, n as u32, 1),
            Self::Call(n) => (1, n as u32, 1),
            Self::Drop => (2, 0, 0),
            Self::DropN(n) => (3, n as u32, 1),
            Self::Push(n) => (4, n as u32, 1),
            Self::Push16(n) => (5, n as u32, 2),
            Self::Push32(n) => (6, n, 4),
            Self::PushNone => (7, 0, 0),
            Self::Swap => (8, 0, 0),
            Self::Dup => (9, 0, 0),
            Self::Add => (10, 0, 0),
            Self::And => (11, 0, 0),
            Self::Or => (12, 0, 0),
            Self::Xor => (13, 0, 0),
            Self::BranchLessThan(n) => (14, n as u32, 1),
            Self::BranchLessThanOrEqualTo(n) => (15, n as u32, 1),
            Self::BranchGreaterThan(n) => (16, n as u32, 1),
            Self::BranchGreaterThanOrEqualTo(n) => (17, n as u32, 1),
            Self::BranchEqualTo(n) => (18, n as u32, 1),
            Self::BranchAlways(n) => (19, n as u32, 1),
            Self::Done => (20, 0, 0),
            Self::Expand32 => (21, 0, 0),
            Self::Collect32 => (22, 0, 0),
        };
        let [a, b, c, d] = operand.to_le_bytes();
        ([number, a, b, c, d], 1 + len)
    }
}
