//! The dump of one task that died, of what the supervisor kept of it.
//!
//! It has the task's record in the kernel and as much of its stack as there was
//! room for. The debugger reads a stack's whole region, so the rest of it is
//! zeros.

use crate::debug_info::DebugInfo;
use crate::file::OneTask;
use crate::frames;
use crate::layout::{Layout, Span, Unknown};
use crate::{Dump, Error, Memory};
use abi::{RemainsHead, TaskId};
use addr::Virt;
use archive::Archive;
use std::fmt;

/// Where the supervisor keeps them.
const REMAINS: &str = "JEFE_REMAINS";
const SUPERVISOR: &str = "jefe";

/// Why there is no dump of one task.
#[derive(Debug)]
pub enum NoRemains<E> {
    /// The board refused.
    Board(E),
    /// The archive is of an image whose supervisor keeps none, or is damaged.
    Unknown(Unknown),
    /// No task has died since the board was switched on.
    Nobody,
    /// What is kept is not even the kernel's record: so many bytes are.
    TooLittle(u32),
    /// What is kept names a task that there is not.
    NoTask(TaskId),
    /// The archive is not that of the board, or is damaged.
    Dump(Error),
}

impl<E: fmt::Display> fmt::Display for NoRemains<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Board(error) => error.fmt(f),
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::Nobody => write!(f, "no task has died since the board was switched on"),
            Self::TooLittle(bytes) => write!(
                f,
                "the supervisor kept {bytes} bytes, less than the kernel's record of a task: \
                 `remains` in app.toml is too small"
            ),
            Self::NoTask(task) => {
                write!(f, "the supervisor kept task {}, which the image has not", task.index())
            }
            Self::Dump(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for NoRemains<E> {}

/// The dump of the task that died last on the board that runs the image of
/// `archive`; `read` reads its memory.
///
/// # Errors
/// When none died, or the memory is that of another image.
pub fn remains<E>(
    archive: Archive,
    mut read: impl FnMut(Virt, u32) -> Result<Vec<u8>, E>,
) -> Result<Dump, NoRemains<E>> {
    let layout = Layout::of(archive.kernel()).map_err(NoRemains::Unknown)?;
    let jefe = archive.tasks().find(|task| task.name == SUPERVISOR);
    let info = jefe.and_then(|jefe| DebugInfo::read(jefe.elf));
    let place = info.as_ref().and_then(|info| info.variable(REMAINS));
    let place = place.ok_or(NoRemains::Unknown(Unknown(REMAINS)))?;
    let mut memory =
        Memory::of_image(archive.image()).ok_or(NoRemains::Unknown(Unknown("img/final.elf")))?;
    // Of another image nothing would be where it is looked for.
    let id = read(archive.image_id_address(), 8).map_err(NoRemains::Board)?;
    let image = memory.replace(archive.image_id_address(), &id);
    image.ok_or(NoRemains::Unknown(Unknown("HUBRIS_IMAGE_ID")))?;
    let kept = read(place.address, place.size).map_err(NoRemains::Board)?;

    const HEAD: usize = size_of::<RemainsHead>();
    let word = |at: usize| {
        let word = kept.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map_or(0, u32::from_le_bytes)
    };
    let (task, bytes) = (TaskId(word(0) as u16), word(4));
    let time = u64::from(word(8)) | u64::from(word(12)) << 32;
    let mut dump = Dump { archive, memory, registers: None, task: Some(OneTask { task, time }) };
    dump.check().map_err(NoRemains::Dump)?;
    if bytes == 0 {
        return Err(NoRemains::Nobody);
    }
    let body = kept.get(HEAD..).and_then(|body| body.get(..bytes as usize)).unwrap_or_default();
    let Some((record, stack)) = body.split_at_checked(layout.task_size() as usize) else {
        return Err(NoRemains::TooLittle(bytes));
    };
    let at = layout.tasks().nth(task.index()).ok_or(NoRemains::NoTask(task))?;
    put(&mut dump.memory, at, record).map_err(NoRemains::Dump)?;
    let of_it = layout.saved(&dump.memory, at).zip(layout.ram(&dump.memory, at));
    let (saved, Span { base, size }) = of_it.ok_or(NoRemains::NoTask(task))?;
    put(&mut dump.memory, base, &vec![0; size as usize]).map_err(NoRemains::Dump)?;
    if !stack.is_empty() {
        let sp = Virt(saved.stack_pointer().into());
        dump.memory.replace(sp, stack).ok_or(NoRemains::NoTask(task))?;
    }
    // Where the stack has no room for a frame the task is shown without.
    let _ = frames::lay_out_one(&mut dump.memory, &layout, at);
    Ok(dump)
}

/// Puts bytes in the place of those that the image has, or beside them.
fn put(memory: &mut Memory, at: Virt, bytes: &[u8]) -> Result<(), Error> {
    match memory.replace(at, bytes) {
        Some(()) => Ok(()),
        None => memory.insert(at, bytes.to_vec()),
    }
}
