//! Where a kernel keeps its tasks, out of its debug information.

use crate::Memory;
use crate::debug_info::{DebugInfo, Static, Struct};
use abi::RegionAttributes;
use addr::Virt;
use std::fmt;

/// A kernel of which something that a dump needs is not known: its name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub &'static str);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the archive does not say what a dump needs to know: no `{}`", self.0)
    }
}

/// Where a kernel keeps its tasks.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Of its first task.
    pub(crate) table: Virt,
    /// Where it says which task runs, or ran last.
    pub(crate) current: Virt,
    /// How many tasks there are.
    pub(crate) tasks: u32,
    pub(crate) task: Task,
    pub(crate) registers: SavedState,
    pub(crate) descriptor: Descriptor,
    pub(crate) region: Region,
}

/// Offsets in a task, and its size.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) size: u32,
    pub(crate) save: u32,
    pub(crate) descriptor: u32,
}

/// Offsets in a task's saved registers.
#[derive(Debug)]
pub(crate) struct SavedState {
    /// Of r0 to r12, sp, lr, pc.
    pub(crate) numbered: [u32; 16],
    pub(crate) cpsr: u32,
    pub(crate) psp: u32,
}

/// Offsets in a task's descriptor.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(crate) regions: u32,
}

/// Offsets in a region's descriptor.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) base: u32,
    pub(crate) size: u32,
}

/// A run of addresses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first byte.
    pub(crate) base: Virt,
    /// Its bytes.
    pub(crate) size: u32,
}

impl Span {
    pub(crate) fn end(&self) -> Virt {
        self.base.plus(self.size.into())
    }
}

/// Registers of a task that does not run, or of the core.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreRegisters {
    /// r0 to r15.
    pub numbered: [u32; 16],
    /// The status register.
    pub cpsr: u32,
}

const NAMES: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr",
    "pc",
];

impl Layout {
    /// The layout of the kernel in the ELF file `kernel`.
    pub(crate) fn of(kernel: &[u8]) -> Result<Self, Unknown> {
        let info = DebugInfo::read(kernel).ok_or(Unknown("debug information"))?;
        let structure = |name| info.structure(name).ok_or(Unknown(name));
        let table = info.variable(TABLE).ok_or(Unknown(TABLE))?;
        let (task, save) = (structure("Task")?, structure("SavedState")?);
        let (descriptor, region) = (structure("TaskDesc")?, structure("RegionDesc")?);
        let mut numbered = [0; 16];
        for (offset, name) in numbered.iter_mut().zip(NAMES) {
            *offset = field(save, name)?;
        }
        Ok(Self {
            table: table.address,
            current: info.variable(CURRENT).ok_or(Unknown(CURRENT))?.address,
            tasks: table.size.checked_div(task.size).ok_or(Unknown("Task"))?,
            task: Task {
                size: task.size,
                save: field(task, "save")?,
                descriptor: field(task, "descriptor")?,
            },
            registers: SavedState {
                numbered,
                cpsr: field(save, "cpsr")?,
                psp: field(save, "psp")?,
            },
            descriptor: Descriptor { regions: field(descriptor, "regions")? },
            region: Region { base: field(region, "base")?, size: field(region, "size")? },
        })
    }

    /// Bytes of a task's record.
    pub(crate) fn task_size(&self) -> u32 {
        self.task.size
    }

    /// The kernel's records of its tasks, in order.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Virt> {
        (0..self.tasks).map(|n| self.table.plus(u64::from(n * self.task.size)))
    }

    /// The record of the task that runs, or ran last; none before there was one.
    pub(crate) fn current(&self, memory: &Memory) -> Option<Virt> {
        let current = Virt(memory.word(self.current)?.into());
        self.tasks().find(|task| *task == current)
    }

    /// The registers that the kernel saved of the task whose record is at `task`.
    pub(crate) fn saved(&self, memory: &Memory, task: Virt) -> Option<CoreRegisters> {
        let save = task.plus(self.task.save.into());
        let word = |offset: u32| memory.word(save.plus(offset.into()));
        let mut registers = CoreRegisters { numbered: [0; 16], cpsr: word(self.registers.cpsr)? };
        for (register, offset) in registers.numbered.iter_mut().zip(self.registers.numbered) {
            *register = word(offset)?;
        }
        Some(registers)
    }

    /// Where in the record at `task` the debugger finds the stacked frame.
    pub(crate) fn psp(&self, task: Virt) -> Virt {
        task.plus(u64::from(self.task.save + self.registers.psp))
    }

    /// The RAM of the task whose record is at `task`, with its stack.
    pub(crate) fn ram(&self, memory: &Memory, task: Virt) -> Option<Span> {
        let descriptor = memory.word(task.plus(self.task.descriptor.into()))?;
        let regions = Virt(descriptor.into()).plus(self.descriptor.regions.into());
        let region = Virt(memory.word(regions)?.into());
        let base = memory.word(region.plus(self.region.base.into()))?;
        let size = memory.word(region.plus(self.region.size.into()))?;
        Some(Span { base: Virt(base.into()), size })
    }
}

const TABLE: &str = "HUBRIS_TASK_TABLE_SPACE";
const CURRENT: &str = "CURRENT_TASK_PTR";
const REGIONS: &str = "HUBRIS_REGION_DESCS";

/// A region of the image.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ImageRegion {
    pub(crate) span: Span,
    attributes: RegionAttributes,
}

impl ImageRegion {
    pub(crate) fn is_device(&self) -> bool {
        self.attributes.contains(RegionAttributes::DEVICE)
    }

    /// Whether devices or the other core see it too.
    pub(crate) fn is_pool(&self) -> bool {
        self.attributes.contains(RegionAttributes::DMA)
    }
}

/// All regions of the tasks of an image, whose kernel has this debug information
/// and whose constants are in `image`.
pub(crate) fn image_regions(info: &DebugInfo, image: &Memory) -> Result<Vec<ImageRegion>, Unknown> {
    let Static { address, size } = info.variable(REGIONS).ok_or(Unknown(REGIONS))?;
    let region = info.structure("RegionDesc").ok_or(Unknown("RegionDesc"))?;
    let (base, bytes) = (field(region, "base")?, field(region, "size")?);
    let attributes = field(region, "attributes")?;
    let count = size.checked_div(region.size).ok_or(Unknown("RegionDesc"))?;
    let mut regions = Vec::new();
    for n in 0..count {
        let at = address.plus(u64::from(n * region.size));
        let word = |offset: u32| image.word(at.plus(offset.into())).ok_or(Unknown(REGIONS));
        let span = Span { base: Virt(word(base)?.into()), size: word(bytes)? };
        // The first stands for none.
        if span.size > 0 {
            regions.push(ImageRegion { span, attributes: RegionAttributes(word(attributes)?) });
        }
    }
    Ok(regions)
}

fn field(of: &Struct, name: &'static str) -> Result<u32, Unknown> {
    of.field(name).ok_or(Unknown(name))
}
