//! The supervisor's records, and the loop that keeps them.

use abi::{FaultInfo, Generation, MAX_TASKS, PANIC_MESSAGE_MAX_LEN, TaskId, TaskState};
use idol_runtime::{Leased, LenLimit, NotificationHandler, RequestError, W};
use jefe_api::{JefeError, PANIC_HEAD, Record};
use userlib::{RecvMessage, TIMER_MASK, kipc, sys_get_timer, sys_refresh_task_id, sys_set_timer};

use crate::Config;
use crate::backoff::Row;

include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));

/// What went on; for whoever looks in with a debugger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, counters::Count)]
enum Trace {
    #[count(skip)]
    None,
    Died {
        task: u16,
        fault: FaultInfo,
    },
    HeldBack {
        task: u16,
        until: u64,
    },
    Restarted {
        task: u16,
    },
    /// A client was refused, and for what.
    #[count(children)]
    Refused(JefeError),
}

ringbuf::counted_ringbuf!(Trace, 32, Trace::None);

/// What is known of one task.
#[derive(Copy, Clone, Debug)]
struct Ward {
    record: Record,
    panic_head: [u8; PANIC_HEAD],
    panic_len: usize,
    row: Row,
    /// When it is to be started, if it is held back.
    due: Option<u64>,
}

const NEW_WARD: Ward = Ward {
    record: Record { restarts: 0, deaths: 0, died_at: 0, fault: None },
    panic_head: [0; PANIC_HEAD],
    panic_len: 0,
    row: Row::NEW,
    due: None,
};

struct Supervisor<'c> {
    config: &'c Config,
    wards: [Ward; MAX_TASKS],
}

/// Supervises for ever.
#[inline(always)]
pub(crate) fn run(config: &Config) -> ! {
    assert!(config.neighbours.len() <= MAX_TASKS, "more tasks than an image has");
    let mut supervisor = Supervisor { config, wards: [NEW_WARD; MAX_TASKS] };
    // A fault may be older than this task's first instruction.
    supervisor.collect();
    let mut buffer = [0; INCOMING_SIZE];
    idol_runtime::dispatch(&mut supervisor, &mut buffer)
}

impl Supervisor<'_> {
    /// Takes care of every task that has faulted since the last look.
    fn collect(&mut self) {
        let mut next = 1;
        while let Some(task) = kipc::find_faulted_task(next) {
            let task = task.get();
            self.died(task);
            next = task + 1;
        }
        self.arm();
    }

    fn died(&mut self, task: usize) {
        let TaskState::Faulted { fault, .. } = kipc::read_task_status(task) else {
            return;
        };
        (self.config.keep)(task);
        let now = sys_get_timer().now;
        let ward = &mut self.wards[task];
        ward.record.deaths = ward.record.deaths.saturating_add(1);
        ward.record.died_at = now;
        ward.record.fault = Some(fault);
        if fault == FaultInfo::Panic {
            let mut message = [0; PANIC_MESSAGE_MAX_LEN];
            // A message that is not the task's own memory has no head.
            let head = kipc::read_panic_message(task, &mut message).unwrap_or_default();
            ward.panic_len = head.len().min(PANIC_HEAD);
            ward.panic_head[..ward.panic_len].copy_from_slice(&head[..ward.panic_len]);
        }
        ringbuf::ringbuf_entry!(Trace::Died { task: task as u16, fault });
        let due = ward.row.died(now, &self.config.backoff);
        if due <= now {
            self.start(task, now);
        } else {
            ward.due = Some(due);
            // The next incarnation exists and is held back: clients are
            // answered the dead code, neighbours see the new generation now.
            kipc::restart_task(task, false);
            ringbuf::ringbuf_entry!(Trace::HeldBack { task: task as u16, until: due });
            self.tell_neighbours(task);
        }
    }

    fn start(&mut self, task: usize, now: u64) {
        let ward = &mut self.wards[task];
        ward.record.restarts = ward.record.restarts.wrapping_add(1);
        ward.row.started(now);
        ward.due = None;
        kipc::restart_task(task, true);
        ringbuf::ringbuf_entry!(Trace::Restarted { task: task as u16 });
        self.tell_neighbours(task);
    }

    /// Starts the tasks whose time has come.
    fn start_due(&mut self) {
        let now = sys_get_timer().now;
        for task in 1..self.config.neighbours.len() {
            if self.wards[task].due.is_some_and(|due| due <= now) {
                self.start(task, now);
            }
        }
        self.arm();
    }

    /// Sets the timer for the next start; there is none while nobody is held
    /// back, so that the supervisor costs nothing in between.
    fn arm(&self) {
        sys_set_timer(self.wards.iter().filter_map(|ward| ward.due).min(), TIMER_MASK);
    }

    fn tell_neighbours(&self, task: usize) {
        let mut told = self.config.neighbours[task];
        while told != 0 {
            let index = told.trailing_zeros() as u16;
            told &= told - 1;
            let id = TaskId::new(index, Generation::default());
            peers::hint(sys_refresh_task_id(id));
        }
    }

    fn ward(&self, task: u16) -> Result<&Ward, JefeError> {
        let task = usize::from(task);
        if task < self.config.neighbours.len() {
            Ok(&self.wards[task])
        } else {
            Err(JefeError::NoSuchTask)
        }
    }
}

impl NotificationHandler for Supervisor<'_> {
    fn current_notification_mask(&self) -> u32 {
        self.config.fault | TIMER_MASK
    }

    fn handle_notification(&mut self, bits: u32) {
        if bits & self.config.fault != 0 {
            self.collect();
        }
        if bits & TIMER_MASK != 0 {
            self.start_due();
        }
    }

    fn refused(&mut self, code: u32) {
        if let Ok(error) = JefeError::try_from(code) {
            ringbuf::ringbuf_entry!(Trace::Refused(error));
        }
    }
}

impl InOrderJefeImpl for Supervisor<'_> {
    fn epoch(&mut self, message: &RecvMessage) -> Result<u32, RequestError<JefeError>> {
        Ok(self.wards[message.sender.index()].record.restarts)
    }

    fn record(&mut self, _: &RecvMessage, task: u16) -> Result<Record, RequestError<JefeError>> {
        Ok(self.ward(task)?.record)
    }

    fn panic_message(
        &mut self,
        _: &RecvMessage,
        task: u16,
        into: LenLimit<Leased<W, [u8]>, PANIC_HEAD>,
    ) -> Result<u16, RequestError<JefeError>> {
        let ward = self.ward(task)?;
        let len = ward.panic_len.min(into.len());
        into.write_range(0..len, &ward.panic_head[..len])?;
        Ok(ward.panic_len as u16)
    }
}
