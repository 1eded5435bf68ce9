//! The server: messages, interrupts and deadlines to `mapper`.

use abi::TaskId;
use addr::{Bus, Peer};
use handles::Handle;
use idol_runtime::{NotificationHandler, RequestError};
use iommu_api::{
    Access, Attached, GrantHandle, IommuError, IommuEvent, IommuStatus, Part, TicketHandle,
    WindowHandle,
};
use peers::Peers;
use userlib::{RecvMessage, TIMER_MASK, sys_get_timer, sys_irq_control, sys_set_timer};

use crate::Config;
use crate::mapper::Mapper;

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
enum Trace {
    #[count(skip)]
    None,
    Attached(TaskId),
    /// A client was refused, and how.
    #[count(children)]
    Refused(IommuError),
    /// The fault interrupt is held back; so many records were read by then.
    FaultsMasked {
        records: u32,
    },
    /// This client was told of this fault.
    Told(TaskId, IommuEvent),
    /// The monitor did not confirm in half its time, or in all of it.
    Late(u64),
    ClientDied(TaskId),
    Opened {
        window: u16,
        controller: u8,
    },
    /// The controller sees a part.
    Placed {
        window: u16,
        part: Part,
    },
    /// The peer sees a part.
    Mapped {
        window: u16,
        part: Part,
    },
    /// The peer is told to forget all parts.
    Unmapping {
        window: u16,
    },
    Displaced {
        window: u16,
        part: Part,
    },
    Closed {
        window: u16,
    },
}

ringbuf::counted_ringbuf!(Trace, 48, Trace::None);

/// A window's place in the table.
fn place(window: WindowHandle) -> u16 {
    window.raw().index
}

struct Server<'c> {
    config: &'c Config,
    mapper: Mapper<'c>,
    peers: Peers,
}

/// Serves for ever.
#[inline(always)]
pub(crate) fn run(config: &Config) -> ! {
    let epoch = peers::epoch();
    let now = sys_get_timer().now;
    let mapper = Mapper::take_over(config, epoch, now).expect("the SMMU answers");
    let mut server = Server { config, mapper, peers: Peers::new(config.clients) };
    sys_irq_control(config.fault | config.tlb, true);
    server.after();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut server, &mut buffer)
}

impl Server<'_> {
    /// What every wake ends with: hints, the fault interrupt, the timer.
    fn after(&mut self) {
        for index in self.mapper.take_hints() {
            if let Some(client) = self.peers.current(index) {
                peers::hint(client);
            }
        }
        sys_set_timer(self.mapper.next_deadline(), TIMER_MASK);
    }

    /// Answers a client, after the same.
    fn answer<T>(&mut self, result: Result<T, IommuError>) -> Result<T, RequestError<IommuError>> {
        self.after();
        Ok(result?)
    }

    /// Answers a client, and notes what was done if it was.
    fn done<T>(
        &mut self,
        result: Result<T, IommuError>,
        what: impl FnOnce(&T) -> Trace,
    ) -> Result<T, RequestError<IommuError>> {
        if let Ok(done) = &result {
            ringbuf::ringbuf_entry!(what(done));
        }
        self.answer(result)
    }

    /// Runs what may end the reason why the fault interrupt is masked.
    fn unmasking<T>(&mut self, f: impl FnOnce(&mut Mapper<'_>) -> T) -> T {
        let before = self.mapper.is_masked();
        let result = f(&mut self.mapper);
        if before && !self.mapper.is_masked() {
            sys_irq_control(self.config.fault, true);
        }
        result
    }
}

impl NotificationHandler for Server<'_> {
    fn current_notification_mask(&self) -> u32 {
        self.config.fault | self.config.tlb | self.config.peer_changed | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        let now = sys_get_timer().now;
        if bits & self.config.peer_changed != 0 {
            let mut died = [None; abi::MAX_TASKS];
            let mut places = died.iter_mut();
            self.peers.refresh(|change| {
                if let Some(place) = places.next() {
                    *place = Some(change.old);
                }
            });
            for old in died.into_iter().flatten() {
                ringbuf::ringbuf_entry!(Trace::ClientDied(old));
                self.unmasking(|mapper| mapper.died(old, now));
            }
        }
        if bits & self.config.fault != 0 {
            if self.mapper.faulted() {
                sys_irq_control(self.config.fault, true);
            } else {
                let records = self.mapper.status().faults;
                ringbuf::ringbuf_entry!(Trace::FaultsMasked { records });
            }
        }
        if bits & self.config.tlb != 0 {
            // The line first: a bell after the look at the answer rings again.
            sys_irq_control(self.config.tlb, true);
            self.unmasking(|mapper| mapper.confirmed());
        }
        if self.mapper.next_deadline().is_some_and(|deadline| deadline <= now) {
            ringbuf::ringbuf_entry!(Trace::Late(now));
            self.unmasking(|mapper| mapper.expire(now));
        }
        self.after();
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = IommuError::try_from(code)
            && error != IommuError::NotYet
        {
            ringbuf::ringbuf_entry!(Trace::Refused(error));
        }
    }
}

