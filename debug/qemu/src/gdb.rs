//! QEMU's debugger: GDB's remote serial protocol, as much of it as is needed.
//!
//! The machine stands still while a debugger is attached, and goes on when it
//! lets go. Memory is physical: with `Qqemu.PhyMemMode` QEMU reads and writes
//! what the bus has at an address, registers of devices included. The interrupt
//! controller must be left alone: QEMU asks which core reads it, there is none,
//! and QEMU 7.2 crashes.

use crate::machine::listener;
use crate::qmp::{is_pause, lost};
use crate::{Error, Qmp};
use addr::{Phys, Virt};
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of memory in one packet; QEMU takes packets of 4 KiB.
const PIECE: usize = 1024;
/// Longest packet that makes sense.
const LONGEST: usize = 1 << 16;

/// A core of the board.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Core(pub u8);

/// A register of a core, by the number that QEMU's description of the target
/// gives it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    /// The program counter.
    pub const PC: Self = Self(15);
    /// The status register.
    pub const CPSR: Self = Self(25);
}

/// A debugger that is attached to a machine.
#[derive(Debug)]
pub struct Gdb {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Gdb {
    /// Has the QEMU whose monitor is `qmp` wait for a debugger at `socket`, and for
    /// none anywhere else.
    ///
    /// # Errors
    /// When it refuses.
    pub fn listen(qmp: &mut Qmp, socket: &Path) -> Result<(), Error> {
        let mut line = OsString::from("gdbserver ");
        line.push(listener(socket));
        let line = line
            .into_string()
            .map_err(|_| Error::Io("the folder for sockets", ErrorKind::InvalidFilename.into()))?;
        let said = qmp.execute("human-monitor-command", json!({ "command-line": line }))?;
        match said.as_str() {
            // QEMU 7.2 listens on one socket in its life.
            Some(words) if words.contains("Could not open") => {
                Err(Error::Refused("gdbserver".to_owned(), words.trim().replace("\r\n", "; ")))
            }
            _ => Ok(()),
        }
    }

    /// Attaches to the QEMU behind `qmp` at `socket`, where it is told to wait if
    /// it does not yet.
    ///
    /// # Errors
    /// When it waits elsewhere already.
    pub fn at(qmp: &mut Qmp, socket: &Path) -> Result<Self, Error> {
        if let Ok(stream) = UnixStream::connect(socket) {
            return Self::attach(stream);
        }
        // What another QEMU left behind is in the way.
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(lost(error)),
            _ => {}
        }
        Self::listen(qmp, socket)?;
        Self::connect(socket)
    }

