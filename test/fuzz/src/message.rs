//! Messages of the QMI service.

use qmi::lenient::{upstream_accepts, upstream_request};
use qmi::{Kind, MAX_DATAGRAM, Message};

/// What is read is written the same way again, and the strict decoder takes
/// nothing that the lenient one does not.
pub(crate) fn run(bytes: &[u8]) {
    for kind in [Kind::Request, Kind::Response, Kind::Indication] {
        let _ = upstream_accepts(kind, bytes);
    }
    let Ok((txn, message)) = Message::decode(bytes) else { return };
    let mut buffer = [0; MAX_DATAGRAM];
    let (kind, len) = match &message {
        Message::Request(request) => {
            assert_eq!(upstream_request(bytes), Some((txn, *request)));
            (Kind::Request, request.encode(txn, &mut buffer))
        }
        Message::Response(response) => (Kind::Response, response.encode(txn, &mut buffer)),
        Message::Indication(indication) => (Kind::Indication, indication.encode(txn, &mut buffer)),
    };
    assert!(upstream_accepts(kind, bytes));
    let len = len.expect("what was read fits a datagram");
    let again = Message::decode(&buffer[..len]).expect("what was written can be read");
    assert_eq!(again, (txn, message));
}
