//! The generated dispatcher, message by message, without a kernel.
//!
//! Operations with leases need one; they are tested where one runs.

#![forbid(unsafe_code)]

use std::marker::PhantomData;

use idol_runtime::{ClientError, NotificationHandler, RequestError, Server};
use proptest::prelude::*;
use userlib::{Generation, RecvMessage, TaskId};

mod types;

use types::{Celsius, Color, Detail, Even, Shape, Trouble};

mod stub {
    use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};

    include!("golden/server.rs");
}

use stub::{EverythingOperation, INCOMING_SIZE, InOrderEverythingImpl, MAX_REPLY_SIZE};

/// Remembers what reached it.
#[derive(Default)]
struct Witness {
    calls: Vec<String>,
}

impl NotificationHandler for Witness {
    fn current_notification_mask(&self) -> u32 {
        0
    }

    fn handle_notification(&mut self, _: u32) {}
}

type Infallible<T> = Result<T, RequestError<std::convert::Infallible>>;
type Troubled<T> = Result<T, RequestError<Trouble>>;
type Detailed<T> = Result<T, RequestError<Detail>>;

impl InOrderEverythingImpl for Witness {
    fn ping(&mut self, _: &RecvMessage, value: u32) -> Infallible<u32> {
        self.calls.push(format!("ping {value}"));
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
        let call = format!("sum {small} {wide} {flag} {color:?} {celsius:?} {even:?} {raw:?}");
        self.calls.push(call);
        Ok(color)
    }

    fn is_even(&mut self, _: &RecvMessage, value: u32) -> Infallible<bool> {
        Ok(value.is_multiple_of(2))
    }

    fn fail(&mut self, _: &RecvMessage, code: u32) -> Troubled<()> {
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
        unreachable!("no kernel, no leases")
    }

    fn swap(
        &mut self,
        _: &RecvMessage,
        _: idol_runtime::Leased<idol_runtime::W, types::Point>,
        _: idol_runtime::Leased<idol_runtime::R, types::Point>,
    ) -> Troubled<()> {
        unreachable!("no kernel, no leases")
    }

    fn pack(
        &mut self,
        _: &RecvMessage,
        shape: Shape,
        flag: bool,
        many: [u16; 4],
    ) -> Troubled<Shape> {
        self.calls.push(format!("pack {shape:?} {flag} {many:?}"));
        Ok(shape)
    }

    fn pack_hard(&mut self, _: &RecvMessage, _: Shape, _: Color) -> Detailed<u64> {
        Err(Detail::Excess(7).into())
    }

    fn hard(&mut self, _: &RecvMessage, value: u32) -> Detailed<u64> {
        if value == 0 { Err(Detail::Excess(0x0102).into()) } else { Ok(value.into()) }
    }

    fn crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        Err(RequestError::went_away())
    }

    fn ask_and_crash(&mut self, _: &RecvMessage) -> Troubled<()> {
        Ok(())
    }
}

type Answer = Result<(u32, Vec<u8>), ClientError>;

fn deliver(witness: &mut Witness, message: &RecvMessage, request: &[u8]) -> Answer {
    let mut reply = [0xAA; MAX_REPLY_SIZE];
    let mut server = (PhantomData::<EverythingOperation>, witness);
    let (code, len) = server.handle(message, request, &mut reply)?;
    Ok((code, reply[..len].to_vec()))
}

fn message(operation: u32, request: &[u8]) -> RecvMessage {
    RecvMessage {
        sender: TaskId::new(3, Generation(0)),
        operation,
        message_len: request.len(),
        response_capacity: MAX_REPLY_SIZE,
        lease_count: 0,
    }
}

fn ask(operation: EverythingOperation, request: &[u8]) -> (Vec<String>, Answer) {
    let mut witness = Witness::default();
    let answer = deliver(&mut witness, &message(operation as u32, request), request);
    (witness.calls, answer)
}

/// `sum`'s arguments one after the other: no padding.
const SUM: [u8; 20] = [
    1, // small
    2, 0, 0, 0, 0, 0, 0, 0, // wide
    1, // flag
    7, // color
    0xFE, 0xFF, // celsius
    5, 0, 0, 0, // even
    9, 8, 7, // raw
];

