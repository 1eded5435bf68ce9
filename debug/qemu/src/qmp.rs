//! QEMU's monitor: the QEMU Machine Protocol, JSON objects line by line.

use crate::Error;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest line that makes sense.
const LONGEST: usize = 1 << 20;

/// Something that QEMU told by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Such as `SHUTDOWN` or `DEVICE_DELETED`.
    pub name: String,
    /// What belongs to it.
    pub data: Value,
}

/// A connection to the monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    received: Vec<u8>,
    events: VecDeque<Event>,
}

impl Qmp {
    /// Connects to the monitor of a QEMU that listens at the socket `path`.
    ///
    /// # Errors
    /// When nobody listens there, or who does is no QEMU.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(path);
        Self::open(stream.map_err(|error| Error::Io("the monitor's socket", error))?)
    }

    /// Takes QEMU's greeting, and tells it to take commands.
    pub(crate) fn open(stream: UnixStream) -> Result<Self, Error> {
        let mut qmp = Self { stream, received: Vec::new(), events: VecDeque::new() };
        let greeting = qmp.message(Instant::now() + PATIENCE)?.ok_or(Error::Late("QEMU"))?;
        if greeting.get("QMP").is_none() {
            return Err(strange(&greeting));
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Has QEMU execute `command`; what it returns.
    ///
    /// # Errors
    /// When QEMU refuses it, ends, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.stream.write_all(line.as_bytes()).map_err(lost)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let mut message = self.message(until)?.ok_or(Error::Late("QEMU's monitor"))?;
            if self.take_event(&mut message) {
                continue;
            }
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
            let words = message["error"]["desc"].as_str().ok_or_else(|| strange(&message))?;
            return Err(Error::Refused(command.to_owned(), words.to_owned()));
        }
    }

    /// The next event, if one comes within `span`.
    ///
    /// # Errors
    /// When QEMU ended, or said nonsense.
    pub fn event(&mut self, span: Duration) -> Result<Option<Event>, Error> {
        let until = Instant::now() + span;
        while self.events.is_empty() {
            let Some(mut message) = self.message(until)? else { return Ok(None) };
            if !self.take_event(&mut message) {
                return Err(strange(&message));
            }
        }
        Ok(self.events.pop_front())
    }

    /// Keeps `message` if it is an event.
    fn take_event(&mut self, message: &mut Value) -> bool {
        let Some(name) = message["event"].as_str().map(str::to_owned) else { return false };
        self.events.push_back(Event { name, data: message["data"].take() });
        true
    }

    /// The next message; none until then.
    fn message(&mut self, until: Instant) -> Result<Option<Value>, Error> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return parse(&line).map(Some);
            }
            if self.received.len() > LONGEST {
                return Err(Error::Protocol("monitor", "a line without an end".to_owned()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
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

/// Whether nothing came, rather than that nothing can come.
pub(crate) fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

pub(crate) fn lost(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Error::Died(String::new()),
        _ => Error::Io("QEMU's socket", error),
    }
}

/// One line: an object.
fn parse(line: &[u8]) -> Result<Value, Error> {
    let parsed: Option<Value> = serde_json::from_slice(line).ok().filter(Value::is_object);
    parsed.ok_or_else(|| Error::Protocol("monitor", String::from_utf8_lossy(line).into_owned()))
}

fn strange(message: &Value) -> Error {
    Error::Protocol("monitor", message.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Error, Event, Qmp, parse};
    use proptest::prelude::*;
    use serde_json::json;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A monitor that says `script` whatever it is told, and is then gone.
    fn monitor(script: &[&str]) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let script = script.concat();
        std::thread::spawn(move || {
            let _ = theirs.write_all(script.as_bytes());
            let _ = theirs.shutdown(std::net::Shutdown::Write);
            let _ = theirs.read_to_end(&mut Vec::new());
        });
        ours
    }

    const HELLO: &str = "{\"QMP\": {\"capabilities\": []}}\r\n{\"return\": {}}\r\n";

    #[test]
    fn events_between_question_and_answer_are_kept_in_order() {
        let mut qmp = Qmp::open(monitor(&[
            HELLO,
            "{\"event\": \"STOP\"}\r\n{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\r\n",
            "{\"return\": 7}\r\n",
        ]))
        .expect("the greeting");
        assert_eq!(qmp.execute("stop", json!({})).expect("the answer"), 7);
        let mut next = || qmp.event(Duration::from_millis(1)).expect("what was kept");
        assert_eq!(next(), Some(Event { name: "STOP".into(), data: json!(null) }));
        assert_eq!(next(), Some(Event { name: "SHUTDOWN".into(), data: json!({ "guest": true }) }));
    }

    #[test]
    fn a_refusal_names_the_command_and_says_why() {
        let refusal =
            "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no device 'ua9'\"}}\r\n";
        let mut qmp = Qmp::open(monitor(&[HELLO, refusal])).expect("the greeting");
        let error = qmp.execute("device_del", json!({ "id": "ua9" })).expect_err("it is refused");
        assert_eq!(error.to_string(), "QEMU refused device_del: no device 'ua9'");
    }

    #[test]
    fn nonsense_is_an_error_and_so_is_the_end() {
        assert!(matches!(Qmp::open(monitor(&["hello\r\n"])), Err(Error::Protocol(..))));
        assert!(matches!(Qmp::open(monitor(&["{\"return\": {}}\r\n"])), Err(Error::Protocol(..))));
        assert!(matches!(Qmp::open(monitor(&[])), Err(Error::Died(_))));
        let mut qmp = Qmp::open(monitor(&[HELLO])).expect("the greeting");
        assert!(matches!(qmp.execute("quit", json!({})), Err(Error::Died(_))));
    }

    #[test]
    fn silence_is_no_event() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.write_all(HELLO.as_bytes()).expect("room in the socket");
        let mut qmp = Qmp::open(ours).expect("the greeting");
        assert_eq!(qmp.event(Duration::from_millis(10)).expect("nothing is wrong"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line: Vec<u8>) {
            let _ = parse(&line);
        }
    }
}
