//! Encode and decode are inverse; no bytes make the codec panic.

use addr::{Bus, Peer};
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use qmi::lenient::{upstream_accepts, upstream_request};
use qmi::qrtr::{Address, CONTROL_LEN, Control, Frame, FrameError, FrameKind, Node, Port, Server};
use qmi::{
    EndpointDescriptor, Event, InterfaceDescriptor, Kind, MemoryInfo, Message, QmiResult, Region,
    Speed, Status, StreamIndication, StreamRequest, StreamResponse, Token, Txn,
};

fn interface() -> impl Strategy<Value = InterfaceDescriptor> {
    any::<[u8; 9]>().prop_map(|b| InterfaceDescriptor {
        length: b[0],
        descriptor_type: b[1],
        number: b[2],
        alternate: b[3],
        endpoints: b[4],
        class: b[5],
        subclass: b[6],
        protocol: b[7],
        string: b[8],
    })
}

fn endpoint() -> impl Strategy<Value = EndpointDescriptor> {
    (any::<[u8; 7]>(), any::<u16>()).prop_map(|(b, max_packet)| EndpointDescriptor {
        length: b[0],
        descriptor_type: b[1],
        address: b[2],
        attributes: b[3],
        max_packet,
        interval: b[4],
        refresh: b[5],
        sync_address: b[6],
    })
}

fn region() -> impl Strategy<Value = Region> {
    any::<(u64, u64, u32)>().prop_map(|(iova, dma, size)| Region {
        iova: Peer(iova),
        dma: Bus(dma),
        size,
    })
}

fn memory() -> impl Strategy<Value = MemoryInfo> {
    (region(), region(), region(), region(), region()).prop_map(
        |(evt_ring, tr_data, tr_sync, xfer_buff, dcba)| MemoryInfo {
            evt_ring,
            tr_data,
            tr_sync,
            xfer_buff,
            dcba,
        },
    )
}

fn request() -> impl Strategy<Value = StreamRequest> {
    (
        any::<(u8, u32)>(),
        of(any::<u32>()),
        of(any::<u32>()),
        of(any::<u32>()),
        of(any::<u32>()),
        of(any::<u32>()),
    )
        .prop_map(
            |(
                (enable, token),
                audio_format,
                number_of_ch,
                bit_rate,
                xfer_buff_size,
                service_interval,
            )| {
                StreamRequest {
                    enable,
                    usb_token: Token(token),
                    audio_format,
                    number_of_ch,
                    bit_rate,
                    xfer_buff_size,
                    service_interval,
                }
            },
        )
}

fn response() -> impl Strategy<Value = StreamResponse> {
    let words = (
        any::<(u16, u16)>(),
        of(any::<i32>()),
        of(any::<u32>()),
        of(any::<u32>()),
        of(any::<u32>()),
        of(any::<i32>()),
    );
    let descriptors = (of(interface()), of(endpoint()), of(endpoint()), of(memory()));
    let small =
        (of(any::<u16>()), of(any::<u8>()), of(any::<u8>()), of(any::<u8>()), of(any::<u8>()));
    (words, descriptors, small).prop_map(|(words, descriptors, small)| StreamResponse {
        resp: QmiResult { result: words.0.0, error: words.0.1 },
        status: words.1.map(Status),
        internal_status: words.2,
        slot_id: words.3,
        usb_token: words.4.map(Token),
        std_as_opr_intf_desc: descriptors.0,
        std_as_data_ep_desc: descriptors.1,
        std_as_sync_ep_desc: descriptors.2,
        usb_audio_spec_revision: small.0,
        data_path_delay: small.1,
        usb_audio_subslot_size: small.2,
        xhci_mem_info: descriptors.3,
        interrupter_num: small.3,
        speed_info: words.5.map(Speed),
        controller_num: small.4,
    })
}

fn indication() -> impl Strategy<Value = StreamIndication> {
    (response(), any::<i32>(), any::<u32>()).prop_map(|(like, event, slot_id)| StreamIndication {
        dev_event: Event(event),
        slot_id,
        usb_token: like.usb_token,
        std_as_opr_intf_desc: like.std_as_opr_intf_desc,
        std_as_data_ep_desc: like.std_as_data_ep_desc,
        std_as_sync_ep_desc: like.std_as_sync_ep_desc,
        usb_audio_spec_revision: like.usb_audio_spec_revision,
        data_path_delay: like.data_path_delay,
        usb_audio_subslot_size: like.usb_audio_subslot_size,
        xhci_mem_info: like.xhci_mem_info,
        interrupter_num: like.interrupter_num,
        controller_num: like.controller_num,
    })
}

fn address() -> impl Strategy<Value = Address> {
    any::<(u32, u32)>().prop_map(|(node, port)| Address { node: Node(node), port: Port(port) })
}

