//! Messages to a generated server.
//!
//! The interface is the compiler's own example, which has arguments and answers
//! of every kind. What comes with leases needs a kernel, and is refused here for
//! its number of leases.

use crate::Bytes;
use abi::{Generation, TaskId};
use idol_runtime::{ClientError, NotificationHandler, RequestError, Server};
use std::convert::Infallible;
use std::marker::PhantomData;
use userlib::RecvMessage;

#[path = "../../../build/idol/tests/types.rs"]
mod types;

use types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

mod stub {
    use super::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

    include!("../../../build/idol/tests/golden/server.rs");
}

use stub::{EverythingOperation, INCOMING_SIZE, InOrderEverythingImpl, MAX_REPLY_SIZE};

/// Counts what reached it.
#[derive(Default)]
struct Witness(u32);

type Sure<T> = Result<T, RequestError<Infallible>>;
type Troubled<T> = Result<T, RequestError<Trouble>>;
type Detailed<T> = Result<T, RequestError<Detail>>;

impl NotificationHandler for Witness {
    fn current_notification_mask(&self) -> u32 {
        0
    }

    fn handle_notification(&mut self, _: u32) {}
}

impl InOrderEverythingImpl for Witness {
    fn ping(&mut self, _: &RecvMessage, value: u32) -> Sure<u32> {
        self.0 += 1;
        Ok(value)
    }

    fn sum(
        &mut self,
        _: &RecvMessage,
        _: u8,
        _: u64,
        _: bool,
        color: Color,
        _: Celsius,
        _: Even,
        _: [u8; 3],
    ) -> Troubled<Color> {
        self.0 += 1;
        Ok(color)
    }

    fn is_even(&mut self, _: &RecvMessage, value: u32) -> Sure<bool> {
        self.0 += 1;
        Ok(value.is_multiple_of(2))
    }

    fn fail(&mut self, _: &RecvMessage, code: u32) -> Troubled<()> {
        self.0 += 1;
        match Trouble::try_from(code) {
            Ok(trouble) => Err(trouble.into()),
            Err(()) => Err(ClientError::AccessViolation.fail()),
        }
    }

    fn copy(
        &mut self,
        _: &RecvMessage,
        _: idol_runtime::LenLimit<idol_runtime::Leased<idol_runtime::R, [u8]>, 64>,
        _: idol_runtime::LenLimit<idol_runtime::Leased<idol_runtime::W, [u8]>, 64>,
        _: idol_runtime::Leased<idol_runtime::RW, [u32]>,
    ) -> Troubled<u32> {
        unreachable!("no message has its leases")
    }

    fn swap(
        &mut self,
        _: &RecvMessage,
        _: idol_runtime::Leased<idol_runtime::W, Point>,
        _: idol_runtime::Leased<idol_runtime::R, Point>,
    ) -> Troubled<()> {
        unreachable!("no message has its leases")
    }

    fn pack(&mut self, _: &RecvMessage, shape: Shape, _: bool, _: [u16; 4]) -> Troubled<Shape> {
        self.0 += 1;
        Ok(shape)
    }

    fn pack_hard(&mut self, _: &RecvMessage, _: Shape, _: Color) -> Detailed<u64> {
        self.0 += 1;
        Err(Detail::Excess(7).into())
    }

    fn hard(&mut self, _: &RecvMessage, value: u32) -> Detailed<u64> {
        self.0 += 1;
        if value == 0 { Err(Detail::Excess(0x0102).into()) } else { Ok(value.into()) }
    }

    fn crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        self.0 += 1;
        Err(RequestError::went_away())
    }

    fn ask_and_crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        self.0 += 1;
        Ok(())
    }
}

/// Each message is an operation, room for the answer, leases, and a length with
/// that many bytes. What is refused for its form reaches nobody; an answer stays
/// inside the room that there is.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    while !bytes.0.is_empty() {
        let operation = u32::from(bytes.byte());
        let response_capacity = usize::from(bytes.byte());
        // Operations with leases take two or three.
        let lease_count = match bytes.byte() {
            2 | 3 => 1,
            count => count.into(),
        };
        let len = usize::from(bytes.byte());
        let request = bytes.take(len);
        let message = RecvMessage {
            sender: TaskId::new(3, Generation(0)),
            operation,
            message_len: request.len(),
            response_capacity,
            lease_count,
        };
        let mut witness = Witness::default();
        let mut reply = [0; MAX_REPLY_SIZE];
        let answer = (PhantomData::<EverythingOperation>, &mut witness)
            .handle(&message, request, &mut reply);
        match answer {
            Ok((_, len)) => {
                assert_eq!(witness.0, 1);
                assert!(len <= response_capacity && request.len() <= INCOMING_SIZE);
            }
            Err(ClientError::WentAway | ClientError::AccessViolation) => assert!(witness.0 <= 1),
            Err(_) => assert_eq!(witness.0, 0),
        }
    }
}
