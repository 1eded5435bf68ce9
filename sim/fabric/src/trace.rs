//! The trace: every call, access, TRB, event and packet of a run.
//!
//! Records are typed. Each is always fed to a hash in binary, which costs some
//! nanoseconds and names the run; a line of text is formatted only when someone
//! asked for the file. Nothing of the host (addresses, times, hash-map orders)
//! may enter a record.

use crate::interrupts::{Core, IntId};
use crate::{StreamId, Time};
use addr::{Bus, Peer, Phys};
use std::fmt;
use std::io::{self, Write};
use xxhash_rust::xxh3::Xxh3;

/// A value that a record carries.
trait Field {
    fn put(&self, out: &mut Encoder<'_>);
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Encoder<'_>) {
                out.word(u64::from(*self));
            }
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, bool);

macro_rules! addresses {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Encoder<'_>) {
                out.word(self.0);
            }
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    )*};
}
addresses!(Phys, Bus, Peer);

impl Field for StreamId {
    fn put(&self, out: &mut Encoder<'_>) {
        out.word(u64::from(self.0));
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Field for Core {
    fn put(&self, out: &mut Encoder<'_>) {
        out.word(*self as u64);
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Dsp => "dsp",
        })
    }
}

impl Field for IntId {
    fn put(&self, out: &mut Encoder<'_>) {
        out.word(u64::from(self.0));
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl<const N: usize> Field for [u32; N] {
    fn put(&self, out: &mut Encoder<'_>) {
        for pair in self.chunks(2) {
            let high = pair.get(1).copied().unwrap_or(0);
            out.word(u64::from(pair[0]) | u64::from(high) << 32);
        }
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.iter().enumerate() {
            write!(f, "{}{word:08x}", if n == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl Field for &'static str {
    fn put(&self, out: &mut Encoder<'_>) {
        out.bytes(self.as_bytes());
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident = $text:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        /// Something that happened.
        #[derive(Copy, Clone, Debug, PartialEq)]
        pub enum Record {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type,)* },)*
        }

        #[derive(Copy, Clone)]
        enum Tag { $($name,)* }

        impl Record {
            fn encode(&self, out: &mut Encoder<'_>) {
                match self {
                    $(Self::$name { $($field,)* } => {
                        out.word(Tag::$name as u64);
                        $(Field::put($field, out);)*
                    })*
                }
            }
        }

        impl fmt::Display for Record {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($field,)* } => {
                        f.write_str($text)?;
                        $(
                            write!(f, concat!(" ", stringify!($field), "="))?;
                            Field::show($field, f)?;
                        )*
                        Ok(())
                    })*
                }
            }
        }
    };
}

records! {
    /// A task calls the kernel.
    Syscall = "syscall" {
        /// Index of the task.
        task: u16,
        /// Number of the call.
        number: u32,
        /// Its arguments as numbers; addresses of the host must be left out (0).
        args: [u32; 4],
    }
    /// The kernel lets a task go on after a call.
    Return = "return" {
        /// Index of the task.
        task: u16,
        /// The call's first result.
        code: u32,
        /// Its second one.
        length: u32,
    }
    /// The kernel gives the application core to a task.
    Switch = "switch" {
        /// Index of the task.
        task: u16,
    }
    /// A task was faulted.
    Fault = "fault" {
        /// Index of the task.
        task: u16,
        /// What it did.
        kind: &'static str,
    }
    /// A task was restarted.
    Restart = "restart" {
        /// Index of the task.
        task: u16,
        /// Its new generation.
        generation: u8,
    }
    /// The application core goes to sleep.
    Sleep = "sleep" {
        /// When its timer is to wake it; the greatest number for no timer.
        until: u64,
    }
    /// A core takes an interrupt.
    Interrupt = "interrupt" {
        /// Which core.
        core: Core,
        /// Which line.
        line: IntId,
    }
    /// A line is raised.
    Raise = "raise" {
        /// Which line.
        line: IntId,
    }
    /// A core reads or writes a device register.
    Mmio = "mmio" {
        /// Which core.
        core: Core,
        /// Whether it writes.
        write: bool,
        /// The register.
        address: Phys,
        /// What is read or written.
        value: u32,
    }
    /// The DSP program calls its monitor.
    Monitor = "monitor" {
        /// The call, with its arguments.
        call: [u32; 6],
        /// The answer.
        answer: [u32; 4],
    }
    /// A device moves data.
    Dma = "dma" {
        /// Who.
        stream: StreamId,
        /// Whether it writes memory.
        write: bool,
        /// Where.
        bus: Bus,
        /// Bytes.
        len: u32,
        /// Whether the SMMU let it through.
        passed: bool,
    }
    /// The SMMU consumes a command.
    SmmuCommand = "smmu-command" {
        /// The command.
        words: [u32; 4],
    }
    /// The SMMU records a fault.
    SmmuFault = "smmu-fault" {
        /// The record's type.
        kind: u8,
        /// Who caused it.
        stream: StreamId,
        /// With what address.
        bus: Bus,
    }
    /// A controller fetches a TRB of a transfer ring.
    Trb = "trb" {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Device context index.
        dci: u8,
        /// Where the TRB stands.
        at: Bus,
        /// The TRB.
        words: [u32; 4],
    }
    /// A controller puts an event on a ring.
    Event = "event" {
        /// Which controller.
        controller: u8,
        /// Interrupter.
        interrupter: u16,
        /// The event TRB.
        words: [u32; 4],
    }
    /// A controller executes a command.
    Command = "command" {
        /// Which controller.
        controller: u8,
        /// The command TRB.
        words: [u32; 4],
        /// Completion code.
        code: u8,
    }
    /// A slot's own events go to another interrupter.
    Target = "target" {
        /// Which controller.
        controller: u8,
        /// Slot.
        slot: u8,
        /// Where they went.
        from: u16,
        /// Where they go.
        to: u16,
        /// Bit n for each endpoint n that is still there and whose TRBs name `from`.
        left: u32,
    }
    /// A packet on a USB wire.
    Packet = "packet" {
        /// Which controller.
        controller: u8,
        /// Device address.
        device: u8,
        /// Endpoint address with the direction bit.
        endpoint: u8,
        /// Microframe since the controller's start.
        microframe: u64,
        /// Bytes of payload.
        len: u32,
        /// xxh3 of the payload.
        digest: u64,
    }
    /// A model saw a rule broken.
    Violation = "violation" {
        /// Its kind.
        kind: &'static str,
    }
    /// Something that only a scenario knows the meaning of.
    Mark = "mark" {
        /// What.
        what: &'static str,
        /// A number that goes with it.
        value: u64,
    }
}