#[test]
fn arguments_arrive_through_their_receivers() {
    let (calls, answer) = ask(EverythingOperation::sum, &SUM);
    assert_eq!(calls, ["sum 1 2 true Blue Celsius(-2) Even(4) [9, 8, 7]"]);
    assert_eq!(answer, Ok((0, vec![7])));
}

#[test]
fn unknown_operation_is_the_clients_fault() {
    for operation in [0, 12, 0xFFFF, 0x1_0001, u32::MAX] {
        let answer = deliver(&mut Witness::default(), &message(operation, &[]), &[]);
        assert_eq!(answer, Err(ClientError::UnknownOperation));
    }
}

#[test]
fn wrong_size_is_the_clients_fault() {
    for len in 0..=SUM.len() + 1 {
        let request: Vec<u8> = SUM.iter().copied().chain([0]).take(len).collect();
        let (calls, answer) = ask(EverythingOperation::sum, &request);
        assert_eq!(calls.is_empty(), len != SUM.len(), "{len}");
        assert_eq!(answer.err(), (len != SUM.len()).then_some(ClientError::BadMessageSize));
    }
}

#[test]
fn bool_that_is_neither_is_the_clients_fault() {
    let mut request = SUM;
    request[9] = 2;
    let (calls, answer) = ask(EverythingOperation::sum, &request);
    assert_eq!((calls.len(), answer), (0, Err(ClientError::BadMessageContents)));
}

#[test]
fn enum_value_that_is_none_is_the_clients_fault() {
    let mut request = SUM;
    request[10] = 6;
    let (calls, answer) = ask(EverythingOperation::sum, &request);
    assert_eq!((calls.len(), answer), (0, Err(ClientError::BadMessageContents)));
}

#[test]
fn packed_arguments_may_be_shorter_than_the_longest() {
    let circle = [1, 6, 0, 0, 0, 1, 1, 0, 2, 0, 3, 0, 4, 0];
    let (calls, answer) = ask(EverythingOperation::pack, &circle);
    assert_eq!(calls, ["pack Circle(6) true [1, 2, 3, 4]"]);
    assert_eq!(answer, Ok((0, vec![1, 6, 0, 0, 0])));
}

#[test]
fn packed_arguments_too_short_or_too_long_are_the_clients_fault() {
    let circle = [1, 6, 0, 0, 0, 1, 1, 0, 2, 0, 3, 0, 4, 0];
    for len in 0..circle.len() {
        let (_, answer) = ask(EverythingOperation::pack, &circle[..len]);
        assert_eq!(answer, Err(ClientError::BadMessageSize), "{len}");
    }
    for extra in [1, 20] {
        let request: Vec<u8> = circle.into_iter().chain(vec![0; extra]).collect();
        let (_, answer) = ask(EverythingOperation::pack, &request);
        assert_eq!(answer, Err(ClientError::BadMessageSize), "{extra}");
    }
}

#[test]
fn packed_arguments_that_mean_nothing_are_the_clients_fault() {
    let no_such_shape = [9, 6, 0, 0, 0, 1, 1, 0, 2, 0, 3, 0, 4, 0];
    let (_, answer) = ask(EverythingOperation::pack, &no_such_shape);
    assert_eq!(answer, Err(ClientError::BadMessageContents));
    let no_such_bool = [0, 2, 1, 0, 2, 0, 3, 0, 4, 0];
    let (_, answer) = ask(EverythingOperation::pack, &no_such_bool);
    assert_eq!(answer, Err(ClientError::BadMessageContents));
}

#[test]
fn reply_that_would_not_fit_is_refused_before_the_work() {
    let mut witness = Witness::default();
    let request = 5_u32.to_le_bytes();
    let ping = EverythingOperation::ping as u32;
    let message = RecvMessage { response_capacity: 3, ..message(ping, &request) };
    let answer = deliver(&mut witness, &message, &request);
    assert_eq!((witness.calls.len(), answer), (0, Err(ClientError::ReplyBufferTooSmall)));
}