    /// Attaches to the QEMU that waits at `socket`: from here on the machine stands
    /// still.
    ///
    /// # Errors
    /// When nobody waits there.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        Self::attach(UnixStream::connect(socket).map_err(lost)?)
    }

    /// Attaches: from here on the machine stands still.
    pub(crate) fn attach(stream: UnixStream) -> Result<Self, Error> {
        let mut gdb = Self { stream, received: Vec::new() };
        gdb.send("qSupported")?;
        // That the machine was stopped may be told first.
        while !gdb.receive()?.starts_with("PacketSize") {}
        // QEMU gives single registers only to who knows their description.
        gdb.ask("qXfer:features:read:target.xml:0,ff0")?;
        gdb.order("Qqemu.PhyMemMode:1")?;
        Ok(gdb)
    }

    /// Reads a register.
    ///
    /// # Errors
    /// When QEMU has no such core or register, or ended.
    pub fn register(&mut self, core: Core, register: Register) -> Result<u32, Error> {
        self.choose(core)?;
        let answer = self.ask(&format!("p{:x}", register.0))?;
        let bytes = bytes(&answer).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or_else(|| strange(&answer))
    }

    /// Writes a register.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn set_register(
        &mut self,
        core: Core,
        register: Register,
        value: u32,
    ) -> Result<(), Error> {
        self.choose(core)?;
        self.order(&format!("P{:x}={}", register.0, hex(&value.to_le_bytes())))
    }

    /// Reads physical memory, or registers of a device.
    ///
    /// # Errors
    /// When nothing is there, or QEMU ended.
    pub fn read(&mut self, at: Phys, into: &mut [u8]) -> Result<(), Error> {
        for (n, piece) in into.chunks_mut(PIECE).enumerate() {
            let at = at.0 + (n * PIECE) as u64;
            let answer = self.ask(&format!("m{at:x},{:x}", piece.len()))?;
            let read = bytes(&answer).filter(|read| read.len() == piece.len());
            piece.copy_from_slice(&read.ok_or_else(|| strange(&answer))?);
        }
        Ok(())
    }

    /// Writes physical memory, or registers of a device.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&mut self, at: Phys, from: &[u8]) -> Result<(), Error> {
        for (n, piece) in from.chunks(PIECE).enumerate() {
            let at = at.0 + (n * PIECE) as u64;
            self.order(&format!("M{at:x},{:x}:{}", piece.len(), hex(piece)))?;
        }
        Ok(())
    }

    /// Lets the machine go on until a core is about to execute what is at `at`.
    ///
    /// # Errors
    /// When none comes there, or QEMU ended.
    pub fn run_to(&mut self, at: Virt) -> Result<(), Error> {
        self.order(&format!("Z1,{:x},2", at.0))?;
        self.send("c")?;
        // It is answered when the machine stops.
        let stopped = self.receive()?;
        if !stopped.starts_with('T') {
            return Err(strange(&stopped));
        }
        self.order(&format!("z1,{:x},2", at.0))
    }

    /// Lets go: the machine goes on.
    ///
    /// # Errors
    /// When QEMU ended.
    pub fn detach(mut self) -> Result<(), Error> {
        self.order("D")
    }

    fn choose(&mut self, core: Core) -> Result<(), Error> {
        // Threads count from 1.
        self.order(&format!("Hg{:x}", core.0 + 1))
    }

    /// Asks something that is answered by OK.
    fn order(&mut self, packet: &str) -> Result<(), Error> {
        match self.ask(packet)?.as_str() {
            "OK" => Ok(()),
            answer => Err(Error::Refused(format!("the debugger {packet:?}"), answer.to_owned())),
        }
    }

    fn ask(&mut self, packet: &str) -> Result<String, Error> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> Result<(), Error> {
        let sum = checksum(packet.as_bytes());
        self.stream.write_all(format!("${packet}#{sum:02x}").as_bytes()).map_err(lost)
    }

    /// The next packet; it is acknowledged.
    fn receive(&mut self) -> Result<String, Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(packet) = take_packet(&mut self.received)? {
                self.stream.write_all(b"+").map_err(lost)?;
                return Ok(packet);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Late("QEMU's debugger"));
            }
            self.stream.set_read_timeout(Some(left)).map_err(lost)?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Error::Died(String::new())),
                Ok(len) => self.received.extend(&piece[..len]),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

