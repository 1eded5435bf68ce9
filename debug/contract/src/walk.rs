//! Registers and stacks as Humility takes them out of a dump (section 6).
//!
//! Its rules and its limits: where ours would find a way and Humility does not,
//! this finds none either.

use crate::image::{Image, Program, Slice};
use crate::shapes::{member, structure};
use crate::table::{Findings, Taken};
use addr::Virt;
use dump::{Dump, Memory, Register};
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, LittleEndian, RegisterRule, UnwindContext, UnwindSection,
};
use view::{Region, System, Value, descriptor, regions, unwind};

const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

/// From a frame to the stack pointer before it: eight words, seventeen of
/// floating point and one that is left out.
const FRAME: u32 = 4 * (8 + 17 + 1);
/// Of the status word: a word more was left out.
const REALIGNED: u32 = 1 << 9;
/// Frames that are followed; more are a circle.
const FRAMES: usize = 256;

/// What a function's Thumb code does before and at its system calls.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Bytes from the start to behind each svc, and the registers pushed until
    /// then, the one at the stack pointer first.
    pub(crate) calls: Vec<(u32, Vec<usize>)>,
    /// Whether anything is pushed.
    pub(crate) pushes: bool,
    /// Whether the stack pointer is changed but by push and pop.
    pub(crate) moves_stack: bool,
    /// Whether lr is changed before the first svc.
    pub(crate) loses_link: bool,
}

