//! A machine that runs, and how it ends.

use crate::bus::Bus;
use crate::gdb::Gdb;
use crate::machine::{RAM_BYTES, device_id, listener, ram_backend, with_path};
use crate::qmp::{Qmp, lost};
use crate::trace::Act;
use crate::{Error, Machine, Memory, QEMU};
use addr::Phys;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long QEMU may take to start, and to end when told to.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether something happened.
const GLANCE: Duration = Duration::from_millis(5);
/// QEMU's log, in the machine's folder.
const LOG: &str = "log";
/// The socket of its bus.
const BUS: &str = "bus";
/// Complaints that are kept word for word.
const KEPT: usize = 10_000;

/// A machine that runs. When the value goes, QEMU goes.
#[derive(Debug)]
pub struct Running {
    /// QEMU's monitor.
    pub qmp: Qmp,
    /// The guest's RAM.
    pub memory: Memory,
    bus: Option<Bus>,
    machine: Machine,
    process: Process,
    folder: TempDir,
}

/// What a machine left behind.
#[derive(Debug)]
pub struct Ended {
    /// What it wrote on its serial port.
    pub said: String,
    /// How QEMU ended; none when it was stopped because the time was up.
    pub status: Option<ExitStatus>,
    /// Times that QEMU's devices found something wrong with what the guest did.
    pub complaints: u64,
    /// The first few of them.
    pub first_complaints: Vec<String>,
    /// What its devices did, when the machine was [traced](Machine::traced).
    pub acts: Vec<Act>,
    /// The guest's RAM.
    pub memory: Memory,
}

impl Running {
    pub(crate) fn start(machine: Machine) -> Result<Self, Error> {
        let folder = TempDir::with_prefix("sotto-").map_err(|e| Error::Io("a folder", e))?;
        let ram = folder.path().join("ram");
        let file = File::options().read(true).write(true).create_new(true).open(&ram);
        let file = file.and_then(|file| file.set_len(RAM_BYTES).map(|()| file));
        let file = file.map_err(|error| Error::Io("a file for the RAM", error))?;
        let socket = folder.path().join("qmp");
        let monitor = UnixListener::bind(&socket).map_err(|e| Error::Io("a socket", e))?;
        let mut command = Command::new(QEMU);
        command
            // It begins when the monitor is there.
            .arg("-S")
            .arg("-object")
            .arg(ram_backend(&ram))
            .arg("-qmp")
            .arg(with_path("unix:", &socket))
            .args(["-d", "guest_errors,unimp", "-D"])
            .arg(folder.path().join(LOG))
            .arg("-qtest")
            .arg(listener(&folder.path().join(BUS)))
            // What is asked there would be told on the terminal.
            .args(["-qtest-log", "/dev/null"])
            .args(machine.arguments());
        let mut process = Process::spawn(command)?;
        let qmp = Qmp::open(process.accept(&monitor)?).map_err(|error| process.explain(error));
        let mut qmp = qmp?;
        // QEMU has it open; should we be killed, no file of this size is left.
        fs::remove_file(&ram).map_err(|error| Error::Io("the file for the RAM", error))?;
        qmp.execute("cont", json!({})).map_err(|error| process.explain(error))?;
        Ok(Self { qmp, memory: Memory::new(file), bus: None, machine, process, folder })
    }

    /// Waits until `done` says so, at most for `span`.
    ///
    /// # Errors
    /// When the machine ended before, or the time is up, or looking failed.
    pub fn wait_until(
        &mut self,
        what: &'static str,
        span: Duration,
        mut done: impl FnMut(&Memory) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let until = Instant::now() + span;
        while !done(&self.memory)? {
            if self.process.has_ended() {
                return Err(self.process.explain(Error::Died(String::new())));
            }
            if Instant::now() > until {
                return Err(Error::Late(what));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Waits until the guest has ended QEMU, at most for `span`; then the machine
    /// is stopped.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn wait(mut self, span: Duration) -> Result<Ended, Error> {
        let status = self.process.wait(span);
        self.ended(status)
    }

    /// Ends the machine; files that QEMU writes are whole then.
    ///
    /// # Errors
    /// When QEMU does not end.
    pub fn quit(mut self) -> Result<Ended, Error> {
        match self.qmp.execute("quit", json!({})) {
            // It may be gone before it has answered.
            Ok(_) | Err(Error::Died(_)) => {}
            Err(error) => return Err(error),
        }
        match self.process.wait(PATIENCE) {
            None => Err(Error::Late("the machine's end")),
            status => self.ended(status),
        }
    }

    /// The board's bus; the machine goes on.
    ///
    /// # Errors
    /// When QEMU ended.
    pub fn bus(&mut self) -> Result<&mut Bus, Error> {
        Ok(match &mut self.bus {
            Some(bus) => bus,
            bus @ None => {
                let stream = UnixStream::connect(self.folder.path().join(BUS)).map_err(lost)?;
                bus.insert(Bus::open(stream)?)
            }
        })
    }

    /// Attaches a debugger: the machine stands still until it lets go.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn debug(&mut self) -> Result<Gdb, Error> {
        let socket = self.folder.path().join("gdb");
        if !socket.exists() {
            Gdb::listen(&mut self.qmp, &socket)?;
        }
        Gdb::connect(&socket)
    }

    /// Reads `len` bytes of a device's registers.
    ///
    /// # Errors
    /// When QEMU refuses. The interrupt controller must not be asked: see [`Bus`].
    pub fn device_block(&mut self, at: Phys, len: usize) -> Result<Vec<u8>, Error> {
        let file = self.folder.path().join("block");
        let name = file.to_str().ok_or_else(|| {
            Error::Io("the folder for sockets", ErrorKind::InvalidFilename.into())
        })?;
        self.qmp.execute("pmemsave", json!({ "val": at.0, "size": len, "filename": name }))?;
        fs::read(&file).map_err(|error| Error::Io("what QEMU saved", error))
    }

    /// Times that QEMU's devices found something wrong so far.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn complaints(&self) -> Result<u64, Error> {
        Ok(Log::read(&self.folder.path().join(LOG))?.complaints)
    }

