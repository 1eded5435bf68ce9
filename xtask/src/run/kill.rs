//! Death from outside: a task, or the DSP's program, goes on at an address that
//! it may not execute.
//!
//! Nothing in the image is there for this. The player is woken by its bell, and
//! stopped at its first instruction: there the kernel is at rest, and the registers
//! of whoever waits are in its memory. The victim's program counter is changed, and
//! the kernel's set of tasks that can run has the victim in it from then on. The
//! processor does the rest, as after a jump gone wrong: a prefetch abort at the
//! victim's next instruction, which is its fault and nobody else's.

use addr::{Phys, Virt};
use archive::Archive;
use dsp_abi::bell;
use dsp_abi::control::AnswerPage;
use image::Image;
use qemu::{Core, Error, Memory, Register};
use std::mem::offset_of;
use std::time::Duration;
use view::types::{Type, TypeId, Types};
use view::{Programs, Which};

use super::drive::{self, Board};
use super::freeze;
use super::places::Places;
use super::stage::Stop;
use crate::Bad;

/// Where nobody may execute: nothing is mapped there, for whoever it is.
const NOWHERE: u32 = 0xFFFF_FFF0;
/// Who is woken for it.
const PLAYER: &str = "player";
/// How long a death may take on a loaded host.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where in memory lives are ended.
#[derive(Clone, Debug)]
pub(crate) struct Killer {
    /// The kernel's set of tasks that can run.
    ready: Phys,
    /// The saved program counter of each task, by its index.
    tasks: Vec<(String, Phys)>,
    /// That of the DSP's program.
    program: Phys,
    /// How often that program was restarted.
    program_lives: Phys,
}

impl Killer {
    /// The places of `image`, as its debug information has them.
    pub(crate) fn of(image: &Image) -> Result<Self, Stop> {
        let archive = Archive::open(&image.archive).map_err(|error| Bad(error.to_string()))?;
        let programs = Programs::of(&archive);
        let kernel = programs.get(Which::Kernel).map_err(|error| Bad(error.to_string()))?.types();
        let monitor = archive.core1().position(|part| part.name == "dsp-monitor");
        let monitor = monitor.ok_or_else(|| Bad("the image has no DSP".to_owned()))?;
        let monitor =
            programs.get(Which::Core1(monitor)).map_err(|error| Bad(error.to_string()))?;
        let answers = image.app.pool("answers").ok_or_else(|| Bad("no pool answers".to_owned()))?;
        let lost = |what: &str| Bad(format!("nothing is told of {what}"));
        let (table, size, counter) = counters(kernel).ok_or_else(|| lost("the kernel's tasks"))?;
        let tasks = (0..).zip(programs.task_names());
        let tasks = tasks.map(|(n, name)| (name, table.plus(n * size + counter))).collect();
        Ok(Self {
            ready: place(kernel, "MACHINE", &["kernel", "ready"])
                .ok_or_else(|| lost("who can run"))?,
            tasks,
            program: place(monitor.types(), "CONTEXT", &["pc"])
                .ok_or_else(|| lost("the program's registers"))?,
            program_lives: answers.base.plus(offset_of!(AnswerPage, program_epoch) as u64),
        })
    }

    /// Kills task `victim` while core 0 has nothing else to do; it has begun its
    /// next life then.
    pub(crate) fn task(
        &self,
        board: &mut Board<'_>,
        places: &Places,
        victim: &str,
    ) -> Result<(), Error> {
        let lives = board.machine.memory.word(places.restarts.at)?;
        let index = |task: &str| self.tasks.iter().position(|(name, _)| name == task);
        let missing = || Error::Refused("kill".to_owned(), format!("no task {victim}"));
        let player = index(PLAYER).ok_or_else(missing)?;
        let victim = index(victim).ok_or_else(missing)?;
        let mut gdb = freeze::asleep(&mut board.machine)?.gdb;
        let wakes_at = board.machine.memory.word(self.tasks[player].1)?;
        drive::ring(&mut board.machine, places, bell::PLAYER)?;
        gdb.run_to(Virt(wakes_at.into()))?;
        let memory = &board.machine.memory;
        if victim == player {
            // It runs, and its registers are the core's.
            gdb.set_register(Core(0), Register::PC, NOWHERE)?;
        } else {
            memory.write(self.tasks[victim].1, &NOWHERE.to_le_bytes())?;
            let ready = memory.word(self.ready)? | 1 << victim;
            memory.write(self.ready, &ready.to_le_bytes())?;
        }
        gdb.detach()?;
        board.machine.wait_until("a task's next life", PATIENCE, |memory| {
            Ok(memory.word(places.restarts.at)? == lives + 1)
        })
    }

