//! The hostile DSP program's desk (`test/hostile`): orders go in and what it was
//! answered comes out, through the board's memory.

use archive::Archive;
use dsp_abi::bell;
use dsp_abi::control::AnswerPage;
use hostile::{Desk, Order, Plan, Tally};
use image::Image;
use qemu::{Error, Memory};
use std::mem::offset_of;
use std::time::Duration;
use zerocopy::{FromZeros, IntoBytes};

use super::drive::{Board, ring};
use super::places::{Places, Static, symbol};
use super::stage::Stop;
use crate::Bad;

/// Looks at an empty desk: at the first, the rest of it may just be cleared.
const CLEARED: u32 = 2;
/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The desk, and the orders that were given.
pub(crate) struct Master<'p> {
    at: Static,
    places: &'p Places,
    answers: addr::Phys,
    given: u32,
}

/// How an order ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The program carried it out.
    Done,
    /// The program did not live to its end.
    Died,
}

impl<'p> Master<'p> {
    pub(crate) fn of(image: &Image, places: &'p Places) -> Result<Self, Stop> {
        let archive = Archive::open(&image.archive).map_err(|error| Bad(error.to_string()))?;
        let program = archive.core1().find(|program| program.name == "hostile");
        let program = program.ok_or_else(|| Bad("no hostile program".to_owned()))?;
        let at = symbol(program.elf, "HOSTILE_DESK", |name| name == "HOSTILE_DESK").map_err(Bad)?;
        let answers = image.app.pool("answers").ok_or_else(|| Bad("no pool answers".to_owned()))?;
        Ok(Self { at, places, answers: answers.base, given: 0 })
    }

    /// Orders `plan`, and rings the program, which may wait for nothing else.
    pub(crate) fn order(&mut self, board: &mut Board<'_>, plan: Plan) -> Result<(), Error> {
        self.given += 1;
        let order = Order::new(self.given, plan, 0x5EED ^ self.given);
        // Its sequence, which is first, goes last.
        let (sequence, rest) = order.as_bytes().split_at(size_of::<u32>());
        board.machine.memory.write(self.at.at.plus(sequence.len() as u64), rest)?;
        board.machine.memory.write(self.at.at, sequence)?;
        ring(&mut board.machine, self.places, bell::MAIL_TO_DSP)
    }

    /// Has `plan` carried out. When that is the program's end, its next life has
    /// begun afterwards.
    pub(crate) fn carry_out(&mut self, board: &mut Board<'_>, plan: Plan) -> Result<Ended, Error> {
        let lives = self.answers(&board.machine.memory)?.program_epoch;
        self.order(board, plan)?;
        let died = |memory: &Memory| Ok(self.answers(memory)?.program_epoch != lives);
        board.machine.wait_until("an order to the program", PATIENCE, |memory| {
            let done = self.at.at.plus(offset_of!(Desk, done) as u64);
            Ok(died(memory)? || memory.word(done)? == self.given)
        })?;
        // It may have died at the last look.
        if !died(&board.machine.memory)? {
            return Ok(Ended::Done);
        }
        // With its memory cleared an order goes that was given too early.
        let mut looks = 0;
        board.machine.wait_until("the program's next life", PATIENCE, |memory| {
            looks += u32::from(memory.word(self.at.at)? == 0);
            Ok(looks == CLEARED)
        })?;
        Ok(Ended::Died)
    }

    /// What the program's life was answered so far.
    pub(crate) fn tally(&self, memory: &Memory) -> Result<Tally, Error> {
        let mut desk = Desk::new_zeroed();
        memory.read(self.at.at, desk.as_mut_bytes())?;
        Ok(desk.tally)
    }

    /// What the monitor says.
    pub(crate) fn answers(&self, memory: &Memory) -> Result<AnswerPage, Error> {
        let mut answers = AnswerPage::new_zeroed();
        memory.read(self.answers, answers.as_mut_bytes())?;
        Ok(answers)
    }
}
