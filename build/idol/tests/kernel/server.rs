//! The server of the tests.

use std::cell::Cell;
use std::rc::Rc;

use host::Task;
use idol_runtime::{ClientError, Leased, LenLimit, NotificationHandler, R, RW, RequestError, W};
use userlib::{RecvMessage, TaskId};

use crate::stubs::server::{EverythingOperation, INCOMING_SIZE, InOrderEverythingImpl};
use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

/// What the server of a test is to do and has seen; outlives its incarnations.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    /// How often operations that crash do so before they answer.
    pub(crate) crashes: Rc<Cell<u32>>,
    /// How often an operation that may crash was asked for.
    pub(crate) asked: Rc<Cell<u32>>,
    /// The only task to listen to.
    pub(crate) only: Rc<Cell<Option<TaskId>>>,
    /// How often the task listened to was found dead.
    pub(crate) found_dead: Rc<Cell<u32>>,
    /// Notification bits that came.
    pub(crate) notified: Rc<Cell<u32>>,
}

struct TestServer {
    orders: Orders,
}

/// A task that runs the server.
pub(crate) fn server(orders: &Orders) -> Task {
    let orders = orders.clone();
    Task::new("server", move || {
        let mut buffer = [0; INCOMING_SIZE];
        let mut server = TestServer { orders: orders.clone() };
        idol_runtime::dispatch::<_, EverythingOperation>(&mut server, &mut buffer);
    })
}

/// A task that runs the server over too small a buffer, once.
pub(crate) fn cramped(orders: &Orders) -> Task {
    let orders = orders.clone();
    Task::new("server", move || {
        let Orders { asked, .. } = &orders;
        if asked.replace(1) > 0 {
            crate::rest();
        }
        let mut server = TestServer { orders: orders.clone() };
        let buffer = &mut [0; INCOMING_SIZE - 1];
        idol_runtime::dispatch::<_, EverythingOperation>(&mut server, buffer);
    })
}

impl TestServer {
    fn crash_if_ordered(&self) {
        let Orders { crashes, asked, .. } = &self.orders;
        asked.set(asked.get() + 1);
        if crashes.get() > 0 {
            crashes.set(crashes.get() - 1);
            panic!("as ordered");
        }
    }
}

impl NotificationHandler for TestServer {
    fn current_notification_mask(&self) -> u32 {
        0b110
    }

    fn handle_notification(&mut self, bits: u32) {
        self.orders.notified.set(self.orders.notified.get() | bits);
    }
}

type Infallible<T> = Result<T, RequestError<std::convert::Infallible>>;
type Troubled<T> = Result<T, RequestError<Trouble>>;
type Detailed<T> = Result<T, RequestError<Detail>>;

impl InOrderEverythingImpl for TestServer {
    fn recv_source(&self) -> Option<TaskId> {
        self.orders.only.get()
    }

    fn closed_recv_fail(&mut self) {
        self.orders.found_dead.set(self.orders.found_dead.get() + 1);
        self.orders.only.set(None);
    }

    fn ping(&mut self, _: &RecvMessage, value: u32) -> Infallible<u32> {
        self.crash_if_ordered();
        Ok(value)
    }

    fn sum(
        &mut self,
        _: &RecvMessage,
        small: u8,
        wide: u64,
        flag: bool,
        color: Color,
        celsius: Celsius,
        even: Even,
        raw: [u8; 3],
    ) -> Troubled<Color> {
        assert_eq!((small, wide, flag, raw), (1, u64::MAX, true, [9, 8, 7]));
        assert_eq!((celsius, even), (Celsius(-40), Even(4)));
        Ok(color)
    }

    fn is_even(&mut self, _: &RecvMessage, value: u32) -> Infallible<bool> {
        self.crash_if_ordered();
        Ok(value.is_multiple_of(2))
    }

    fn fail(&mut self, _: &RecvMessage, code: u32) -> Troubled<()> {
        Err(Trouble::try_from(code).map_or(ClientError::AccessViolation.fail(), Into::into))
    }

    fn copy(
        &mut self,
        _: &RecvMessage,
        from: LenLimit<Leased<R, [u8]>, 64>,
        to: LenLimit<Leased<W, [u8]>, 64>,
        both: Leased<RW, [u32]>,
    ) -> Troubled<u32> {
        if from.len() > to.len() {
            return Err(Trouble::TooMuch.into());
        }
        let mut bytes = [0; 64];
        from.read_range(0..from.len(), &mut bytes)?;
        to.write_range(0..from.len(), &bytes)?;
        for index in 0..both.len() {
            both.write_at(index, both.read_at(index)? + 1)?;
        }
        // Beyond a lease is a refusal, not a fault of the server.
        assert_eq!(both.read_at(both.len()), Err(ClientError::BadLease));
        assert_eq!(both.read_at(usize::MAX), Err(ClientError::BadLease));
        assert_eq!(to.write_at(to.len(), 0), Err(ClientError::BadLease));
        let backwards = std::ops::Range { start: 1, end: 0 };
        assert_eq!(from.read_range(backwards, &mut bytes), Err(ClientError::BadLease));
        assert_eq!(from.read_range(0..0, &mut bytes), Ok(()));
        Ok(from.len() as u32)
    }

    fn swap(
        &mut self,
        _: &RecvMessage,
        old: Leased<W, Point>,
        new: Leased<R, Point>,
    ) -> Troubled<()> {
        let Point { x, y } = new.read()?;
        old.write(Point { x: y, y: x })?;
        Ok(())
    }

    fn pack(
        &mut self,
        _: &RecvMessage,
        shape: Shape,
        flag: bool,
        many: [u16; 4],
    ) -> Troubled<Shape> {
        assert_eq!((flag, many), (true, [1, 2, 3, u16::MAX]));
        Ok(shape)
    }

    fn pack_hard(&mut self, _: &RecvMessage, shape: Shape, color: Color) -> Detailed<u64> {
        match (shape, color) {
            (Shape::Box { w, h }, Color::Blue) => Ok(u64::from(w) * u64::from(h)),
            _ => Err(Detail::Excess(u64::MAX).into()),
        }
    }

    fn hard(&mut self, _: &RecvMessage, value: u32) -> Detailed<u64> {
        if value == 0 { Err(Detail::Excess(5).into()) } else { Ok(value.into()) }
    }

    fn crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        self.crash_if_ordered();
        Ok(())
    }

    fn ask_and_crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        self.crash_if_ordered();
        Ok(())
    }
}