fn checksum(packet: &[u8]) -> u8 {
    packet.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// Takes the first whole packet out of what was received, and the
/// acknowledgements before it.
fn take_packet(received: &mut Vec<u8>) -> Result<Option<String>, Error> {
    let wrong = |received: &[u8]| {
        Error::Protocol("debugger", String::from_utf8_lossy(received).into_owned())
    };
    let acknowledged = received.iter().take_while(|&&byte| byte == b'+').count();
    received.drain(..acknowledged);
    match received.first() {
        None => return Ok(None),
        Some(b'$') if received.len() <= LONGEST => {}
        // A refused packet among them: a local socket damages none.
        Some(_) => return Err(wrong(received)),
    }
    let Some(end) = received.iter().position(|&byte| byte == b'#') else { return Ok(None) };
    let Some(sum) = received.get(end + 1..end + 3) else { return Ok(None) };
    let sum = std::str::from_utf8(sum).ok().and_then(|sum| u8::from_str_radix(sum, 16).ok());
    let packet = &received[1..end];
    if sum != Some(checksum(packet)) {
        return Err(wrong(received));
    }
    let packet = String::from_utf8_lossy(packet).into_owned();
    received.drain(..end + 3);
    Ok(Some(packet))
}

fn strange(answer: &str) -> Error {
    Error::Protocol("debugger", answer.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        }
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::{Core, Error, Gdb, Register, bytes, checksum, hex, take_packet};
    use addr::{Phys, Virt};
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread::JoinHandle;

    /// A debugger that answers one packet after the other with these, and then
    /// tells what it was asked.
    fn stub(answers: &'static [&str]) -> (UnixStream, JoinHandle<Vec<String>>) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let asked = std::thread::spawn(move || {
            let (mut asked, mut received, mut answers) = (Vec::new(), Vec::new(), answers.iter());
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = theirs.read(&mut piece) {
                received.extend(&piece[..len]);
                while let Some(packet) = take_packet(&mut received).expect("our own packets") {
                    asked.push(packet);
                    let answer = answers.next().expect("as many answers as questions");
                    let sum = checksum(answer.as_bytes());
                    write!(theirs, "+${answer}#{sum:02x}").expect("room in the socket");
                }
            }
            asked
        });
        (ours, asked)
    }

    const HELLO: [&str; 3] = ["PacketSize=1000", "l<target/>", "OK"];

    #[test]
    fn registers_are_little_endian_and_belong_to_the_chosen_core() {
        let (stream, asked) = stub(&[HELLO[0], HELLO[1], HELLO[2], "OK", "78563412", "OK", "OK"]);
        let mut gdb = Gdb::attach(stream).expect("the stub is there");
        assert_eq!(gdb.register(Core(0), Register::CPSR).expect("there is one"), 0x1234_5678);
        gdb.set_register(Core(1), Register::PC, 0x4020_0001).expect("there is one");
        drop(gdb);
        let asked = asked.join().expect("the stub answered all");
        assert_eq!(asked[3..], ["Hg1", "p19", "Hg2", "Pf=01002040"]);
    }

    #[test]
    fn memory_goes_in_pieces_and_an_answer_of_another_length_is_none() {
        let (stream, asked) = stub(&[HELLO[0], HELLO[1], HELLO[2], "0102", "01", "E22"]);
        let mut gdb = Gdb::attach(stream).expect("the stub is there");
        let mut two = [0; 2];
        gdb.read(Phys(0x4000_0000), &mut two).expect("two bytes");
        assert_eq!(two, [1, 2]);
        assert!(matches!(gdb.read(Phys(0x4000_0000), &mut two), Err(Error::Protocol(..))));
        assert!(matches!(gdb.write(Phys(0x10), &[7]), Err(Error::Refused(..))));
        drop(gdb);
        assert_eq!(asked.join().expect("the stub answered all")[5], "M10,1:07");
    }

    #[test]
    fn a_machine_that_went_on_tells_when_it_stops() {
        let (stream, asked) =
            stub(&[HELLO[0], HELLO[1], HELLO[2], "OK", "T05thread:01;", "OK", "OK", "X01"]);
        let mut gdb = Gdb::attach(stream).expect("the stub is there");
        gdb.run_to(Virt(0x40)).expect("it comes there");
        assert!(matches!(gdb.run_to(Virt(0x42)), Err(Error::Protocol(..))), "the machine ended");
        drop(gdb);
        let asked = asked.join().expect("the stub answered all");
        assert_eq!(asked[3..], ["Z1,40,2", "c", "z1,40,2", "Z1,42,2", "c"]);
    }

    #[test]
    fn that_the_machine_stopped_may_be_told_before_the_first_answer() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        for packet in ["T02thread:01;", "PacketSize=1000", "l<target/>", "OK"] {
            write!(theirs, "+${packet}#{:02x}", checksum(packet.as_bytes())).expect("room");
        }
        assert!(Gdb::attach(ours).is_ok());
    }

    #[test]
    fn a_packet_whose_sum_is_wrong_is_refused() {
        assert!(take_packet(&mut b"+$OK#9b".to_vec()).is_err());
        assert!(take_packet(&mut b"-".to_vec()).is_err());
        assert_eq!(take_packet(&mut b"+$OK#9".to_vec()).expect("it is not whole"), None);
    }

    proptest! {
        #[test]
        fn hex_comes_back(data: Vec<u8>) {
            prop_assert_eq!(bytes(&hex(&data)), Some(data));
        }

        #[test]
        fn nothing_received_makes_the_reader_panic(mut data: Vec<u8>) {
            let _ = take_packet(&mut data);
        }
    }
}
