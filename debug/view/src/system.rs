//! A system that was looked at: a dump, and what its archive says of it.

use crate::programs::{Found, Programs, Which};
use crate::regions::descriptor;
use crate::tasks::{Notification, Task, Tasks};
use crate::types::Array;
use crate::unwind::{Stack, unwind};
use crate::{Counts, Error, Ring, Value, counts, decode, ring};
use addr::Virt;
use dump::{Dump, Memory, Register};
use toml::Table;

/// Most bytes of a task's last words, as the kernel hands them on.
const LAST_WORDS: usize = abi::PANIC_MESSAGE_MAX_LEN;

/// A system that was looked at.
#[derive(Debug)]
pub struct System<'a> {
    dump: &'a Dump,
    programs: Programs<'a>,
}

/// Registers of a task: r0 to r15, and its status.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRegisters {
    /// r0 to r12, sp, lr, pc.
    pub r: [u32; 16],
    /// The status register.
    pub psr: u32,
}

/// A task's record in the kernel.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it is.
    pub at: Virt,
    /// What is in it.
    pub value: Value,
}

/// The kernel's table of tasks.
struct TaskTable<'p, 'a> {
    found: Found<'p, 'a>,
    array: &'p Array,
    /// Bytes of a task.
    size: usize,
}

impl<'a> System<'a> {
    /// The system of `dump`.
    #[must_use]
    pub fn of(dump: &'a Dump) -> Self {
        Self { dump, programs: Programs::of(&dump.archive) }
    }