    /// Pulls headset `n` out.
    ///
    /// # Errors
    /// When it is not plugged in.
    pub fn unplug(&mut self, n: usize) -> Result<(), Error> {
        self.qmp.execute("device_del", json!({ "id": device_id(n) })).map(|_| ())
    }

    /// Plugs headset `n` in.
    ///
    /// # Errors
    /// When it is, or its port is taken.
    pub fn plug(&mut self, n: usize) -> Result<(), Error> {
        let headset = self.machine.headsets().get(n);
        let headset = headset
            .ok_or_else(|| Error::Refused("device_add".to_owned(), format!("no headset {n}")))?;
        let mut arguments = json!({ "driver": "usb-audio" });
        for (name, value) in headset.properties(n, self.machine.hub_port()) {
            let value = value.to_str().map(Value::from);
            arguments[name] = value.ok_or_else(|| {
                Error::Io("the name of a file", ErrorKind::InvalidFilename.into())
            })?;
        }
        self.qmp.execute("device_add", arguments).map(|_| ())
    }

    fn ended(self, status: Option<ExitStatus>) -> Result<Ended, Error> {
        let Self { memory, process, folder, .. } = self;
        let said = process.end();
        let Log { complaints, first_complaints, acts } = Log::read(&folder.path().join(LOG))?;
        Ok(Ended { said, status, complaints, first_complaints, acts, memory })
    }
}

/// What QEMU's devices wrote into their log.
#[derive(Debug, Default)]
struct Log {
    complaints: u64,
    first_complaints: Vec<String>,
    acts: Vec<Act>,
}

impl Log {
    fn read(path: &Path) -> Result<Self, Error> {
        let mut log = Self::default();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(log),
            Err(error) => return Err(Error::Io("QEMU's log", error)),
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|error| Error::Io("QEMU's log", error))?;
            let line = String::from_utf8_lossy(&line);
            match Act::parse(&line) {
                Ok(Some(act)) => log.acts.push(act),
                Ok(None) => {
                    log.complaints += 1;
                    if log.first_complaints.len() < KEPT {
                        log.first_complaints.push(line.into_owned());
                    }
                }
                Err(()) => return Err(Error::Protocol("trace", line.into_owned())),
            }
        }
        Ok(log)
    }
}

/// QEMU's process. When the value goes, it goes.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Serial port, and QEMU's own words.
    said: Option<JoinHandle<String>>,
    words: Option<JoinHandle<String>>,
}

impl Process {
    fn spawn(mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::Missing,
            _ => Error::Io(QEMU, error),
        })?;
        let said = child.stdout.take().map(collect);
        let words = child.stderr.take().map(collect);
        Ok(Self { child, said, words })
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for QEMU to connect.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, Error> {
        let io = |error| Error::Io("a socket", error);
        listener.set_nonblocking(true).map_err(io)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(io)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(io(error)),
            }
            if self.has_ended() {
                return Err(self.explain(Error::Died(String::new())));
            }
            if Instant::now() > until {
                return Err(Error::Late("QEMU's start"));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Adds QEMU's own words to its end.
    fn explain(&mut self, error: Error) -> Error {
        if !matches!(error, Error::Died(_)) {
            return error;
        }
        // Its words end when it does.
        self.stop();
        let words = self.words.take().and_then(|words| words.join().ok());
        Error::Died(words.unwrap_or_default().trim().to_owned())
    }

    /// How it ended, if it did within `span`.
    fn wait(&mut self, span: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + span;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(GLANCE),
                status => return status.ok().flatten(),
            }
        }
    }

    /// Ends it; what it wrote on the serial port.
    fn end(mut self) -> String {
        self.stop();
        let said = self.said.take().and_then(|said| said.join().ok());
        said.unwrap_or_default()
    }

    fn stop(&mut self) {
        // It may have ended this moment.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads `from` to its end, beside everything else.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until then is worth showing.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
