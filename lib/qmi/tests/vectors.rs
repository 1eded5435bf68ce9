//! The codec against the messages that Linux 7.3.4's encoder makes and the
//! verdicts of its decoder.

use qmi::lenient::{upstream_accepts, upstream_request};
use qmi::{
    DecodeError, EncodeError, Header, Kind, Message, StreamIndication, StreamRequest,
    StreamResponse, Txn,
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/qmi_vectors.json")).expect("the data file is JSON")
}

fn list<'v>(vectors: &'v Value, key: &str) -> &'v [Value] {
    vectors[key].as_array().expect("a list")
}

fn text<'v>(entry: &'v Value, key: &str) -> &'v str {
    entry[key].as_str().expect("a string")
}

fn kind(entry: &Value) -> Kind {
    match text(entry, "msg") {
        "stream_req" => Kind::Request,
        "stream_resp" => Kind::Response,
        "stream_ind" => Kind::Indication,
        other => panic!("unknown message {other}"),
    }
}

/// The message that an entry's `fields` describe.
fn message(entry: &Value) -> Message {
    let fields = entry["fields"].clone();
    match kind(entry) {
        Kind::Request => Message::Request(serde_json::from_value(fields).expect("fields")),
        Kind::Response => Message::Response(serde_json::from_value(fields).expect("fields")),
        Kind::Indication => Message::Indication(serde_json::from_value(fields).expect("fields")),
    }
}

fn encode(message: &Message, txn: Txn, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    match message {
        Message::Request(m) => m.encode(txn, buffer),
        Message::Response(m) => m.encode(txn, buffer),
        Message::Indication(m) => m.encode(txn, buffer),
    }
}

fn fields(message: &Message) -> Value {
    match message {
        Message::Request(m) => serde_json::to_value(m),
        Message::Response(m) => serde_json::to_value(m),
        Message::Indication(m) => serde_json::to_value(m),
    }
    .expect("plain data")
}

#[test]
fn encoding_equals_the_vectors_byte_for_byte() {
    let vectors = vectors();
    for entry in list(&vectors, "vectors") {
        let name = text(entry, "name");
        let txn = Txn(entry["txn_id"].as_u64().expect("a number") as u16);
        let mut buffer = [0xAA; qmi::MAX_DATAGRAM];
        let len = encode(&message(entry), txn, &mut buffer).expect(name);
        assert_eq!(hex::encode(&buffer[..len]), text(entry, "hex"), "{name}");
        assert_eq!(entry["payload_len"], len - Header::LEN, "{name}");
    }
}

/// D-21: every field, the service interval at the end included, and nothing beyond.
#[test]
fn decoding_gives_the_vectors_fields_and_transaction() {
    let vectors = vectors();
    for entry in list(&vectors, "vectors") {
        let name = text(entry, "name");
        let bytes = hex::decode(text(entry, "hex")).expect(name);
        let (txn, decoded) = Message::decode(&bytes).expect(name);
        assert_eq!(fields(&decoded), entry["fields"], "{name}");
        assert_eq!(entry["txn_id"], txn.0, "{name}");
        assert!(upstream_accepts(kind(entry), &bytes), "{name}");
    }
}

#[test]
fn an_encoder_stops_at_the_room_it_has_and_fits_exactly() {
    let vectors = vectors();
    for entry in list(&vectors, "encoder_limits") {
        let room = Header::LEN + entry["max_len"].as_u64().expect("a number") as usize;
        let mut buffer = vec![0; room];
        let txn = Txn(1);
        match entry["hex"].as_str() {
            Some(wire) => {
                let len = encode(&message(entry), txn, &mut buffer).expect("fits");
                assert_eq!((hex::encode(&buffer[..len]), len), (wire.to_owned(), room));
            }
            None => {
                let refused = encode(&message(entry), txn, &mut buffer);
                let Err(EncodeError::BufferTooSmall { needed, have }) = refused else {
                    panic!("encoded into too little room: {entry}");
                };
                assert_eq!(have, room);
                assert!(needed > room && buffer.iter().all(|&b| b == 0), "nothing is written");
            }
        }
    }
}

#[test]
fn maximum_lengths_are_those_of_the_service() {
    let vectors = vectors();
    let max = &vectors["service"]["max_len"];
    assert_eq!(max["stream_req"], StreamRequest::MAX_PAYLOAD);
    assert_eq!(max["stream_resp"], StreamResponse::MAX_PAYLOAD);
    assert_eq!(max["stream_ind"], StreamIndication::MAX_PAYLOAD);
    assert_eq!(vectors["service"]["id"], qmi::SERVICE);
    assert_eq!(vectors["service"]["qrtr_instance_word"], qmi::INSTANCE_WORD);
}