impl Scan {
    /// Reads Thumb code (ARM ARM A6.2, A6.3): pushes, pops, svc, and what else
    /// changes sp or lr.
    pub(crate) fn of(code: &[u8]) -> Self {
        let (halves, _) = code.as_chunks::<2>();
        let mut halves = halves.iter().map(|half| u16::from_le_bytes(*half));
        let mut scan = Self::default();
        let mut pushed: Vec<usize> = Vec::new();
        let mut at = 0;
        while let Some(first) = halves.next() {
            at += 2;
            let listed = |low: u16| (0..16).filter(move |n| low & 1 << n != 0);
            let mut push = |list: Vec<usize>| {
                scan.pushes = true;
                pushed.splice(0..0, list);
            };
            match first {
                // PUSH, POP
                0xB400..=0xB5FF => {
                    let link = if first & 0x100 == 0 { None } else { Some(LR) };
                    push(listed(first & 0xFF).chain(link).collect());
                }
                0xBC00..=0xBDFF => {
                    let count = listed(first & 0x1FF).count().min(pushed.len());
                    pushed.drain(..count);
                }
                // SUB sp, ADD sp
                0xB000..=0xB0FF => scan.moves_stack = true,
                // MOV and ADD with high registers: to sp, to lr
                0x4400..=0x46FF if (first & 0xFF00) != 0x4500 => {
                    match (first >> 4 & 8 | first & 7) as usize {
                        SP => scan.moves_stack = true,
                        LR => scan.loses_link |= scan.calls.is_empty(),
                        _ => {}
                    }
                }
                // BLX
                0x4780..=0x47FF => scan.loses_link |= scan.calls.is_empty(),
                // SVC #0, as all stubs have it: in others constants stand for code.
                0xDF00 => scan.calls.push((at, pushed.clone())),
                0xE800.. => {
                    let Some(second) = halves.next() else { break };
                    at += 2;
                    match (first, second) {
                        // PUSH.W and PUSH.W of one
                        (0xE92D, list) => push(listed(list).collect()),
                        (0xF84D, one) if one & 0xFFF == 0xD04 => push(vec![usize::from(one >> 12)]),
                        // POP.W
                        (0xE8BD, list) => {
                            let count = listed(list).count().min(pushed.len());
                            pushed.drain(..count);
                        }
                        // BL
                        (0xF000..=0xF7FF, to) if to & 0xD000 == 0xD000 => {
                            scan.loses_link |= scan.calls.is_empty();
                        }
                        // SUB.W sp
                        (0xF1AD, to) if to >> 8 & 0xF == SP as u16 => scan.moves_stack = true,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        scan
    }
}

/// A function on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stack pointer of its caller.
    pub cfa: u32,
    /// Where it is.
    pub pc: Virt,
    /// It and what it is inlined into, itself first.
    pub functions: Vec<String>,
}

/// A stack, innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Its functions.
    pub frames: Vec<Frame>,
    /// Where it had to end.
    pub limit: u32,
}

/// The number at a member of task `index`'s record.
fn record(image: &Image<'_>, memory: &Memory, index: usize, of: &[&str]) -> Result<u32, String> {
    let kernel = image.kernel();
    let table = kernel.types().variable("HUBRIS_TASK_TABLE_SPACE").ok_or("no task table")?;
    let task = structure(kernel, "Task")?;
    let mut at = table.at.plus((index * task.size) as u64);
    let mut within = task;
    for (n, name) in of.iter().enumerate() {
        at = at.plus(within.member(name).ok_or_else(|| format!("no {name}"))?.offset as u64);
        if n + 1 < of.len() {
            let inner = kernel.types().structure(member(within, name)?);
            within = inner.ok_or_else(|| format!("{name} is no struct"))?;
        }
    }
    memory.word(at).ok_or_else(|| format!("the dump lacks {:#x}", at.0))
}

/// Registers of task `index` out of its frame: r0 to r15, and the status word.
fn stacked(image: &Image<'_>, memory: &Memory, index: usize) -> Result<([u32; 16], u32), String> {
    const SAVED: [&str; 8] = ["r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"];
    let mut r = [0; 16];
    for (register, name) in r[4..12].iter_mut().zip(SAVED) {
        *register = record(image, memory, index, &["save", name])?;
    }
    let psp = record(image, memory, index, &["save", "psp"])?;
    let word = |n: u32| {
        let at = Virt(u64::from(psp) + u64::from(4 * n));
        memory.word(at).ok_or_else(|| format!("the dump lacks the frame at {:#x}", at.0))
    };
    for (n, register) in [0, 1, 2, 3, 12, LR, PC].into_iter().enumerate() {
        r[register] = word(n as u32)?;
    }
    let psr = word(7)?;
    r[SP] = psp.wrapping_add(FRAME).wrapping_add(if psr & REALIGNED == 0 { 0 } else { 4 });
    Ok((r, psr))
}

/// The task in which the core was, if it was in one.
fn running_task(image: &Image<'_>, dump: &Dump) -> Option<usize> {
    let pc = dump.registers.as_ref()?.get(Register::PC)?;
    let current = System::of(dump).current().ok()??;
    let text = image.tasks().get(current)?.object.text();
    text.contains(&Virt(pc.into())).then_some(current)
}

/// Registers of task `index`.
fn registers_of(image: &Image<'_>, dump: &Dump, index: usize) -> Result<[u32; 16], String> {
    if running_task(image, dump) != Some(index) {
        return Ok(stacked(image, &dump.memory, index)?.0);
    }
    let core = dump.registers.as_ref().ok_or("the dump has no registers")?;
    let mut r = [0; 16];
    for (number, register) in (0..).zip(&mut r) {
        *register = core.get(Register(number)).ok_or("a register is missing")?;
    }
    Ok(r)
}

/// Walks the stack of task `index`.
pub(crate) fn walk(image: &Image<'_>, dump: &Dump, index: usize) -> Result<Walk, String> {
    let program = image.tasks().get(index).ok_or("there is no such task")?;
    let system = System::of(dump);
    let descriptor = descriptor(system.programs(), &dump.memory, index);
    let descriptor = descriptor.map_err(|error| error.to_string())?;
    let limit = descriptor.field("initial_stack").and_then(Value::number).unwrap_or(0) as u32;
    let all = regions(system.programs(), &dump.memory).map_err(|error| error.to_string())?;
    let r = registers_of(image, dump, index)?;
    let registers = r.map(Some);
    let memory = &dump.memory;
    let on = |registers| Stack { program, memory, regions: &all, registers }.walk(limit);
    let Some(pushed) = pushed_before(program, r[PC]) else {
        return Ok(Walk { frames: on(registers)?, limit });
    };
    // What was pushed is put back. With a frame for the stub that is all.
    let mut before = registers;
    for (n, register) in pushed.iter().enumerate() {
        let at = Virt(u64::from(r[SP]) + 4 * n as u64);
        before[*register] = Some(memory.word(at).ok_or("the dump lacks what was pushed")?);
    }
    let mut raised = before;
    raised[SP] = Some(r[SP] + 4 * pushed.len() as u32);
    if let Ok(frames) = on(raised) {
        return Ok(Walk { frames, limit });
    }
    // Without one it starts anew with the caller, whose own lr is not known; the
    // stack pointer stays that of the stub.
    let functions = program.object.function(Virt(r[PC].into())).map(|stub| stub.name.clone());
    let stub = Frame { cfa: r[SP], pc: Virt(r[PC].into()), functions: Vec::from_iter(functions) };
    before[PC] = Some(r[LR]);
    before[LR] = None;
    let mut frames = vec![stub];
    frames.extend(on(before)?);
    Ok(Walk { frames, limit })
}

/// What a stub pushed before the svc that `pc` is right behind.
fn pushed_before(program: &Program<'_>, pc: u32) -> Option<Vec<usize>> {
    let before = program.object.function(Virt(u64::from(pc).checked_sub(1)?))?;
    let code = program.object.code_from(before.at)?.get(..before.size as usize)?;
    let offset = u64::from(pc).checked_sub(before.at.0)? as u32;
    Scan::of(code).calls.into_iter().find(|call| call.0 == offset).map(|call| call.1)
}

struct Stack<'s, 'a> {
    program: &'s Program<'a>,
    memory: &'s Memory,
    regions: &'s [Region],
    /// Those that are known.
    registers: [Option<u32>; 16],
}

impl Stack<'_, '_> {
    fn walk(mut self, limit: u32) -> Result<Vec<Frame>, String> {
        let mut frames_section =
            DebugFrame::new(self.program.section(".debug_frame"), LittleEndian);
        frames_section.set_address_size(4);
        let sp = self.get(SP)?;
        let below = self.regions.iter().filter(|region| region.base.0 <= sp.into());
        let region = below.max_by_key(|region| region.base).ok_or("no region has the stack")?;
        let (base, size) = (region.base, region.size);
        let whole = self.memory.read(base, size as usize);
        let whole = whole.ok_or_else(|| format!("the dump lacks the region at {:#x}", base.0))?;
        let word = |at: u32| -> Result<u32, String> {
            let offset = Virt(at.into()).offset_from(base).map(|offset| offset as usize);
            let bytes = offset.and_then(|offset| whole.get(offset..offset + 4));
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or_else(|| format!("{at:#x} is in another region"))
        };
        let mut frames = Vec::new();
        let mut last = None;
        while frames.len() < FRAMES {
            let pc = self.get(PC)?;
            let cfa = self.row(&frames_section, pc, word)?;
            frames.push(Frame { cfa, pc: Virt(pc.into()), functions: self.functions(pc) });
            // Humility ends here, when it is not known.
            let lr = self.get(LR)?;
            self.registers[PC] = Some(lr & !1);
            if cfa >= limit {
                return Ok(frames);
            }
            if last == Some(cfa) {
                return Err(format!("two frames end at {cfa:#x}"));
            }
            last = Some(cfa);
        }
        Err(format!("more than {FRAMES} frames"))
    }

    /// Goes to the caller by the row of the table for `pc`; the stack pointer
    /// there.
    fn row(
        &mut self,
        section: &DebugFrame<Slice<'_>>,
        pc: u32,
        word: impl Fn(u32) -> Result<u32, String>,
    ) -> Result<u32, String> {
        let mut context = UnwindContext::new();
        let row = section.unwind_info_for_address(
            &BaseAddresses::default(),
            &mut context,
            pc.into(),
            DebugFrame::cie_from_offset,
        );
        let row = row.map_err(|error| format!("no frame for {pc:#x}: {error}"))?;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } if register.0 < 16 => {
                self.get(register.0.into())?.wrapping_add_signed(*offset as i32)
            }
            _ => return Err(format!("the frame at {pc:#x} is of no register")),
        };
        for (register, rule) in row.registers() {
            let RegisterRule::Offset(offset) = rule else {
                return Err(format!("the frame at {pc:#x} has a rule that is not known"));
            };
            let value = word(cfa.wrapping_add_signed(*offset as i32))?;
            if let Some(known) = self.registers.get_mut(usize::from(register.0)) {
                *known = Some(value);
            }
        }
        self.registers[SP] = Some(cfa);
        Ok(cfa)
    }