fn server() -> impl Strategy<Value = Server> {
    (any::<(u32, u32)>(), address()).prop_map(|((service, instance), at)| Server {
        service,
        instance,
        at,
    })
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        Just(Control::Hello),
        any::<u32>().prop_map(|node| Control::Bye(Node(node))),
        server().prop_map(Control::NewServer),
        server().prop_map(Control::DelServer),
        address().prop_map(Control::DelClient),
        address().prop_map(Control::ResumeTx),
        Just(Control::Exit),
        Just(Control::Ping),
        server().prop_map(Control::NewLookup),
        server().prop_map(Control::DelLookup),
    ]
}

/// Bytes that get past the header more often than chance would let them.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let tlv = (0_u8..0x22, 0_u8..12, proptest::collection::vec(any::<u8>(), 0..12)).prop_map(
        |(tag, len, value)| {
            let mut bytes = vec![tag, len, 0];
            bytes.extend(value);
            bytes
        },
    );
    let framed = (proptest::sample::select(vec![0_u8, 2, 4]), proptest::collection::vec(tlv, 0..8))
        .prop_map(|(kind, tlvs)| {
            let payload = tlvs.concat();
            let mut bytes = vec![kind, 1, 0, 1, 0, payload.len() as u8, 0];
            bytes.extend(payload);
            bytes
        });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), framed]
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        txn in any::<u16>(),
        request in request(),
        response in response(),
        indication in indication(),
    ) {
        let txn = Txn(txn);
        let mut buffer = [0; qmi::MAX_DATAGRAM];
        let len = request.encode(txn, &mut buffer).expect("the longest fits");
        prop_assert_eq!(Message::decode(&buffer[..len]), Ok((txn, Message::Request(request))));
        prop_assert_eq!(upstream_request(&buffer[..len]), Some((txn, request)));
        let len = response.encode(txn, &mut buffer).expect("the longest fits");
        prop_assert_eq!(Message::decode(&buffer[..len]), Ok((txn, Message::Response(response))));
        let len = indication.encode(txn, &mut buffer).expect("the longest fits");
        prop_assert_eq!(Message::decode(&buffer[..len]), Ok((txn, Message::Indication(indication))));
    }

    /// What the strict decoder takes the lenient one takes too, and reads the same.
    #[test]
    fn no_bytes_panic_and_strict_is_stricter(bytes in datagram()) {
        if let Ok((txn, message)) = Message::decode(&bytes) {
            let kind = match message {
                Message::Request(request) => {
                    prop_assert_eq!(upstream_request(&bytes), Some((txn, request)));
                    Kind::Request
                }
                Message::Response(_) => Kind::Response,
                Message::Indication(_) => Kind::Indication,
            };
            prop_assert!(upstream_accepts(kind, &bytes));
        }
        for kind in [Kind::Request, Kind::Response, Kind::Indication] {
            let _ = upstream_accepts(kind, &bytes);
        }
    }

    /// D-22: nothing is read past the end.
    #[test]
    fn every_truncation_of_a_message_is_refused(request in request(), cut in 0_usize..53) {
        let mut buffer = [0; qmi::MAX_DATAGRAM];
        let len = request.encode(Txn(7), &mut buffer).expect("the longest fits");
        if cut < len {
            prop_assert!(Message::decode(&buffer[..cut]).is_err());
        }
    }

    #[test]
    fn frames_come_back_as_they_went(
        from in address(),
        to in address(),
        confirm in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 0..32),
        control in control(),
    ) {
        let mut buffer = [0; 64];
        let data = Frame { kind: FrameKind::Data, from, to, confirm };
        let len = data.encode(&payload, &mut buffer).expect("fits");
        prop_assert_eq!(Frame::decode(&buffer[..len]), Ok((data, &payload[..])));
        prop_assert_eq!(
            Frame::decode(&buffer[..len - 1]).is_err(), true,
        );
        let frame = Frame { kind: control.kind(), ..data };
        let len = frame.encode(&control.encode(), &mut buffer).expect("fits");
        let (kind, packet) = Frame::decode(&buffer[..len])
            .map(|(frame, packet)| (frame.kind, packet))
            .expect("just encoded");
        prop_assert_eq!(Control::decode(kind, packet), Ok(control));
        prop_assert_eq!(
            Control::decode(kind, &packet[..CONTROL_LEN - 1]),
            Err(FrameError::ControlTruncated { have: CONTROL_LEN - 1 })
        );
    }

    #[test]
    fn no_bytes_panic_the_frame_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok((frame, payload)) = Frame::decode(&bytes) {
            let _ = Control::decode(frame.kind, payload);
        }
    }
}
