//! The board's bus, from outside: words of devices' registers, read and written
//! while the machine goes on. The protocol is the one of QEMU's own tests.
//!
//! A debugger could do the same, but it stops the machine, which each time costs
//! QEMU's audio up to 10 ms of what it has not played.

use crate::Error;
use crate::qmp::{is_pause, lost};
use addr::Phys;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long QEMU may take to answer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that makes sense.
const LONGEST: usize = 256;

/// A way to the bus.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
}

impl Bus {
    pub(crate) fn open(stream: UnixStream) -> Result<Self, Error> {
        stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
        Ok(Self { stream })
    }

    /// Reads the word at `at`. The interrupt controller must not be asked: it
    /// wants to know which core reads it, there is none, and QEMU 7.2 crashes.
    ///
    /// # Errors
    /// When QEMU ended.
    pub fn read(&mut self, at: Phys) -> Result<u32, Error> {
        let answer = self.ask(&format!("readl {:#x}", at.0))?;
        let word = answer.strip_prefix("OK 0x");
        let word = word.and_then(|word| u64::from_str_radix(word, 16).ok());
        word.and_then(|word| u32::try_from(word).ok()).ok_or_else(|| strange(answer))
    }

    /// Writes the word at `at`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&mut self, at: Phys, word: u32) -> Result<(), Error> {
        match self.ask(&format!("writel {:#x} {word:#x}", at.0))? {
            answer if answer == "OK" => Ok(()),
            answer => Err(strange(answer)),
        }
    }

    /// Says a line and hears one.
    fn ask(&mut self, line: &str) -> Result<String, Error> {
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(lost)?;
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(Error::Died(String::new())),
                Ok(_) if answer.len() < LONGEST => answer.extend(byte),
                Ok(_) => return Err(strange(String::from_utf8_lossy(&answer).into_owned())),
                Err(error) if is_pause(&error) => return Err(Error::Late("the bus")),
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
    }
}

fn strange(answer: String) -> Error {
    Error::Protocol("bus", answer)
}

#[cfg(test)]
mod tests {
    use super::{Bus, Error};
    use addr::Phys;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A bus that gives these answers, whatever it is asked; and what it was.
    fn bus(answers: &str) -> (Bus, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.write_all(answers.as_bytes()).expect("room in the socket");
        (Bus::open(ours).expect("a socket has a time-out"), theirs)
    }

    #[test]
    fn words_are_read_and_written() {
        let (mut bus, mut theirs) = bus("OK 0x00000000440cd007\nOK\n");
        assert_eq!(bus.read(Phys(0x0905_00A0)).expect("a word"), 0x440C_D007);
        bus.write(Phys(0x0802_0040), 102).expect("it is taken");
        drop(bus);
        let mut asked = String::new();
        theirs.read_to_string(&mut asked).expect("lines");
        assert_eq!(asked, "readl 0x90500a0\nwritel 0x8020040 0x66\n");
    }

    #[test]
    fn nonsense_is_an_error_and_so_is_the_end() {
        for nonsense in ["FAIL Unknown command\n", "OK 0x1234567890\n", "OK\n", "\n"] {
            let (mut bus, _theirs) = bus(nonsense);
            assert!(matches!(bus.read(Phys(0)), Err(Error::Protocol(..))), "{nonsense}");
        }
        let (mut endless, _theirs) = bus(&"x".repeat(1000));
        assert!(matches!(endless.write(Phys(0), 1), Err(Error::Protocol(..))));
        let (mut bus, theirs) = bus("OK");
        drop(theirs);
        assert!(matches!(bus.write(Phys(0), 1), Err(Error::Died(_))));
    }
}