    fn get(&self, register: usize) -> Result<u32, String> {
        self.registers[register].ok_or_else(|| format!("r{register} is not known"))
    }

    /// The functions at `pc`, by what debug information says of that address.
    fn functions(&self, pc: u32) -> Vec<String> {
        let mut r = [0; 16];
        r[PC] = pc;
        let stack = unwind(&self.program.object, self.memory, &r, 0);
        let calls = stack.frames.into_iter().next().map(|frame| frame.calls).unwrap_or_default();
        calls.into_iter().map(|call| call.function).collect()
    }
}

pub(crate) fn running(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let Some(index) = running_task(image, taken.dump) else { return };
    let ours = System::of(taken.dump).registers(index).map_err(|error| error.to_string());
    let humilitys = registers_of(image, taken.dump, index);
    if let (Some(Some(ours)), Some(humilitys)) = (found.take(ours), found.take(humilitys)) {
        found.expect(ours.r == humilitys, || format!("task {index}: {humilitys:x?}"));
    }
}

/// Runs `look` on each task whose registers are in a frame, with those that the
/// kernel saved and those that Humility finds.
fn each_stacked(
    image: &Image<'_>,
    taken: &Taken<'_>,
    found: &mut Findings,
    look: impl Fn(usize, ([u32; 16], [u32; 16], u32), &mut Findings),
) {
    let system = System::of(taken.dump);
    let running = running_task(image, taken.dump);
    for index in 0..image.tasks().len() {
        let other = taken.dump.task.is_some_and(|one| one.task.index() != index);
        if other || Some(index) == running {
            continue;
        }
        let name = image.tasks()[index].name;
        let saved = system.registers(index).map_err(|error| error.to_string());
        let saved = saved.and_then(|saved| saved.ok_or_else(|| "no registers".to_owned()));
        let stacked = stacked(image, &taken.dump.memory, index);
        let told = |what: String| format!("{name}: {what}");
        let (saved, stacked) = (saved.map_err(told), stacked.map_err(told));
        if let (Some(saved), Some((r, psr))) = (found.take(saved), found.take(stacked)) {
            look(index, (saved.r, r, psr), found);
        }
    }
}

