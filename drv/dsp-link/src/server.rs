//! The server: bells and messages to `ring` and `router`.

use abi::TaskId;
use dsp_abi::bell::{MAIL_TO_DSP, SETSPI};
use dsp_abi::mailbox::{DATAGRAM, SLOTS};
use dsp_link_api::{Address, DspLinkError, LinkEvent, LinkStatus, MAX_PAYLOAD};
use idol_runtime::{ClientError, Leased, LenLimit, NotificationHandler, R, RequestError, W};
use mailbox::{Change, Mailbox, Received, SendError};
use peers::Peers;
use qmi::qrtr::HEADER_LEN;
use userlib::{RecvMessage, TIMER_MASK, sys_get_timer, sys_irq_control, sys_set_timer};

use crate::Config;
use crate::pages::Pages;
use crate::router::Router;

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

const _: () = assert!(HEADER_LEN + MAX_PAYLOAD == DATAGRAM, "a datagram holds a payload");

/// Datagrams taken in one go: two mailboxes full. What a flood has beyond that
/// waits for [`BREATHER`], and then for the ring's own limit.
const BUDGET: u32 = 2 * SLOTS;
/// Milliseconds until a flood is looked at again.
const BREATHER: u64 = 1;

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
enum Trace {
    #[count(skip)]
    None,
    Link(Change),
    /// A datagram of so many bytes came in, and one went out.
    Received(usize),
    Sent(usize),
    BadLength(u32),
    BadHead(u32),
    Flood,
    ClientDied(TaskId),
    /// A client was refused, and for what.
    #[count(children)]
    Refused(DspLinkError),
}

ringbuf::counted_ringbuf!(Trace, 32, Trace::None);

struct Link<'c> {
    config: &'c Config,
    pages: Pages<'c>,
    mailbox: Mailbox,
    router: Router,
    peers: Peers,
    scratch: [u8; DATAGRAM],
}

/// Serves for ever.
#[inline(always)]
pub(crate) fn run(config: &Config) -> ! {
    // Restarts count from 0; life 0 would say that this side is not up.
    let epoch = peers::epoch().0.wrapping_add(1).max(1);
    let mut pages = Pages(&config.mailbox);
    let mut link = Link {
        config,
        mailbox: Mailbox::new(&mut pages, epoch),
        pages,
        router: Router::new(),
        peers: Peers::new(config.clients),
        scratch: [0; DATAGRAM],
    };
    sys_irq_control(config.mail, true);
    link.ring();
    link.work();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut link, &mut buffer)
}

impl Link<'_> {
    /// Rings the DSP's bell.
    fn ring(&self) {
        self.config.bells.write32(SETSPI, u32::from(MAIL_TO_DSP));
    }

    /// Brings everything up to date with the other side's page: what every
    /// wake does, whatever woke it.
    fn work(&mut self) {
        let moved = self.look() | self.take_in() | self.pay();
        if moved {
            self.ring();
        }
        if self.mailbox.room(&mut self.pages) > 0 {
            self.router.room();
        }
        self.hint();
    }

    /// Follows the other side's lives. Whether it must look at ours.
    fn look(&mut self) -> bool {
        let mut changed = false;
        loop {
            let change = self.mailbox.look(&mut self.pages);
            match change {
                Change::None => return changed,
                Change::Seen => {}
                Change::CameUp => self.router.link_up(),
                Change::Lost => self.router.link_lost(),
            }
            ringbuf::ringbuf_entry!(Trace::Link(change));
            changed = true;
        }
    }

    /// Takes datagrams in, a bounded number. Whether there was one.
    fn take_in(&mut self) -> bool {
        for taken in 0..BUDGET {
            match self.mailbox.receive(&mut self.pages, &mut self.scratch) {
                Received::Empty => return taken > 0,
                Received::Datagram(len) => {
                    ringbuf::ringbuf_entry!(Trace::Received(len));
                    self.router.incoming(&self.scratch[..len]);
                }
                Received::BadLength(length) => {
                    ringbuf::ringbuf_entry!(Trace::BadLength(length));
                    self.router.count_dropped();
                }
                Received::BadHead(waiting) => {
                    ringbuf::ringbuf_entry!(Trace::BadHead(waiting));
                    self.router.count_dropped();
                    return taken > 0;
                }
            }
        }
        if self.mailbox.waiting(&mut self.pages) {
            ringbuf::ringbuf_entry!(Trace::Flood);
            sys_set_timer(Some(sys_get_timer().now + BREATHER), TIMER_MASK);
        }
        true
    }

    /// Sends what this node owes the other. Whether there was something.
    fn pay(&mut self) -> bool {
        let mut paid = false;
        while self.mailbox.room(&mut self.pages) > 0 {
            let Some(len) = self.router.next_control(&mut self.scratch) else {
                break;
            };
            // There is room, and a control frame is short.
            paid |= self.mailbox.send(&mut self.pages, &self.scratch[..len]).is_ok();
        }
        paid
    }

    fn hint(&mut self) {
        self.router.take_hints().for_each(peers::hint);
    }
}