impl InOrderIommuImpl for Server<'_> {
    fn attach(&mut self, message: &RecvMessage) -> Result<Attached, RequestError<IommuError>> {
        ringbuf::ringbuf_entry!(Trace::Attached(message.sender));
        let result = self.unmasking(|mapper| mapper.attach(message.sender));
        self.answer(result)
    }

    fn map(
        &mut self,
        message: &RecvMessage,
        pool: u8,
        page: u16,
        count: u16,
        access: Access,
    ) -> Result<Bus, RequestError<IommuError>> {
        let result = self.mapper.map(message.sender, pool, page, count, access);
        self.answer(result)
    }

    fn unmap(&mut self, message: &RecvMessage, at: Bus) -> Result<(), RequestError<IommuError>> {
        let result = self.mapper.unmap(message.sender, at);
        self.answer(result)
    }

    fn open_window(
        &mut self,
        message: &RecvMessage,
        controller: u8,
    ) -> Result<WindowHandle, RequestError<IommuError>> {
        let result = self.mapper.open_window(message.sender, controller);
        self.done(result, |window| Trace::Opened { window: place(*window), controller })
    }

    fn close_window(
        &mut self,
        message: &RecvMessage,
        window: WindowHandle,
    ) -> Result<(), RequestError<IommuError>> {
        let result = self.unmasking(|mapper| mapper.close_window(message.sender, window));
        self.done(result, |()| Trace::Closed { window: place(window) })
    }

    fn place(
        &mut self,
        message: &RecvMessage,
        window: WindowHandle,
        part: Part,
        pool: u8,
        page: u16,
        count: u16,
        access: Access,
    ) -> Result<Bus, RequestError<IommuError>> {
        let pages = (pool, page, count);
        let result = self.mapper.place(message.sender, window, part, pages, access);
        self.done(result, |_| Trace::Placed { window: place(window), part })
    }

    fn displace(
        &mut self,
        message: &RecvMessage,
        window: WindowHandle,
        part: Part,
    ) -> Result<(), RequestError<IommuError>> {
        let result = self.unmasking(|mapper| mapper.displace(message.sender, window, part));
        self.done(result, |()| Trace::Displaced { window: place(window), part })
    }

    fn grant(
        &mut self,
        message: &RecvMessage,
        pool: u8,
        page: u16,
        count: u16,
        grantee: u16,
    ) -> Result<GrantHandle, RequestError<IommuError>> {
        let result = self.mapper.grant(message.sender, (pool, page, count), grantee);
        self.answer(result)
    }

    fn release(
        &mut self,
        message: &RecvMessage,
        grant: GrantHandle,
    ) -> Result<(), RequestError<IommuError>> {
        let result = self.mapper.release(message.sender, grant);
        self.answer(result)
    }

    fn start_revoke(
        &mut self,
        message: &RecvMessage,
        grant: GrantHandle,
    ) -> Result<TicketHandle, RequestError<IommuError>> {
        let now = sys_get_timer().now;
        let result = self.mapper.start_revoke(message.sender, grant, now);
        self.answer(result)
    }

    fn map_peer(
        &mut self,
        message: &RecvMessage,
        window: WindowHandle,
        part: Part,
        grant: GrantHandle,
        access: Access,
    ) -> Result<Peer, RequestError<IommuError>> {
        let result = self.mapper.map_peer(message.sender, window, part, grant, access);
        self.done(result, |_| Trace::Mapped { window: place(window), part })
    }

    fn start_unmap_peer(
        &mut self,
        message: &RecvMessage,
        window: WindowHandle,
    ) -> Result<TicketHandle, RequestError<IommuError>> {
        let now = sys_get_timer().now;
        let result = self.mapper.start_unmap_peer(message.sender, window, now);
        self.done(result, |_| Trace::Unmapping { window: place(window) })
    }

    fn result(
        &mut self,
        message: &RecvMessage,
        ticket: TicketHandle,
    ) -> Result<(), RequestError<IommuError>> {
        let result = self.mapper.result(message.sender, ticket);
        self.answer(result)
    }

    fn pull(&mut self, message: &RecvMessage) -> Result<IommuEvent, RequestError<IommuError>> {
        let event = self.mapper.pull(message.sender);
        if matches!(event, IommuEvent::WindowFault { .. } | IommuEvent::ControllerFault { .. }) {
            ringbuf::ringbuf_entry!(Trace::Told(message.sender, event));
        }
        Ok(event)
    }

    fn status(&mut self, _: &RecvMessage) -> Result<IommuStatus, RequestError<IommuError>> {
        Ok(self.mapper.status())
    }
}