pub(crate) fn frames(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    each_stacked(image, taken, found, |index, (saved, stacked, _), found| {
        let name = image.tasks()[index].name;
        found.expect(saved == stacked, || format!("{name}: {stacked:x?} for {saved:x?}"));
    });
}

pub(crate) fn status(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    each_stacked(image, taken, found, |index, (_, _, psr), found| {
        found.expect(psr & REALIGNED == 0, || image.tasks()[index].name.into());
    });
}

pub(crate) fn after_svc(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    let tasks = System::of(taken.dump).tasks().map_err(|error| error.to_string());
    let Some(tasks) = found.take(tasks) else { return };
    each_stacked(image, taken, found, |index, (_, stacked, _), found| {
        let program = &image.tasks()[index];
        let pc = stacked[PC];
        found.expect(pc % 2 == 0, || format!("{}: {pc:#x} is odd", program.name));
        let state = tasks.tasks.iter().find(|task| task.index == index).map(|task| &task.state);
        let waits = state.and_then(|state| state.at(0)).and_then(Value::name);
        if waits.is_some_and(|state| ["InSend", "InReply", "InRecv"].contains(&state)) {
            let behind = pushed_before(program, pc).is_some();
            found.expect(behind, || format!("{} waits at {pc:#x}", program.name));
        }
    });
}

pub(crate) fn stacks(image: &Image<'_>, taken: &Taken<'_>, found: &mut Findings) {
    for (index, task) in image.tasks().iter().enumerate() {
        if taken.dump.task.is_some_and(|one| one.task.index() != index) {
            continue;
        }
        let walked = walk(image, taken.dump, index).map_err(|why| format!("{}: {why}", task.name));
        let Some(Walk { frames, limit }) = found.take(walked) else { continue };
        let end = frames.last().map_or(0, |frame| frame.cfa);
        found.expect(end == limit, || format!("{} ends at {end:#x}, not {limit:#x}", task.name));
    }
}

#[cfg(test)]
mod tests {
    use super::{LR, Scan};

    fn scan(halves: &[u16]) -> Scan {
        let code: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        Scan::of(&code)
    }

    #[test]
    fn what_is_pushed_before_a_call_is_listed_from_the_stack_pointer_up() {
        // push {r4, lr}; push {r0}; svc 0; pop {r0}; svc 0
        let scan = scan(&[0xB510, 0xB401, 0xDF00, 0xBC01, 0xDF00]);
        assert_eq!(scan.calls, [(6, vec![0, 4, LR]), (10, vec![4, LR])]);
        assert!(scan.pushes && !scan.moves_stack && !scan.loses_link);
    }

    #[test]
    fn what_else_changes_the_stack_or_the_link_is_seen() {
        // sub sp, #8; mov sp, r7; sub.w sp, sp, #8
        for code in [&[0xB082][..], &[0x46BD], &[0xF1AD, 0x0D08]] {
            assert!(scan(code).moves_stack, "{code:x?}");
        }
        // bl before svc; mov lr, r0 before svc; bl behind it
        assert!(scan(&[0xF000, 0xF800, 0xDF00]).loses_link);
        assert!(scan(&[0x4686, 0xDF00]).loses_link);
        assert!(!scan(&[0xDF00, 0xF000, 0xF800]).loses_link);
    }
}
