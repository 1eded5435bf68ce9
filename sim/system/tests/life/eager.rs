//! A DSP that asks before anyone can answer, and the moment that anyone can.

use crate::world::World;
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, MAIL_IN, MAIL_OUT, Status};
use fabric::Time;
use offload_broker::refusal::Refusal;
use program::core::{Core, Simulated};
use qmi::qrtr::{Address, Control, Frame, FrameKind, Node, Port};
use qmi::{StreamRequest, StreamResponse, Token, Txn};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use xhc::Personality;

/// Where the program sends from.
const HERE: Address = Address { node: Node(DSP_NODE), port: Port(0x10) };
/// The first port that a task of the application core gets.
const FIRST: Address = Address { node: Node(APP_NODE), port: Port(0x4000) };
/// Nanoseconds between two looks at the mail.
const PAUSE: u64 = 1_000_000;

/// What test and program share.
#[derive(Default)]
struct Shared {
    /// Requests that it made while there was no service.
    early: Cell<u32>,
    /// The internal status of each answer; one list per announcement.
    answers: RefCell<Vec<Vec<u32>>>,
}

/// Asks for the first card's stream, or gives it back; whether the mailbox had room.
fn ask(to: Address, txn: u16, enable: bool) -> bool {
    let request = StreamRequest {
        enable: u8::from(enable),
        usb_token: Token::new(0, 0, 0),
        audio_format: Some(2),
        number_of_ch: Some(2),
        bit_rate: Some(48_000),
        xfer_buff_size: Some(0),
        service_interval: None,
    };
    let mut payload = [0; qmi::MAX_DATAGRAM];
    let len = request.encode(Txn(txn), &mut payload).expect("it fits");
    let mut bytes = [0; DATAGRAM];
    let frame = Frame { kind: FrameKind::Data, from: HERE, to, confirm: false };
    let len = frame.encode(&payload[..len], &mut bytes).expect("a request is short");
    Simulated.write(MAIL_OUT, &bytes[..len]);
    Simulated.call(Call::MailSend, [len as u32, 0, 0, 0, 0])[0] == Status::Ok as u32
}

/// Sleeps for a while, or until mail comes.
fn rest() {
    let [_, low, high, _] = Simulated.call(Call::Now, [0; 5]);
    let until = (u64::from(low) | u64::from(high) << 32) + PAUSE;
    Simulated.call(Call::Wait, [until as u32, (until >> 32) as u32, 0, 0, 0]);
}

/// One life of the program: asks from its first moment on, at once whenever the
/// service is announced, and again until it has the stream, which it gives back.
fn life(shared: &Shared) -> ! {
    // What it asks for next, if anything, and where it waits for an answer.
    let (mut wants, mut asked) = (Some(true), false);
    let (mut service, mut txn) = (None, 0);
    loop {
        if let Some(enable) = wants.filter(|_| !asked) {
            txn += 1;
            let went = ask(service.unwrap_or(FIRST), txn, enable);
            asked = went && service.is_some();
            shared.early.set(shared.early.get() + u32::from(service.is_none()));
        }
        let [_, len, ..] = Simulated.call(Call::MailReceive, [0; 5]);
        if len == 0 {
            rest();
            continue;
        }
        let mut bytes = [0; DATAGRAM];
        let bytes = &mut bytes[..len as usize];
        Simulated.read(MAIL_IN, bytes);
        let Ok((frame, payload)) = Frame::decode(bytes) else { continue };
        match Control::decode(frame.kind, payload) {
            Ok(Control::NewServer(server))
                if server.service == qmi::SERVICE && service != Some(server.at) =>
            {
                (service, wants, asked) = (Some(server.at), Some(true), false);
                shared.answers.borrow_mut().push(Vec::new());
            }
            Ok(Control::DelServer(server)) if service == Some(server.at) => {
                (service, wants, asked) = (None, Some(true), false);
            }
            _ => {}
        }
        if Some(frame.from) == service
            && let Ok((_, response)) = StreamResponse::decode(payload)
        {
            let status = response.internal_status.expect("an answer has it");
            asked = false;
            if wants == Some(true) {
                shared.answers.borrow_mut().last_mut().expect("a service").push(status);
                wants = Some(status != 0);
            } else if status == 0 {
                wants = None;
            }
        }
    }
}

/// D-16, R26: who asks before the service is there is not heard, who asks as soon as
/// it is there gets a plain answer, and when the broker begins anew it is there no
/// sooner than the devices are known that it serves. Nobody dies of it.
#[test]
fn who_asks_at_the_first_moment_gets_a_plain_answer_or_none() {
    for seed in 0..12 {
        let shared = Rc::<Shared>::default();
        let program = Rc::clone(&shared);
        let mut world =
            World::with_program(Personality::seeded(seed), seed, move || life(&program));
        world.scene.run_for(Time::ms(30));
        let answers = shared.answers.borrow().clone();
        assert_eq!(answers.len(), 1, "seed {seed}: the service is there");
        assert!(!answers[0].is_empty(), "seed {seed}: and answers");
        let plain = |code: &u32| *code == Refusal::NoDevice as u32;
        assert!(answers[0].iter().all(plain), "seed {seed}: {answers:?}");
        let early = shared.early.get();
        assert!(early > 0, "seed {seed}: it asked before that");

        world.plug();
        world.scene.run_for(Time::ms(1_000));
        let answers = shared.answers.borrow().clone();
        assert_eq!(answers[0].last(), Some(&0), "seed {seed}: {answers:?}");
        world.assert_at_rest("it had the stream");
        world.assert_nobody_died("asked early");

        world.scene.kill("offload_broker");
        world.scene.run_for(Time::ms(300));
        let answers = shared.answers.borrow().clone();
        assert_eq!(answers.len(), 2, "seed {seed}: announced once more");
        assert_eq!(answers[1], [0], "seed {seed}: the headset was there all the time");
        world.assert_at_rest("at the end");
    }
}
