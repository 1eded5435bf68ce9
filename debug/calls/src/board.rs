//! A board of QEMU's whose task `hiffy` makes the calls.
//!
//! The program goes into the task's statics through the debugger, and so does the
//! bell: a write to the frame that raises interrupts, exactly as another core
//! would ring it. Meanwhile the board stands still; it runs while the call is made.

use crate::Error;
use crate::call::{Call, Outcome};
use addr::{Phys, Virt};
use archive::Archive;
use dsp_abi::bell;
use dump::{Board as _, Monitor};
use hif::{Function, Program, Request, results};
use qemu::{Gdb, Qmp};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml::Table;
use view::{Object, Programs, Which};

/// How long `hiffy` may take to be ready, and a server to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked.
const GLANCE: Duration = Duration::from_millis(5);
/// Room for the longest program.
const TEXT: usize = 512;

/// A static of `hiffy`'s.
#[derive(Copy, Clone, Debug)]
struct Static {
    at: Phys,
    size: usize,
}

/// A board, and where `hiffy` takes programs.
#[derive(Debug)]
pub struct Board<'q> {
    qmp: &'q mut Qmp,
    /// Where the debugger listens.
    debugger: PathBuf,
    text: Static,
    data: Static,
    results: Static,
    kick: Static,
    ready: Static,
    requests: Static,
    errors: Static,
    bells: Phys,
}

impl<'q> Board<'q> {
    /// The board whose monitor is `qmp`, which runs the image of `archive`; its
    /// debugger listens at `debugger`, or will. A board needs the same place always.
    ///
    /// # Errors
    /// When it runs another one, or one without `hiffy`.
    pub fn new(
        qmp: &'q mut Qmp,
        debugger: &Path,
        archive: &Archive,
        programs: &Programs<'_>,
    ) -> Result<Self, Error> {
        let status = qmp.execute("query-status", serde_json::json!({}))?;
        if status["running"] != true {
            return Err(Error::Stopped);
        }
        let id = read(qmp, Phys(archive.image_id_address().0), 8)?;
        if id != archive.image_id().0.to_le_bytes() {
            return Err(Error::OtherImage);
        }
        let hiffy = programs.task_names().iter().position(|name| name == "hiffy");
        let hiffy = programs.get(Which::Task(hiffy.ok_or(Error::NoHiffy)?))?;
        let place = |name| place(hiffy, name).ok_or(Error::NoHiffy);
        let (text, data, results) =
            (place("HIFFY_TEXT")?, place("HIFFY_DATA")?, place("HIFFY_RSTACK")?);
        let (kick, ready) = (place("HIFFY_KICK")?, place("HIFFY_READY")?);
        let (requests, errors) = (place("HIFFY_REQUESTS")?, place("HIFFY_ERRORS")?);
        let bells = bells(archive).ok_or(Error::NoHiffy)?;
        let debugger = debugger.to_owned();
        Ok(Self { qmp, debugger, text, data, results, kick, ready, requests, errors, bells })
    }

    /// Makes a call; what came back.
    ///
    /// # Errors
    /// When it was not made.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let request =
            Request { server: call.index, operation: call.number, message: &call.message };
        self.send(call.function, &request, call.reply, &call.leases, &call.data)
    }

    /// Has `hiffy` send a message.
    ///
    /// # Errors
    /// When it was not sent.
    pub fn send(
        &mut self,
        function: Function,
        request: &Request<'_>,
        reply: u32,
        leases: &[u32],
        data: &[u8],
    ) -> Result<Outcome, Error> {
        let mut text = [0; TEXT];
        let text = Program::call(&mut text, function, request, reply, leases);
        let too_long = || Error::Bad("the call is longer than hiffy has room for".to_owned());
        let text = text.filter(|text| text.len() <= self.text.size).ok_or_else(too_long)?;
        if data.len() > self.data.size {
            return Err(too_long());
        }
        let before = self.kick(text, data)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let counts = (self.word(self.requests)?, self.word(self.errors)?);
            if counts.0 != before.0 {
                let stack = read(self.qmp, self.results.at, self.results.size)?;
                let mut results = results(&stack);
                return match results.next() {
                    Some(Ok(value)) => Ok(Outcome::Replied(value.to_vec())),
                    Some(Err(code)) => Ok(Outcome::Code(code)),
                    None => Err(Error::NoAnswer),
                };
            }
            if counts.1 != before.1 {
                // What goes wrong with a program of ours: a server without a slot.
                let server = request.server;
                return Err(Error::Refused(format!("task {server} is none of its servers")));
            }
            if Instant::now() > until {
                return Err(Error::NoAnswer);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Lays the program down and rings; the counts before.
    fn kick(&mut self, text: &[u8], data: &[u8]) -> Result<(u32, u32), Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut gdb = Gdb::at(self.qmp, &self.debugger)?;
            let mut word = |at: Static| {
                let mut word = [0; 4];
                gdb.read(at.at, &mut word).map(|()| u32::from_le_bytes(word))
            };
            if word(self.ready)? == 1 && word(self.kick)? == 0 {
                let before = (word(self.requests)?, word(self.errors)?);
                gdb.write(self.text.at, text)?;
                gdb.write(self.data.at, data)?;
                gdb.write(self.kick.at, &1_u32.to_le_bytes())?;
                let register = self.bells.plus(u64::from(bell::SETSPI));
                gdb.write(register, &u32::from(bell::HIFFY).to_le_bytes())?;
                gdb.detach()?;
                return Ok(before);
            }
            gdb.detach()?;
            if Instant::now() > until {
                return Err(Error::NotReady);
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn word(&mut self, at: Static) -> Result<u32, Error> {
        let bytes = read(self.qmp, at.at, 4)?;
        Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte)))
    }
}

fn read(qmp: &mut Qmp, at: Phys, bytes: usize) -> Result<Vec<u8>, Error> {
    Ok(Monitor::new(qmp)?.read(at, bytes as u32)?)
}

fn place(hiffy: &Object<'_>, name: &str) -> Option<Static> {
    let variable = hiffy.types().variable(name)?;
    let Virt(at) = variable.at;
    Some(Static { at: Phys(at), size: hiffy.types().size(variable.of)? })
}

/// Where bells are rung.
fn bells(archive: &Archive) -> Option<Phys> {
    let chip = archive.text("chip.toml")?.parse::<Table>().ok()?;
    let address = chip.get("gicv2m")?.get("address")?.as_integer()?;
    Some(Phys(u64::try_from(address).ok()?))
}