impl NotificationHandler for Link<'_> {
    fn current_notification_mask(&self) -> u32 {
        self.config.mail | self.config.peer_changed | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.peer_changed != 0 {
            let router = &mut self.router;
            self.peers.refresh(|change| {
                ringbuf::ringbuf_entry!(Trace::ClientDied(change.old));
                router.client_died(change.old);
            });
        }
        if bits & self.config.mail != 0 {
            sys_irq_control(self.config.mail, true);
        }
        self.work();
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = DspLinkError::try_from(code) {
            ringbuf::ringbuf_entry!(Trace::Refused(error));
        }
    }
}

impl InOrderDspLinkImpl for Link<'_> {
    fn publish(
        &mut self,
        message: &RecvMessage,
        service: u32,
        instance: u32,
    ) -> Result<u32, RequestError<DspLinkError>> {
        let port = self.router.publish(message.sender, service, instance)?;
        self.work();
        Ok(port)
    }

    fn withdraw(
        &mut self,
        message: &RecvMessage,
        port: u32,
    ) -> Result<(), RequestError<DspLinkError>> {
        self.router.withdraw(message.sender, port)?;
        self.work();
        Ok(())
    }

    fn send(
        &mut self,
        message: &RecvMessage,
        port: u32,
        to: Address,
        data: LenLimit<Leased<R, [u8]>, MAX_PAYLOAD>,
    ) -> Result<(), RequestError<DspLinkError>> {
        let frame = self.router.outgoing(message.sender, port, to)?;
        let mut payload = [0; MAX_PAYLOAD];
        let payload = &mut payload[..data.len()];
        data.read_range(0..data.len(), payload)?;
        // A lease that is longer than a payload is its client's fault.
        let Ok(len) = frame.encode(payload, &mut self.scratch) else {
            unreachable!("a datagram holds a payload")
        };
        let refusal = match self.mailbox.send(&mut self.pages, &self.scratch[..len]) {
            Ok(()) => {
                ringbuf::ringbuf_entry!(Trace::Sent(len));
                self.router.sent();
                self.ring();
                return Ok(());
            }
            Err(SendError::Down) => DspLinkError::Down,
            Err(SendError::TooLong) => unreachable!("a datagram is not longer than a slot"),
            Err(SendError::Full) => {
                self.router.refused_full(message.sender);
                DspLinkError::Full
            }
        };
        Err(refusal.into())
    }

    fn pull(
        &mut self,
        message: &RecvMessage,
        data: LenLimit<Leased<W, [u8]>, MAX_PAYLOAD>,
    ) -> Result<LinkEvent, RequestError<DspLinkError>> {
        let mut gone: Option<ClientError> = None;
        let event = self.router.pull(message.sender, |bytes| {
            let fits = bytes.len() <= data.len();
            if fits {
                gone = data.write_range(0..bytes.len(), bytes).err();
            }
            fits
        });
        if let Some(gone) = gone {
            return Err(gone.into());
        }
        if self.pay() {
            self.ring();
        }
        Ok(event?)
    }

    fn status(&mut self, _: &RecvMessage) -> Result<LinkStatus, RequestError<DspLinkError>> {
        Ok(self.router.status())
    }
}
