//! The memory of the tasks, as the kernel's descriptors have it.

use crate::programs::{Programs, Which};
use crate::{Error, Value, decode};
use abi::RegionAttributes;
use addr::Virt;
use dump::Memory;

/// A region of memory that one or more tasks may use.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where its descriptor is; none of the kernel's own memory.
    pub descriptor: Option<Virt>,
    /// Its first byte.
    pub base: Virt,
    /// Bytes.
    pub size: u64,
    /// What may be done there.
    pub attributes: RegionAttributes,
    /// The tasks that may use it, by index; nobody but the kernel when empty.
    pub tasks: Vec<usize>,
}

impl Region {
    /// Whether `at` is in it.
    #[must_use]
    pub fn holds(&self, at: Virt) -> bool {
        at.offset_from(self.base).is_some_and(|offset| offset < self.size)
    }
}

/// What the build says of task `index`, out of `memory`, which can be a dump's
/// or the image's own.
///
/// # Errors
/// When it is not to be had.
pub fn descriptor(programs: &Programs<'_>, memory: &Memory, index: usize) -> Result<Value, Error> {
    element(programs, memory, "HUBRIS_TASK_DESCS", "TaskDesc", index).map(|(_, value)| value)
}

/// Element `index` of the kernel's array `name`, and where it is.
fn element(
    programs: &Programs<'_>,
    memory: &Memory,
    name: &str,
    of: &str,
    index: usize,
) -> Result<(Virt, Value), Error> {
    let found = programs.of_kernel(name)?;
    let types = found.program.types();
    let array = types.array(found.variable.of);
    let sized = array.and_then(|array| Some((array, types.size(array.of)?)));
    let lacks = || Error::Lacks("kernel".into(), format!("description of `{of}`"));
    let (array, size) = sized.ok_or_else(lacks)?;
    if index as u64 >= array.count {
        return Err(Error::Senseless(name.into(), format!("it has no element {index}")));
    }
    let at = found.variable.at.plus((index * size) as u64);
    let bytes = memory.read(at, size).ok_or(Error::NotThere(at, size))?;
    Ok((at, decode(types, array.of, bytes, memory)))
}

/// All regions of the tasks, and what the kernel has for itself, lowest first.
///
/// # Errors
/// When the descriptors are not to be had.
pub fn regions(programs: &Programs<'_>, memory: &Memory) -> Result<Vec<Region>, Error> {
    let kernel = programs.get(Which::Kernel)?;
    let mut all: Vec<Region> = kernel
        .segments()
        .chain(kernel.stack())
        .filter(|segment| segment.size > 0)
        .map(|segment| Region {
            descriptor: None,
            base: segment.at,
            size: segment.size,
            attributes: segment.attributes,
            tasks: Vec::new(),
        })
        .collect();
    for task in 0..programs.task_names().len() {
        for (_, pointer) in descriptor(programs, memory, task)?
            .field("regions")
            .map(Value::children)
            .unwrap_or_default()
        {
            let Value::Pointer(at, _) = pointer else { continue };
            let at = Virt((*at).into());
            if let Some(known) = all.iter_mut().find(|region| region.descriptor == Some(at)) {
                known.tasks.push(task);
            } else if let Some(region) = region(programs, memory, at)? {
                all.push(Region { tasks: vec![task], ..region });
            }
        }
    }
    all.sort_by_key(|region| region.base);
    Ok(all)
}

/// The region whose descriptor is at `at`; `None` for the one that is unused.
fn region(programs: &Programs<'_>, memory: &Memory, at: Virt) -> Result<Option<Region>, Error> {
    let kernel = programs.get(Which::Kernel)?;
    let types = kernel.types();
    let of = types.named("RegionDesc");
    let sized = of.and_then(|of| Some((of, types.size(of)?)));
    let lacks = || Error::Lacks("kernel".into(), "description of `RegionDesc`".into());
    let (of, size) = sized.ok_or_else(lacks)?;
    let bytes = memory.read(at, size).ok_or(Error::NotThere(at, size))?;
    let value = decode(types, of, bytes, memory);
    let number = |name| value.field(name).and_then(Value::number).unwrap_or(0);
    let (base, size) = (number("base"), number("size"));
    let attributes = RegionAttributes(number("attributes") as u32);
    let region =
        Region { descriptor: Some(at), base: Virt(base), size, attributes, tasks: Vec::new() };
    Ok((base != 0).then_some(region))
}

/// How much of a task's stack was ever used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Its lowest byte.
    pub base: Virt,
    /// Bytes.
    pub size: u64,
    /// Bytes that were never written since the task began.
    pub untouched: u64,
}

/// What the kernel fills a stack with before its task begins.
const PAINT: [u8; 4] = 0xBADD_CAFE_u32.to_le_bytes();

/// How much of task `index`'s stack was ever used.
///
/// # Errors
/// When its descriptor or its stack is not to be had.
pub fn margin(programs: &Programs<'_>, memory: &Memory, index: usize) -> Result<Margin, Error> {
    let descriptor = descriptor(programs, memory, index)?;
    let top = descriptor.field("initial_stack").and_then(Value::number).unwrap_or(0);
    let senseless =
        || Error::Senseless("initial_stack".into(), format!("{top:#x} is in no region"));
    let regions = regions(programs, memory)?;
    let stack = regions.iter().find(|region| {
        let end = region.base.0.saturating_add(region.size);
        region.tasks.contains(&index) && region.base.0 < top && top <= end
    });
    let base = stack.ok_or_else(senseless)?.base;
    let size = top - base.0;
    let bytes = memory.read(base, size as usize).ok_or(Error::NotThere(base, size as usize))?;
    let painted = bytes.as_chunks::<4>().0.iter().take_while(|word| **word == PAINT).count();
    Ok(Margin { base, size, untouched: 4 * painted as u64 })
}
