//! The monitor's side of the mailbox.
//!
//! The rules are the same on both sides and so is the code: the monitor sees
//! the two pages swapped. It works on a copy of them and writes its own page
//! back, data before head, before it rings.

use super::ring;
use addr::{PAGE, Phys};
use dsp_abi::bell;
use dsp_abi::mailbox::{APP_NODE, APP_PAGE, DATAGRAM, DSP_NODE, DSP_PAGE};
use dsp_abi::monitor::Status;
use dsp_link::ring::{Change, Mailbox, Memory, Received, SendError};
use fabric::{Core, Fabric};
use qmi::qrtr::{Address, Control, Frame, Node};
use std::cell::RefCell;
use std::rc::Rc;

/// Both pages, as this side sees them: its own first.
#[derive(Debug)]
struct Pages {
    bytes: Vec<u8>,
    /// What was written since the copy was made.
    written: Vec<(u32, usize)>,
}

/// A view of the pages for [`Mailbox`].
#[derive(Clone, Debug)]
struct View(Rc<RefCell<Pages>>);

impl Memory for View {
    fn read(&self, at: u32, into: &mut [u8]) {
        into.copy_from_slice(&self.0.borrow().bytes[at as usize..][..into.len()]);
    }

    fn write(&self, at: u32, from: &[u8]) {
        let mut pages = self.0.borrow_mut();
        pages.bytes[at as usize..][..from.len()].copy_from_slice(from);
        pages.written.push((at, from.len()));
    }

    fn publish(&self) {}

    fn acquire(&self) {}
}

/// The monitor's side of the mailbox.
#[derive(Debug)]
pub(super) struct Mail {
    at: Phys,
    pages: Rc<RefCell<Pages>>,
    mailbox: Option<Mailbox<View>>,
}

impl Mail {
    pub(super) fn new(at: Phys) -> Self {
        let bytes = vec![0; 2 * PAGE as usize];
        Self {
            at,
            pages: Rc::new(RefCell::new(Pages { bytes, written: Vec::new() })),
            mailbox: None,
        }
    }

    /// The monitor comes up.
    pub(super) fn begin(&mut self, fabric: &mut Fabric) {
        self.load(fabric);
        self.mailbox = Some(Mailbox::new(View(Rc::clone(&self.pages)), 1));
        self.store(fabric);
        ring(fabric, bell::MAIL_TO_APP);
        self.look(fabric);
    }

    /// The application core rang.
    pub(super) fn look(&mut self, fabric: &mut Fabric) {
        self.load(fabric);
        let Some(mailbox) = &mut self.mailbox else {
            return;
        };
        let mut changed = false;
        while mailbox.look() != Change::None {
            changed = true;
        }
        if changed {
            self.store(fabric);
            ring(fabric, bell::MAIL_TO_APP);
        }
    }

    /// Sends a datagram of the program's.
    ///
    /// # Errors
    /// The status for the program.
    pub(super) fn send(&mut self, fabric: &mut Fabric, datagram: &[u8]) -> Result<(), Status> {
        let (frame, _) = Frame::decode(datagram).map_err(|_| Status::BadDatagram)?;
        if frame.from.node != Node(DSP_NODE) {
            return Err(Status::BadDatagram);
        }
        self.put(fabric, datagram)
    }

    /// Takes the next datagram; its length, 0 for none.
    pub(super) fn receive(&mut self, fabric: &mut Fabric, into: &mut [u8]) -> u32 {
        self.load(fabric);
        let Some(mailbox) = &mut self.mailbox else {
            return 0;
        };
        let mut datagram = [0; DATAGRAM];
        let len = loop {
            match mailbox.receive(&mut datagram) {
                Received::Datagram(len) => break len,
                Received::Empty | Received::BadHead(_) => return 0,
                Received::BadLength(_) => {}
            }
        };
        into[..len].copy_from_slice(&datagram[..len]);
        self.store(fabric);
        ring(fabric, bell::MAIL_TO_APP);
        len as u32
    }

    /// Tells the application core that the program is gone with all its ports.
    /// When even that finds the mailbox full, the mailbox begins a new life,
    /// which says the same.
    pub(super) fn say_bye(&mut self, fabric: &mut Fabric) {
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
        if self.put(fabric, &bytes[..len]).is_err() {
            self.load(fabric);
            let epoch = self.epoch().wrapping_add(1).max(1);
            self.mailbox = Some(Mailbox::new(View(Rc::clone(&self.pages)), epoch));
            self.store(fabric);
            ring(fabric, bell::MAIL_TO_APP);
        }
    }

    fn put(&mut self, fabric: &mut Fabric, datagram: &[u8]) -> Result<(), Status> {
        self.load(fabric);
        let mailbox = self.mailbox.as_mut().ok_or(Status::MailFull)?;
        mailbox.send(datagram).map_err(|error| match error {
            SendError::Down | SendError::Full => Status::MailFull,
            SendError::TooLong => Status::BadDatagram,
        })?;
        self.store(fabric);
        ring(fabric, bell::MAIL_TO_APP);
        Ok(())
    }

    fn epoch(&self) -> u32 {
        let at = std::mem::offset_of!(dsp_abi::mailbox::Header, epoch);
        let pages = self.pages.borrow();
        u32::from_le_bytes(pages.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    /// Copies both pages out of memory, swapped.
    fn load(&mut self, fabric: &mut Fabric) {
        let mut pages = self.pages.borrow_mut();
        let (own, theirs) = pages.bytes.split_at_mut(PAGE as usize);
        for (page, into) in [(DSP_PAGE, own), (APP_PAGE, theirs)] {
            let at = self.at.plus(u64::from(page) * u64::from(PAGE));
            fabric.core_read(Core::Dsp, at, into).expect("the mailbox is RAM");
        }
    }

    /// Writes back what changed, in the order in which it was written.
    fn store(&mut self, fabric: &mut Fabric) {
        let mut pages = self.pages.borrow_mut();
        let written = std::mem::take(&mut pages.written);
        let page = self.at.plus(u64::from(DSP_PAGE) * u64::from(PAGE));
        for (at, len) in written {
            assert!(at as usize + len <= PAGE as usize, "the monitor writes its own page only");
            let bytes = &pages.bytes[at as usize..at as usize + len];
            fabric.core_write(Core::Dsp, page.plus(u64::from(at)), bytes).expect("RAM");
            fabric.barrier(Core::Dsp);
        }
    }
}
