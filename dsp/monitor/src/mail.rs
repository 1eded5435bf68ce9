//! The monitor's side of the mailbox, and what the program may send through it.

use crate::platform::{Line, Platform, Time};
use addr::{PAGE, Phys};
use dsp_abi::bell;
use dsp_abi::mailbox::{APP_NODE, APP_PAGE, DATAGRAM, DSP_NODE, DSP_PAGE, SLOTS};
use dsp_abi::monitor::{MAIL_IN, MAIL_OUT, Status};
use mailbox::{Change, Mailbox, Memory, Offset, Received, SendError};
use qmi::qrtr::{Address, Control, Frame, Node};

/// Datagrams that the program may send within [`BURST_SPAN`]. A stream takes
/// five of them to start and two to end; what a flood has beyond that is told
/// that the mailbox is full, so that it cannot keep the application core awake.
pub const BURST: u32 = 64;
/// The span that [`BURST`] is about.
pub const BURST_SPAN: Time = Time::ms(100);
/// Lives of the other side that one bell may show: it went, it is new, it saw
/// us. One that begins anew all the time is looked at again with its next bell.
const LOOKS: u32 = 8;

/// The two pages, the monitor's own first.
struct Pages<'a, P> {
    platform: &'a mut P,
    base: Phys,
}

impl<P> Pages<'_, P> {
    fn at(&self, at: Offset) -> Phys {
        let page = if at < PAGE { DSP_PAGE } else { APP_PAGE };
        self.base.plus(u64::from(page) * u64::from(PAGE) + u64::from(at % PAGE))
    }
}

impl<P: Platform> Memory for Pages<'_, P> {
    fn read(&mut self, at: Offset, into: &mut [u8]) {
        let at = self.at(at);
        self.platform.read(at, into);
    }

    fn write(&mut self, at: Offset, from: &[u8]) {
        let at = self.at(at);
        self.platform.write(at, from);
    }

    fn publish(&mut self) {
        self.platform.publish();
    }

    fn acquire(&mut self) {
        self.platform.acquire();
    }
}

/// The monitor's side of the mailbox.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Mail {
    at: Phys,
    mailbox: Option<Mailbox>,
    /// When the present burst ends, and what it may still send.
    burst: (Time, u32),
    /// The program was told that the mailbox is full only because of its burst.
    held_back: bool,
}

impl Mail {
    pub(crate) const fn new(at: Phys) -> Self {
        Self { at, mailbox: None, burst: (Time(0), BURST), held_back: false }
    }

    /// The monitor comes up.
    pub(crate) fn begin(&mut self, platform: &mut impl Platform) {
        let mut pages = Pages { platform, base: self.at };
        self.mailbox = Some(Mailbox::new(&mut pages, 1));
        ring(platform);
        self.look(platform);
    }

    /// The application core rang.
    pub(crate) fn look(&mut self, platform: &mut impl Platform) {
        let Some(mailbox) = &mut self.mailbox else {
            return;
        };
        let mut pages = Pages { platform, base: self.at };
        let mut changed = false;
        for _ in 0..LOOKS {
            if mailbox.look(&mut pages) == Change::None {
                break;
            }
            changed = true;
        }
        if changed {
            ring(platform);
        }
    }

    /// Looks for what a lost interrupt would have told, and rings again for what
    /// the other side has not read. Whether there is something for the program.
    pub(crate) fn catch_up(&mut self, platform: &mut impl Platform) -> bool {
        self.look(platform);
        let Some(mailbox) = &self.mailbox else { return false };
        let mut pages = Pages { platform, base: self.at };
        if mailbox.is_unread(&mut pages) {
            ring(pages.platform);
        }
        mailbox.waiting(&mut pages)
    }

    /// Sends the `len` bytes that the program has put down.
    ///
    /// # Errors
    /// The status for the program.
    pub(crate) fn send(&mut self, platform: &mut impl Platform, len: u32) -> Result<(), Status> {
        let mut datagram = [0; DATAGRAM];
        let datagram = datagram.get_mut(..len as usize).ok_or(Status::BadDatagram)?;
        platform.read_own(MAIL_OUT, datagram);
        let (frame, _) = Frame::decode(datagram).map_err(|_| Status::BadDatagram)?;
        if frame.from.node != Node(DSP_NODE) {
            return Err(Status::BadDatagram);
        }
        let now = platform.now();
        if self.burst.0 <= now {
            self.burst = (now + BURST_SPAN, BURST);
        }
        if self.burst.1 == 0 {
            self.held_back = true;
            return Err(Status::MailFull);
        }
        self.put(platform, datagram)?;
        self.burst.1 -= 1;
        Ok(())
    }

    /// When the program, which was held back, may send again.
    pub(crate) fn release_at(&self) -> Option<Time> {
        self.held_back.then_some(self.burst.0)
    }

    /// Whether the program was held back and is no longer.
    pub(crate) fn release(&mut self, now: Time) -> bool {
        let due = self.release_at().is_some_and(|at| at <= now);
        if due {
            self.held_back = false;
        }
        due
    }

    /// Gives the program the next datagram; its length, 0 for none.
    pub(crate) fn receive(&mut self, platform: &mut impl Platform) -> u32 {
        let Some(mailbox) = &mut self.mailbox else {
            return 0;
        };
        let mut datagram = [0; DATAGRAM];
        let mut pages = Pages { platform, base: self.at };
        // No more than a ring can hold is bad in a row.
        for _ in 0..SLOTS {
            match mailbox.receive(&mut pages, &mut datagram) {
                Received::Datagram(len) => {
                    platform.write_own(MAIL_IN, &datagram[..len]);
                    ring(platform);
                    return len as u32;
                }
                Received::Empty | Received::BadHead(_) => break,
                Received::BadLength(_) => {}
            }
        }
        0
    }

    /// Tells the application core that the program is gone with all its ports.
    /// When even that finds the mailbox full, the mailbox begins a new life,
    /// which says the same.
    pub(crate) fn say_bye(&mut self, platform: &mut impl Platform) {
        self.held_back = false;
        let bye = Control::Bye(Node(DSP_NODE));
        let mut bytes = [0; DATAGRAM];
        let len = Frame {
            kind: bye.kind(),
            from: Address::control(Node(DSP_NODE)),
            to: Address::control(Node(APP_NODE)),
            confirm: false,
        }
        .encode(&bye.encode(), &mut bytes)
        .expect("a BYE fits a datagram");
        if self.put(platform, &bytes[..len]).is_err() {
            let epoch = self.mailbox.as_ref().map_or(0, Mailbox::epoch);
            let mut pages = Pages { platform, base: self.at };
            self.mailbox = Some(Mailbox::new(&mut pages, epoch.wrapping_add(1).max(1)));
            ring(platform);
        }
    }

    fn put(&mut self, platform: &mut impl Platform, datagram: &[u8]) -> Result<(), Status> {
        let mailbox = self.mailbox.as_mut().ok_or(Status::MailFull)?;
        let mut pages = Pages { platform, base: self.at };
        mailbox.send(&mut pages, datagram).map_err(|error| match error {
            SendError::Down | SendError::Full => Status::MailFull,
            SendError::TooLong => Status::BadDatagram,
        })?;
        ring(platform);
        Ok(())
    }
}

/// The other side is to look.
fn ring(platform: &mut impl Platform) {
    platform.ring(Line(bell::MAIL_TO_APP));
}