/// The refusal each malformed entry gets; `None` where it is accepted.
fn verdict(name: &str) -> Option<DecodeError> {
    use DecodeError as E;
    Some(match name {
        "unknown_optional_skipped" | "unknown_optional_zero_len" | "reordered" | "over_max_53" => {
            return None;
        }
        "empty_payload" => E::Missing { tag: 1 },
        "missing_token" | "ind_missing_slot" | "resp_missing_result" => E::Missing { tag: 2 },
        "hdr_msglen_too_big" => E::LengthBeyondDatagram { declared: 0x190, present: 46 },
        "hdr_msglen_too_small" => E::BytesAfterPayload { declared: 3, present: 46 },
        "trailing_1" | "trailing_2" => E::TlvHeaderTruncated { at: 46 },
        "unknown_mandatory" => E::UnknownMandatory { tag: 3 },
        "tlv_type_zero" => E::UnknownMandatory { tag: 0 },
        "enable_len_4" => E::TlvLength { tag: 1, expected: 1, declared: 4 },
        "token_len_2" => E::TlvLength { tag: 2, expected: 4, declared: 2 },
        "token_truncated" => E::TlvOverrun { tag: 2, declared: 4, left: 2 },
        "format_len_8" => E::TlvLength { tag: 0x10, expected: 4, declared: 8 },
        "dup_optional" => E::Duplicate { tag: 0x12 },
        "type_response_as_request" => E::WrongKind(2),
        "msg_id_2" => E::UnknownMessage(2),
        "resp_result_len_6" => E::TlvLength { tag: 2, expected: 4, declared: 6 },
        "resp_result_len_3" => E::TlvLength { tag: 2, expected: 4, declared: 3 },
        "resp_intf_len_0" => E::TlvLength { tag: 0x14, expected: 9, declared: 0 },
        "resp_intf_len_10" => E::TlvLength { tag: 0x14, expected: 9, declared: 10 },
        "resp_ep_len_7" => E::TlvLength { tag: 0x15, expected: 9, declared: 7 },
        "resp_mem_len_80" => E::TlvLength { tag: 0x1A, expected: 100, declared: 80 },
        "resp_mem_len_101" => E::TlvLength { tag: 0x1A, expected: 100, declared: 101 },
        "resp_mem_len_120_padded" => E::TlvLength { tag: 0x1A, expected: 100, declared: 120 },
        "ind_event_len_1" => E::TlvLength { tag: 1, expected: 4, declared: 1 },
        other => panic!("no verdict for {other}"),
    })
}

/// D-22: each entry of `malformed` has the verdict of its `strict_advice`
/// (`over_max_53` is accepted), and the precise cause with it.
#[test]
fn malformed_entries_get_their_strict_verdict() {
    let vectors = vectors();
    for entry in list(&vectors, "malformed") {
        let name = text(entry, "name");
        let bytes = hex::decode(text(entry, "hex")).expect(name);
        let got = match kind(entry) {
            Kind::Request => StreamRequest::decode(&bytes).err(),
            Kind::Response => StreamResponse::decode(&bytes).err(),
            Kind::Indication => StreamIndication::decode(&bytes).err(),
        };
        assert_eq!(got, verdict(name), "{name}");
        let advised = text(entry, "strict_advice").starts_with("accept");
        assert_eq!(got.is_none(), advised, "{name}");
        // Without being told the kind the verdict is the same, if not its cause.
        assert_eq!(Message::decode(&bytes).is_ok(), advised, "{name}");
    }
}

#[test]
fn the_lenient_verdict_is_that_of_linux() {
    let vectors = vectors();
    for entry in list(&vectors, "malformed") {
        let name = text(entry, "name");
        let bytes = hex::decode(text(entry, "hex")).expect(name);
        let accepted = entry["linux_ret"].as_i64().expect("a number") >= 0;
        assert_eq!(upstream_accepts(kind(entry), &bytes), accepted, "{name}");
        if kind(entry) == Kind::Request {
            let read = upstream_request(&bytes)
                .map_or(Value::Null, |(_, request)| fields(&Message::Request(request)));
            assert_eq!(read, entry["linux_fields"], "{name}");
        }
    }
}

#[test]
fn a_datagram_without_a_header_is_refused_by_both_decoders() {
    for have in 0..Header::LEN {
        let bytes = &[0; Header::LEN][..have];
        assert_eq!(Message::decode(bytes), Err(DecodeError::HeaderTruncated { have }));
        assert!(!upstream_accepts(Kind::Request, bytes));
        assert_eq!(upstream_request(bytes), None);
    }
}
