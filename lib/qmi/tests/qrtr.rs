//! Frames with bytes written out by hand.

use qmi::qrtr::{
    Address, BROADCAST, CONTROL_PORT, Control, Frame, FrameError, FrameKind, HEADER_LEN, Node,
    Port, Server,
};

const APP: Node = Node(1);
const DSP: Node = Node(5);

fn announcement() -> (Frame, [u8; 20]) {
    let at = Address { node: APP, port: Port(0x4001) };
    let server = Server { service: qmi::SERVICE, instance: qmi::INSTANCE_WORD, at };
    let frame = Frame {
        kind: FrameKind::NewServer,
        from: Address::control(APP),
        to: Address { node: BROADCAST, port: CONTROL_PORT },
        confirm: false,
    };
    (frame, Control::NewServer(server).encode())
}

#[test]
fn an_announcement_has_these_bytes() {
    let (frame, packet) = announcement();
    let mut buffer = [0; 64];
    let len = frame.encode(&packet, &mut buffer).expect("fits");
    let expected = concat!(
        "01000000", "04000000", "01000000", "feffffff", "00000000", "14000000", "ffffffff",
        "feffffff", "04000000", "1d040000", "01000000", "01000000", "01400000"
    );
    assert_eq!(hex::encode(&buffer[..len]), expected);
}

#[test]
fn what_is_not_a_frame_says_why() {
    let (frame, packet) = announcement();
    let mut good = [0; HEADER_LEN + 20];
    frame.encode(&packet, &mut good).expect("fits");
    let with = |at: usize, byte: u8| {
        let mut bad = good;
        bad[at] = byte;
        Frame::decode(&bad).err()
    };
    assert_eq!(with(0, 3), Some(FrameError::UnknownVersion(3)));
    assert_eq!(with(4, 12), Some(FrameError::UnknownKind(12)));
    assert_eq!(with(4, 0), Some(FrameError::UnknownKind(0)));
    assert_eq!(with(20, 21), Some(FrameError::Size { declared: 21, present: 20 }));
    assert_eq!(Frame::decode(&good[..31]).err(), Some(FrameError::HeaderTruncated { have: 31 }));
    assert_eq!(
        frame.encode(&packet, &mut [0; 51]),
        Err(FrameError::BufferTooSmall { needed: 52, have: 51 })
    );
}

/// B15: a control packet shorter than twenty bytes is dropped, not guessed at.
#[test]
fn what_is_not_a_control_packet_says_why() {
    let (_, packet) = announcement();
    assert_eq!(
        Control::decode(FrameKind::NewServer, &packet[..19]),
        Err(FrameError::ControlTruncated { have: 19 })
    );
    assert_eq!(
        Control::decode(FrameKind::DelServer, &packet),
        Err(FrameError::CommandDiffers { kind: FrameKind::DelServer, command: 4 })
    );
    let mut data = packet;
    data[0] = 1;
    assert_eq!(Control::decode(FrameKind::Data, &data), Err(FrameError::NotControl));
}

#[test]
fn leaving_names_the_node_or_the_port_that_left() {
    let gone = Address { node: DSP, port: Port(9) };
    for control in [Control::Bye(DSP), Control::DelClient(gone), Control::ResumeTx(gone)] {
        assert_eq!(Control::decode(control.kind(), &control.encode()), Ok(control));
    }
}