#[test]
fn room_for_the_value_but_not_for_the_error_is_too_small() {
    let request = 1_u32.to_le_bytes();
    let hard = EverythingOperation::hard as u32;
    // The value takes 8 bytes, the packed error 9.
    for (response_capacity, expected) in
        [(8, Err(ClientError::ReplyBufferTooSmall)), (9, Ok((0, vec![1, 0, 0, 0, 0, 0, 0, 0])))]
    {
        let message = RecvMessage { response_capacity, ..message(hard, &request) };
        assert_eq!(deliver(&mut Witness::default(), &message, &request), expected);
    }
}

#[test]
fn lease_that_is_missing_or_too_many_is_the_clients_fault() {
    for (operation, lease_count) in [
        (EverythingOperation::ping, 1),
        (EverythingOperation::copy, 0),
        (EverythingOperation::copy, 2),
        (EverythingOperation::copy, 4),
        (EverythingOperation::swap, 255),
    ] {
        let request: &[u8] = if operation == EverythingOperation::ping { &[0; 4] } else { &[] };
        let message = RecvMessage { lease_count, ..message(operation as u32, request) };
        let answer = deliver(&mut Witness::default(), &message, request);
        assert_eq!(answer, Err(ClientError::BadLease));
    }
}

#[test]
fn error_without_fields_is_a_response_code() {
    let (_, answer) = ask(EverythingOperation::fail, &2_u32.to_le_bytes());
    assert_eq!(answer, Ok((2, vec![])));
    let (_, answer) = ask(EverythingOperation::fail, &65535_u32.to_le_bytes());
    assert_eq!(answer, Ok((65535, vec![])));
}

#[test]
fn error_with_fields_is_code_one_and_packed() {
    let excess = vec![1, 2, 1, 0, 0, 0, 0, 0, 0];
    let (_, answer) = ask(EverythingOperation::hard, &0_u32.to_le_bytes());
    assert_eq!(answer, Ok((1, excess)));
    let (_, answer) = ask(EverythingOperation::pack_hard, &[0, 7]);
    assert_eq!(answer, Ok((1, vec![1, 7, 0, 0, 0, 0, 0, 0, 0])));
}

#[test]
fn bool_reply_is_a_byte() {
    for (value, byte) in [(4_u32, 1), (5, 0)] {
        let (_, answer) = ask(EverythingOperation::is_even, &value.to_le_bytes());
        assert_eq!(answer, Ok((0, vec![byte])));
    }
}

#[test]
fn what_the_server_blames_on_the_client_stays_so() {
    let (_, answer) = ask(EverythingOperation::fail, &0_u32.to_le_bytes());
    assert_eq!(answer, Err(ClientError::AccessViolation));
    let (_, answer) = ask(EverythingOperation::crash, &[]);
    assert_eq!(answer, Err(ClientError::WentAway));
    assert_eq!(ClientError::WentAway.into_fault(), None);
}

#[test]
fn buffers_are_as_large_as_the_largest_operation_needs() {
    assert_eq!(INCOMING_SIZE, SUM.len());
    assert_eq!(MAX_REPLY_SIZE, 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any message gets an answer or has a fault; none harms the server.
    #[test]
    fn any_message_is_answered_or_faulted(
        operation in prop_oneof![4 => 0_u32..13, 1 => any::<u32>()],
        request in prop::collection::vec(any::<u8>(), 0..=INCOMING_SIZE + 4),
        response_capacity in 0_usize..=MAX_REPLY_SIZE + 1,
        lease_count in prop_oneof![2 => Just(0_usize), 1 => 0_usize..256],
    ) {
        // What would ask a kernel about leases.
        prop_assume!((operation, lease_count) != (5, 3) && (operation, lease_count) != (6, 2));
        let message = RecvMessage {
            response_capacity, lease_count, ..message(operation, &request)
        };
        let answer = deliver(&mut Witness::default(), &message, &request);
        match answer {
            Ok((code, reply)) => {
                prop_assert!(reply.len() <= response_capacity);
                prop_assert!(code <= 65535);
            }
            Err(error) => prop_assert!(
                error.into_fault().is_some() || operation == EverythingOperation::crash as u32
            ),
        }
    }
}
