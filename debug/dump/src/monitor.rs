//! A board of QEMU's, through its monitor.

use crate::{Board, CoreRegisters};
use addr::Phys;
use qemu::{Error, Qmp};
use serde_json::{Value, json};
use std::io;
use tempfile::TempDir;

/// A board of QEMU's, seen through its monitor.
#[derive(Debug)]
pub struct Monitor<'q> {
    qmp: &'q mut Qmp,
    /// Where QEMU leaves what it saves.
    folder: TempDir,
}

impl<'q> Monitor<'q> {
    /// The board whose monitor is `qmp`.
    ///
    /// # Errors
    /// When there is no room for what QEMU saves.
    pub fn new(qmp: &'q mut Qmp) -> Result<Self, Error> {
        let folder = TempDir::new().map_err(|error| Error::Io("a folder for memory", error))?;
        Ok(Self { qmp, folder })
    }
}

impl Board for Monitor<'_> {
    type Error = Error;

    fn stop(&mut self) -> Result<bool, Error> {
        let status = self.qmp.execute("query-status", json!({}))?;
        let runs = status["running"] == true;
        if runs {
            self.qmp.execute("stop", json!({}))?;
        }
        Ok(runs)
    }

    fn resume(&mut self) -> Result<(), Error> {
        self.qmp.execute("cont", json!({})).map(|_| ())
    }

    fn registers(&mut self) -> Result<CoreRegisters, Error> {
        let command = json!({ "command-line": "info registers", "cpu-index": 0 });
        let answer = self.qmp.execute("human-monitor-command", command)?;
        registers(&answer).ok_or_else(|| Error::Protocol("monitor", answer.to_string()))
    }

    fn read(&mut self, at: Phys, bytes: u32) -> Result<Vec<u8>, Error> {
        let file = self.folder.path().join("memory");
        let name = file.to_str().ok_or_else(|| {
            Error::Io("a folder for memory", io::ErrorKind::InvalidFilename.into())
        })?;
        let place = json!({ "val": at.0, "size": bytes, "filename": name });
        self.qmp.execute("pmemsave", place)?;
        std::fs::read(&file).map_err(|error| Error::Io("what QEMU saved", error))
    }
}

/// The registers out of lines such as `R00=00000000 R01=40200000` and
/// `PSR=600001d3 -ZC- A NS svc32`.
fn registers(answer: &Value) -> Option<CoreRegisters> {
    let mut registers = CoreRegisters::default();
    // PSR and sixteen more.
    let mut seen = 0;
    for word in answer.as_str()?.split_whitespace() {
        let Some((name, value)) = word.split_once('=') else { continue };
        let numbered = name.strip_prefix('R').and_then(|number| number.parse::<usize>().ok());
        let register = match numbered.and_then(|number| registers.numbered.get_mut(number)) {
            Some(register) => register,
            None if name == "PSR" => &mut registers.cpsr,
            None => continue,
        };
        *register = u32::from_str_radix(value, 16).ok()?;
        seen += 1;
    }
    (seen == 17).then_some(registers)
}

#[cfg(test)]
mod tests {
    use super::registers;
    use serde_json::json;

    const SAID: &str = "\r\nCPU#0\r\nR00=00000000 R01=00000001 R02=00000002 R03=00000003\r\n\
        R04=00000004 R05=00000005 R06=00000006 R07=00000007\r\n\
        R08=00000008 R09=00000009 R10=0000000a R11=0000000b\r\n\
        R12=0000000c R13=40225fe0 R14=40204b45 R15=40204b60\r\n\
        PSR=600001d3 -ZC- A NS svc32\r\ns00=00000000 s01=00000000 d00=0000000000000000\r\n\
        FPSCR: 00000000\r\n";

    #[test]
    fn registers_are_read_out_of_what_the_monitor_says() {
        let registers = registers(&json!(SAID)).unwrap();
        assert_eq!(registers.numbered[..13], core::array::from_fn::<_, 13, _>(|n| n as u32));
        assert_eq!(registers.numbered[13..], [0x4022_5FE0, 0x4020_4B45, 0x4020_4B60]);
        assert_eq!(registers.cpsr, 0x6000_01D3);
    }

    #[test]
    fn anything_else_that_it_says_is_refused() {
        let cases = ["".to_owned(), SAID.replace("R07", "R17"), SAID.replace("PSR=6", "PSR=x")];
        for said in cases.map(|said| json!(said)).into_iter().chain([json!(7)]) {
            assert_eq!(registers(&said), None);
        }
    }
}
