//! Taking the dump of a board.
//!
//! The board stands still meanwhile, for as long as copying its memory takes;
//! its clocks stand still with it. What is left out: device registers, because
//! reading them changes them, and of a pool what lies past its first megabyte,
//! which is sound.

use crate::debug_info::DebugInfo;
use crate::layout::{CoreRegisters, Layout, Span, Unknown, image_regions};
use crate::{Dump, Error, Memory, frames};
use addr::{Phys, Virt};
use archive::Archive;
use object::{Object, ObjectSegment, ObjectSymbol};
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A board that can be looked into.
pub trait Board {
    /// Why it cannot.
    type Error;

    /// Stops it; whether it ran.
    ///
    /// # Errors
    /// When that cannot be.
    fn stop(&mut self) -> Result<bool, Self::Error>;

    /// Lets it go on.
    ///
    /// # Errors
    /// When that cannot be.
    fn resume(&mut self) -> Result<(), Self::Error>;

    /// Registers of the core that runs the kernel, while it stands.
    ///
    /// # Errors
    /// When they cannot be read.
    fn registers(&mut self) -> Result<CoreRegisters, Self::Error>;

    /// The `bytes` bytes of memory from `at` on.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&mut self, at: Phys, bytes: u32) -> Result<Vec<u8>, Self::Error>;
}

/// A dump that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The dump.
    pub dump: Dump,
    /// How long the board stood still; none when it stood before.
    pub stood: Option<Duration>,
}

/// Why no dump was taken.
#[derive(Debug)]
pub enum TakeError<E> {
    /// The board refused.
    Board(E),
    /// The archive's kernel is none that dumps can be taken of.
    Unknown(Unknown),
    /// The archive is not that of the board, or is damaged.
    Dump(Error),
}

impl<E: fmt::Display> fmt::Display for TakeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Board(error) => error.fmt(f),
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Dump(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for TakeError<E> {}

/// Bytes that one entry of a first-level table covers: what is not a task's has
/// one for itself.
const SECTION: u64 = 0x10_0000;
/// Most bytes of a pool that are taken.
const POOL: u32 = 0x10_0000;

/// Takes a dump of the `board` that runs the image of `archive`.
///
/// # Errors
/// When the board refuses, or runs another image. It goes on in any case.
pub fn take<B: Board>(board: &mut B, archive: Archive) -> Result<Taken, TakeError<B::Error>> {
    let layout = Layout::of(archive.kernel()).map_err(TakeError::Unknown)?;
    let spans = spans(&archive).map_err(TakeError::Unknown)?;
    let passages = passages(archive.kernel());
    let ran = board.stop().map_err(TakeError::Board)?;
    let start = Instant::now();
    let seen = look(board, &spans, if ran { &passages } else { &[] });
    let stood = start.elapsed();
    if ran {
        board.resume().map_err(TakeError::Board)?;
    }
    let (registers, memory) = seen?;
    let mut dump = Dump { archive, memory, registers: None, task: None };
    dump.check().map_err(TakeError::Dump)?;
    let current = layout.current(&dump.memory);
    let running = current.filter(|_| registers.in_task());
    frames::lay_out(&mut dump.memory, &layout, running);
    let task_sp = current.and_then(|task| dump.memory.word(layout.psp(task)));
    dump.registers = Some(registers.numbered(task_sp.unwrap_or(0)));
    Ok(Taken { dump, stood: ran.then_some(stood) })
}

/// How often a board that stands at a bad moment is let go for another.
const MOMENTS: u32 = 16;

/// Registers and memory of a board that stands.
///
/// While the core is in one of the `passages`, some of a task's registers are in
/// the kernel's record and others still in the core: not a moment to look at.
fn look<B: Board>(
    board: &mut B,
    spans: &[Span],
    passages: &[Range<u64>],
) -> Result<(CoreRegisters, Memory), TakeError<B::Error>> {
    let mut registers = board.registers().map_err(TakeError::Board)?;
    for _ in 0..MOMENTS {
        let pc = frames::pc(&registers).0;
        if !passages.iter().any(|passage| passage.contains(&pc)) {
            break;
        }
        board.resume().map_err(TakeError::Board)?;
        board.stop().map_err(TakeError::Board)?;
        registers = board.registers().map_err(TakeError::Board)?;
    }
    let mut memory = Memory::default();
    for &Span { base, size } in spans {
        // Tables restrict the space, they never relocate.
        let bytes = board.read(Phys(base.0), size).map_err(TakeError::Board)?;
        memory.insert(base, bytes).map_err(TakeError::Dump)?;
    }
    Ok((registers, memory))
}

/// The memory that a dump has: no two overlap.
fn spans(archive: &Archive) -> Result<Vec<Span>, Unknown> {
    let info = DebugInfo::read(archive.kernel()).ok_or(Unknown("debug information"))?;
    let image = Memory::of_image(archive.image()).ok_or(Unknown("img/final.elf"))?;
    let others = std::iter::once(archive.kernel()).chain(archive.core1().map(|part| part.elf));
    let mut spans: Vec<_> = others.filter_map(section_of).collect();
    for region in image_regions(&info, &image)?.into_iter().filter(|region| !region.is_device()) {
        let Span { base, size } = region.span;
        spans.push(Span { base, size: if region.is_pool() { size.min(POOL) } else { size } });
    }
    spans.sort_by_key(|span| span.base);
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.base <= last.end() => {
                let end = last.end().max(span.end());
                last.size = (end.0 - last.base.0) as u32;
            }
            _ => joined.push(span),
        }
    }
    Ok(joined)
}

/// The megabyte of a part of the image that is no task.
fn section_of(elf: &[u8]) -> Option<Span> {
    let file = object::File::parse(elf).ok()?;
    let first = file.segments().map(|segment| segment.address()).min()?;
    Some(Span { base: Virt(first / SECTION * SECTION), size: SECTION as u32 })
}

/// The kernel's code that saves and loads a task's registers.
fn passages(kernel: &[u8]) -> Vec<Range<u64>> {
    const FUNCTIONS: [&str; 6] = [
        "sotto_vectors",
        "sotto_svc",
        "sotto_irq",
        "sotto_undefined",
        "sotto_prefetch_abort",
        "sotto_data_abort",
    ];
    let Ok(file) = object::File::parse(kernel) else { return Vec::new() };
    let symbols =
        file.symbols().filter(|symbol| symbol.name().is_ok_and(|name| FUNCTIONS.contains(&name)));
    symbols.map(|symbol| symbol.address()..symbol.address() + symbol.size()).collect()
}
