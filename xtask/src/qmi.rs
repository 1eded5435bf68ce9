//! `cargo xtask qmi`: QMI messages to JSON and back.
//!
//! For whoever reads a mailbox trace or wants to check the codec from outside.
//! JSON names are those of the service (`lib/qmi`): `msg` is `stream_req`,
//! `stream_resp` or `stream_ind`, `txn` the transaction, `fields` what the
//! message says. What is refused comes out as `error` (a code) and `detail`.

use std::process::ExitCode;

use qmi::{Message, StreamIndication, StreamRequest, StreamResponse, Txn};
use serde_json::{Map, Value, json};

/// `cargo xtask qmi …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Qmi {
    /// Decode one datagram (QMI header and payload) to a JSON object
    Decode {
        /// The datagram's bytes in hex; spaces and colons are skipped
        #[arg(required = true)]
        hex: Vec<String>,
    },
    /// Encode a JSON object with `msg`, `txn` and `fields` to hex
    Encode {
        /// The object, as `decode` prints it
        json: String,
    },
}

/// Exit code for input that is not what it should be.
const BAD_INPUT: u8 = 2;

impl Qmi {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let answer = match self {
            Self::Decode { hex } => decode(&hex.concat()).map(|message| message.to_string()),
            Self::Encode { json } => encode(json),
        };
        match answer {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(refusal) => {
                println!("{refusal}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }
}

fn refusal(code: &str, detail: impl ToString) -> Value {
    json!({ "error": code, "detail": detail.to_string() })
}

fn decode(text: &str) -> Result<Value, Value> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let bytes = hex::decode(digits).map_err(|error| refusal("bad_hex", error))?;
    let (Txn(txn), message) =
        Message::decode(&bytes).map_err(|error| refusal(error.code(), error))?;
    let (msg, fields) = match &message {
        Message::Request(request) => ("stream_req", json!(request)),
        Message::Response(response) => ("stream_resp", json!(response)),
        Message::Indication(indication) => ("stream_ind", json!(indication)),
    };
    Ok(json!({ "msg": msg, "txn": txn, "fields": fields }))
}

fn encode(text: &str) -> Result<String, Value> {
    let mut object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| refusal("bad_json", error))?;
    let bad_fields = |error| refusal("bad_fields", error);
    let txn = match object.remove("txn") {
        Some(txn) => serde_json::from_value(txn).map_err(|error| refusal("bad_txn", error))?,
        // What an indication carries.
        None => Txn(0),
    };
    let fields = object.remove("fields").unwrap_or_else(|| json!({}));
    let mut buffer = [0; qmi::MAX_DATAGRAM];
    let encoded = match object.remove("msg").as_ref().and_then(Value::as_str) {
        Some("stream_req") => serde_json::from_value::<StreamRequest>(fields)
            .map_err(bad_fields)?
            .encode(txn, &mut buffer),
        Some("stream_resp") => serde_json::from_value::<StreamResponse>(fields)
            .map_err(bad_fields)?
            .encode(txn, &mut buffer),
        Some("stream_ind") => serde_json::from_value::<StreamIndication>(fields)
            .map_err(bad_fields)?
            .encode(txn, &mut buffer),
        _ => {
            return Err(refusal(
                "bad_msg",
                "\"msg\" must be stream_req, stream_resp or stream_ind",
            ));
        }
    };
    if let Some(unknown) = object.keys().next() {
        return Err(refusal("unknown_key", format!("{unknown:?} is not msg, txn or fields")));
    }
    let len = encoded.map_err(|error| refusal("too_long", error))?;
    Ok(hex::encode(&buffer[..len]))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use serde_json::{Value, json};

    fn vectors() -> Value {
        let text = include_str!("../../lib/qmi/tests/data/qmi_vectors.json");
        serde_json::from_str(text).expect("the data file is JSON")
    }

    #[test]
    fn decode_prints_each_vectors_fields_and_encode_takes_them_back() {
        for entry in vectors()["vectors"].as_array().expect("a list") {
            let hex = entry["hex"].as_str().expect("hex");
            let printed = decode(hex).expect("a vector decodes");
            let expected = json!({
                "msg": entry["msg"], "txn": entry["txn_id"], "fields": entry["fields"],
            });
            assert_eq!(printed, expected, "{}", entry["name"]);
            assert_eq!(encode(&printed.to_string()).as_deref(), Ok(hex), "{}", entry["name"]);
        }
    }

    #[test]
    fn what_is_refused_has_a_code_and_a_detail() {
        for entry in vectors()["malformed"].as_array().expect("a list") {
            let advised = entry["strict_advice"].as_str().expect("text").starts_with("accept");
            let answer = decode(entry["hex"].as_str().expect("hex"));
            assert_eq!(answer.is_ok(), advised, "{}", entry["name"]);
            if let Err(refusal) = answer {
                assert!(refusal["error"].is_string() && refusal["detail"].is_string());
            }
        }
    }

    #[test]
    fn hex_may_have_spaces_and_colons_and_nothing_else() {
        let plain = decode("04000001000e000104000100000002040001000000");
        assert!(plain.is_ok());
        assert_eq!(decode("04 00:00 01000e00 01040001000000 02040001000000\n"), plain);
        assert_eq!(decode("0g").expect_err("no hex")["error"], "bad_hex");
        assert_eq!(decode("").expect_err("no header")["error"], "header_truncated");
    }

    #[test]
    fn json_that_is_no_message_says_what_is_wrong() {
        let code = |json: &str| encode(json).expect_err(json)["error"].clone();
        assert_eq!(code("{"), "bad_json");
        assert_eq!(code("{\"msg\":\"hello\"}"), "bad_msg");
        assert_eq!(code("{\"msg\":\"stream_req\",\"fields\":{\"enable\":1}}"), "bad_fields");
        assert_eq!(code("{\"msg\":\"stream_req\",\"txn\":65536}"), "bad_txn");
        let stray = "{\"msg\":\"stream_ind\",\"fields\":{\"dev_event\":1,\"slot_id\":1},\"x\":1}";
        assert_eq!(code(stray), "unknown_key");
    }
}