/// Bytes gathered before the hash is fed.
const BUFFER: usize = 8192;
/// No record with its time is longer, strings aside.
const LONGEST: usize = 128;

struct Encoder<'a> {
    buffer: &'a mut [u8; BUFFER],
    len: usize,
}

impl Encoder<'_> {
    fn word(&mut self, word: u64) {
        self.buffer[self.len..self.len + 8].copy_from_slice(&word.to_le_bytes());
        self.len += 8;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // A name longer than its place would still be told apart by its start.
        let bytes = &bytes[..bytes.len().min(LONGEST / 2)];
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Is told of each record as it comes.
pub type Listener = Box<dyn FnMut(Time, &Record)>;

/// The trace of a run.
pub struct Trace {
    hash: Xxh3,
    buffer: Box<[u8; BUFFER]>,
    len: usize,
    records: u64,
    sink: Option<Box<dyn Write>>,
    listener: Option<Listener>,
    failed: Option<io::Error>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            hash: Xxh3::new(),
            buffer: Box::new([0; BUFFER]),
            len: 0,
            records: 0,
            sink: None,
            listener: None,
            failed: None,
        }
    }
}

impl Trace {
    /// Writes a line of text for each record from now on.
    pub fn set_sink(&mut self, sink: Box<dyn Write>) {
        self.sink = Some(sink);
    }

    /// Tells `listener` of each record from now on.
    pub fn set_listener(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// Notes `record` at `now`.
    pub fn record(&mut self, now: Time, record: Record) {
        if self.len + LONGEST > BUFFER {
            self.flush();
        }
        let mut out = Encoder { buffer: &mut self.buffer, len: self.len };
        out.word(now.0);
        record.encode(&mut out);
        self.len = out.len;
        self.records += 1;
        if let Some(listener) = &mut self.listener {
            listener(now, &record);
        }
        if let Some(sink) = &mut self.sink
            && let Err(error) = writeln!(sink, "{:>12} {record}", now.0)
        {
            self.failed = Some(error);
            self.sink = None;
        }
    }

    /// Records so far.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The hash over all records so far: the name of the run.
    #[must_use]
    pub fn hash(&mut self) -> u64 {
        self.flush();
        self.hash.digest()
    }

    /// Ends the text, and says whether all of it could be written.
    ///
    /// # Errors
    /// The first error that the sink reported.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(mut sink) = self.sink.take() {
            sink.flush()?;
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    fn flush(&mut self) {
        self.hash.update(&self.buffer[..self.len]);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Record, Trace};
    use crate::{StreamId, Time};
    use addr::Bus;
    use std::cell::RefCell;
    use std::io::Write;
    use std::rc::Rc;

    fn dma(len: u32) -> Record {
        Record::Dma { stream: StreamId(16), write: true, bus: Bus(0x2000), len, passed: true }
    }

    #[test]
    fn the_hash_tells_apart_order_time_and_content() {
        let hash = |records: &[(u64, u32)]| {
            let mut trace = Trace::default();
            for &(at, len) in records {
                trace.record(Time(at), dma(len));
            }
            trace.hash()
        };
        let base = hash(&[(1, 2), (3, 4)]);
        assert_eq!(base, hash(&[(1, 2), (3, 4)]));
        assert_ne!(base, hash(&[(3, 4), (1, 2)]));
        assert_ne!(base, hash(&[(1, 2), (4, 4)]));
        assert_ne!(base, hash(&[(1, 2), (3, 5)]));
    }

    #[test]
    fn the_hash_does_not_depend_on_the_text_nor_on_how_often_it_is_read() {
        #[derive(Clone, Default)]
        struct Text(Rc<RefCell<Vec<u8>>>);
        impl Write for Text {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let text = Text::default();
        let (mut with, mut without) = (Trace::default(), Trace::default());
        with.set_sink(Box::new(text.clone()));
        for n in 0..1000 {
            with.record(Time(n), dma(n as u32));
            without.record(Time(n), dma(n as u32));
            let _ = without.hash();
        }
        assert_eq!(with.hash(), without.hash());
        with.finish().unwrap();
        let text = String::from_utf8(text.0.borrow().clone()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert_eq!(
            text.lines().next().unwrap().trim(),
            "0 dma stream=0x10 write=true bus=0x2000 len=0 passed=true"
        );
    }

    #[test]
    fn the_longest_record_fits_its_place() {
        let mut trace = Trace::default();
        trace.record(Time(0), Record::Mark { what: "a name as long as any name", value: 1 });
        trace.record(Time(0), Record::Monitor { call: [1; 6], answer: [1; 4] });
        trace.record(Time(0), Record::Command { controller: 0, words: [1; 4], code: 1 });
        assert!(trace.len <= 3 * LONGEST);
    }
}