    /// Kills the DSP's program, which waits for something most of the time; it
    /// has begun its next life then. The machine is not stopped for it.
    pub(crate) fn program(&self, board: &mut Board<'_>) -> Result<(), Error> {
        let lives = |memory: &Memory| memory.word(self.program_lives);
        let before = lives(&board.machine.memory)?;
        board.machine.wait_until("the program's next life", PATIENCE, |memory| {
            if lives(memory)? != before {
                return Ok(true);
            }
            // Written over if it was running: then the next look comes in time.
            memory.write(self.program, &NOWHERE.to_le_bytes())?;
            Ok(false)
        })
    }
}

/// Where the kernel's records of its tasks begin, the bytes of one, and where in
/// it the saved program counter is.
fn counters(kernel: &Types) -> Option<(Phys, u64, u64)> {
    let table = kernel.variable("HUBRIS_TASK_TABLE_SPACE")?;
    let task = kernel.array(table.of)?.of;
    let size = kernel.size(task)? as u64;
    Some((Phys(table.at.0), size, field(kernel, task, &["save", "pc"])?))
}

/// Where the field of variable `name` is that `path` leads to. All memory is
/// mapped where it is.
fn place(types: &Types, name: &str, path: &[&str]) -> Option<Phys> {
    let variable = types.variable(name)?;
    let place = variable.place_of(field(types, variable.of, path)?)?;
    Some(Phys(place.0))
}

/// How far in a value of type `of` the field is that `path` leads to. What is
/// around one thing only is passed through.
fn field(types: &Types, of: TypeId, path: &[&str]) -> Option<u64> {
    let (mut of, mut offset) = (of, 0);
    for name in path {
        let member = loop {
            let wrapped = match types.get(of)? {
                Type::Struct(found) => match (found.member(name), &found.members[..]) {
                    (Some(member), _) => break member,
                    (None, [only]) => only,
                    (None, _) => return None,
                },
                Type::Union(found) => found.member("value")?,
                _ => return None,
            };
            offset += wrapped.offset;
            of = wrapped.of;
        };
        offset += member.offset;
        of = member.of;
    }
    Some(offset as u64)
}

#[cfg(test)]
mod tests {
    use super::field;
    use view::types::{Base, Encoding, Member, Struct, Type, TypeId, Types};

    fn member(name: &str, offset: usize, of: usize) -> Member {
        Member { name: name.into(), offset, of: TypeId(of) }
    }

    #[test]
    fn a_field_is_found_through_what_is_around_one_thing_only() {
        let word = Type::Base(Base { name: "u32".into(), encoding: Encoding::Unsigned, size: 4 });
        let of = |members| Struct { members, ..Struct::default() };
        let types = Types::new([
            (TypeId(0), word),
            (TypeId(1), Type::Struct(of(vec![member("tasks", 0, 0), member("ready", 8, 0)]))),
            (TypeId(2), Type::Struct(of(vec![member("board", 0, 0), member("kernel", 16, 1)]))),
            (TypeId(3), Type::Union(of(vec![member("uninit", 0, 0), member("value", 0, 2)]))),
            (TypeId(4), Type::Struct(of(vec![member("__0", 4, 3)]))),
        ]);
        let at = |path: &[&str]| field(&types, TypeId(4), path);
        assert_eq!(at(&["kernel", "ready"]), Some(4 + 16 + 8));
        assert_eq!(at(&["kernel"]), Some(4 + 16));
        assert_eq!(at(&["ready"]), None, "it is one of two");
        assert_eq!(at(&["kernel", "ready", "more"]), None);
    }
}