    /// Its programs.
    #[must_use]
    pub fn programs(&self) -> &Programs<'a> {
        &self.programs
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> &'a Memory {
        &self.dump.memory
    }

    /// All ring buffers.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn rings(&self) -> Result<Vec<Ring>, Error> {
        ring::rings(&self.programs, self.memory())
    }

    /// All counters.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn counters(&self) -> Result<Vec<Counts>, Error> {
        counts::counters(&self.programs, self.memory())
    }

    /// The table of tasks. Of a dump of one task there is that one.
    ///
    /// # Errors
    /// When the kernel's records are not to be had.
    pub fn tasks(&self) -> Result<Tasks, Error> {
        let names = self.programs.task_names();
        let mut tasks = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if self.dump.task.is_some_and(|one| one.task.index() != index) {
                continue;
            }
            tasks.push(self.task(index, name)?);
        }
        let now = match self.dump.task {
            Some(one) => one.time,
            None => self.kernel_number("TICKS")?,
        };
        Ok(Tasks { now, epitaph: self.epitaph(), names, tasks })
    }

    fn task(&self, index: usize, name: &str) -> Result<Task, Error> {
        let record = self.record(index)?;
        let mut task = Task::from_record(index, name, &record.value);
        task.current = self.current()? == Some(index);
        // The arguments of RECV and PANIC.
        if let Some(registers) = self.saved(&record) {
            task.mask = registers.r[6];
            let len = (registers.r[5] as usize).min(LAST_WORDS);
            let words = self.memory().read(Virt(registers.r[4].into()), len);
            task.last_words = words.and_then(|words| String::from_utf8(words.to_vec()).ok());
        }
        task.gave_up = self.place_of_panic(index)?;
        task.notifications = notifications(&self.dump.archive, name);
        Ok(task)
    }

    /// The line at which task `index` stands, when the instruction there is the
    /// one that a panic without words becomes (UDF #254). Lines of the compiler's
    /// library are passed over: whoever called it gave up.
    fn place_of_panic(&self, index: usize) -> Result<Option<String>, Error> {
        const ABORT: [u8; 2] = 0xDEFE_u16.to_le_bytes();
        let object = self.programs.get(Which::Task(index))?;
        let Some(registers) = self.registers(index)? else { return Ok(None) };
        let pc = Virt(registers.r[15].into());
        if !object.code_from(pc).is_some_and(|code| code.starts_with(&ABORT)) {
            return Ok(None);
        }
        let places = object.calls(pc).into_iter().filter_map(|call| call.place);
        let library = |file: &str| file.trim_start_matches("./").starts_with("library/");
        let mut own = places.filter(|(file, ..)| !library(file));
        Ok(own.next().map(|(file, line, _)| format!("{file}:{line}")))
    }

    /// The kernel's record of task `index`.
    ///
    /// # Errors
    /// When it is not to be had.
    pub fn record(&self, index: usize) -> Result<Record, Error> {
        let table = self.table()?;
        let TaskTable { found, array, size } = table;
        let at = found.variable.at.plus((index * size) as u64);
        let bytes = self.memory().read(at, size).ok_or(Error::NotThere(at, size))?;
        let value = decode(found.program.types(), array.of, bytes, self.memory());
        Ok(Record { at, value })
    }

    /// Registers of task `index`: those of the core when it was running there,
    /// else those that the kernel saved.
    ///
    /// # Errors
    /// When its record is not to be had.
    pub fn registers(&self, index: usize) -> Result<Option<TaskRegisters>, Error> {
        if let Some(core) = self.core_registers()
            && self.current()? == Some(index)
            && self.programs.get(Which::Task(index))?.has_code(Virt(core.r[15].into()))
        {
            return Ok(Some(core));
        }
        Ok(self.saved(&self.record(index)?))
    }

    /// Registers of the core that runs the kernel.
    #[must_use]
    pub fn core_registers(&self) -> Option<TaskRegisters> {
        let known = self.dump.registers.as_ref()?;
        let mut registers = TaskRegisters { psr: known.get(Register::PSR)?, ..Default::default() };
        for (number, register) in (0..).zip(&mut registers.r) {
            *register = known.get(Register(number))?;
        }
        Some(registers)
    }

    /// The stack of task `index`.
    ///
    /// # Errors
    /// When its record or its program is not to be had.
    pub fn stack(&self, index: usize) -> Result<Stack, Error> {
        let object = self.programs.get(Which::Task(index))?;
        let Some(registers) = self.registers(index)? else {
            return Err(Error::Lacks("kernel".into(), "registers in its record of a task".into()));
        };
        let limit = descriptor(&self.programs, self.memory(), index)?;
        let limit = limit.field("initial_stack").and_then(Value::number).unwrap_or(0);
        Ok(unwind(object, self.memory(), &registers.r, limit as u32))
    }

    /// The task that runs, or ran last.
    ///
    /// # Errors
    /// When the kernel's record of it is not to be had.
    pub fn current(&self) -> Result<Option<usize>, Error> {
        if self.dump.task.is_some() {
            return Ok(None);
        }
        let at = Virt(self.kernel_number("CURRENT_TASK_PTR")?);
        let TaskTable { found, array, size } = self.table()?;
        let offset = at.offset_from(found.variable.at);
        let index = offset.and_then(|offset| offset.checked_div(size as u64));
        Ok(index.filter(|index| *index < array.count).map(|index| index as usize))
    }

    fn table(&self) -> Result<TaskTable<'_, 'a>, Error> {
        let found = self.programs.of_kernel("HUBRIS_TASK_TABLE_SPACE")?;
        let types = found.program.types();
        let array = types.array(found.variable.of);
        let sized = array.and_then(|array| Some((array, types.size(array.of)?)));
        let lacks = || Error::Lacks("kernel".into(), "description of `Task`".into());
        let (array, size) = sized.ok_or_else(lacks)?;
        Ok(TaskTable { found, array, size })
    }

    /// The registers in a record, if there are any.
    fn saved(&self, record: &Record) -> Option<TaskRegisters> {
        const NAMES: [&str; 16] = [
            "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp",
            "lr", "pc",
        ];
        let save = record.value.field("save")?;
        let number = |name| Some(save.field(name)?.number()? as u32);
        let mut registers = TaskRegisters { psr: number("cpsr")?, ..Default::default() };
        for (name, register) in NAMES.iter().zip(&mut registers.r) {
            *register = number(name)?;
        }
        Some(registers)
    }

    /// The number that is at a variable of the kernel's, whatever its type.
    fn kernel_number(&self, name: &str) -> Result<u64, Error> {
        let found = self.programs.of_kernel(name)?;
        let (at, size) = (found.variable.at, found.size().min(8));
        let bytes = self.memory().read(at, size).ok_or(Error::NotThere(at, size))?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// The kernel's last words, if it has panicked and they can be had.
    fn epitaph(&self) -> Option<String> {
        if self.kernel_number("KERNEL_HAS_FAILED").ok()? != 1 {
            return None;
        }
        let found = self.programs.of_kernel("KERNEL_EPITAPH").ok()?;
        let bytes = self.memory().read(found.variable.at, found.size())?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// The notification bits of task `name`, as app.toml has them.
fn notifications(archive: &archive::Archive, name: &str) -> Vec<Notification> {
    let read = |text: &str| text.parse::<Table>().unwrap_or_default();
    let app = read(archive.app());
    let chip = read(archive.text("chip.toml").unwrap_or_default());
    let task = app.get("tasks").and_then(|tasks| tasks.get(name));
    let list = |key| task.and_then(|task| task.get(key));
    let names = list("notifications").and_then(toml::Value::as_array);
    let names = names.into_iter().flatten().filter_map(toml::Value::as_str);
    let mut all: Vec<Notification> =
        names.map(|name| Notification { name: name.into(), ..Default::default() }).collect();
    let interrupts = list("interrupts").and_then(toml::Value::as_table);
    for (of, to) in interrupts.into_iter().flatten() {
        let to = all.iter_mut().find(|bit| Some(bit.name.as_str()) == to.as_str());
        if let (Some(number), Some(bit)) = (interrupt(&chip, of), to) {
            bit.interrupts.push(number);
        }
    }
    all
}

/// The number of interrupt `of`: a number, or the name of a peripheral and of
/// its interrupt.
fn interrupt(chip: &Table, of: &str) -> Option<u32> {
    if let Ok(number) = of.parse() {
        return Some(number);
    }
    let (peripheral, name) = of.split_once('.')?;
    let number = chip.get(peripheral)?.get("interrupts")?.get(name)?.as_integer()?;
    number.try_into().ok()
}
