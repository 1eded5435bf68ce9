//! Frames of a neighbour that may be hostile, among what clients do.

use crate::Bytes;
use abi::{Generation, TaskId};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_link::router::Router;
use dsp_link_api::{Address, Event};
use qmi::qrtr::{Control, Frame};

const CLIENTS: [TaskId; 2] = [TaskId::new(6, Generation(0)), TaskId::new(7, Generation(0))];
/// A service of each client and more.
const PORTS: usize = 16;
/// Frames that the node may owe at once: each port twice, its hello, a listing's
/// end.
const OWED: usize = 40;
/// News that waits for a client at most.
const NEWS: usize = 24;

/// Each step is a byte that says what, and what it needs.
pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut router = Router::new();
    router.link_up();
    let mut ports = Vec::new();
    while !bytes.0.is_empty() {
        let what = bytes.byte();
        let client = CLIENTS[usize::from(what >> 7)];
        match what & 0x0F {
            0 => router.link_up(),
            1 => router.link_lost(),
            2 if ports.len() < PORTS => {
                ports.extend(router.publish(client, bytes.word(), 1).map(|port| (client, port)));
            }
            3 => {
                if let Some((owner, port)) = ports.pop() {
                    router.withdraw(owner, port).expect("its own port");
                }
            }
            4 => pull(&mut router, client),
            5 => {
                router.client_died(client);
                ports.retain(|(owner, _)| *owner != client);
            }
            6 => router.room(),
            7 => router.refused_full(client),
            8 => {
                let to = Address { node: DSP_NODE, port: bytes.word() };
                if let Some(&(owner, port)) = ports.last() {
                    let _ = router.outgoing(owner, port, to);
                }
            }
            9 => owed(&mut router),
            // A whole frame, as the other side may write it.
            10 => {
                let len = usize::from(bytes.byte()) * 2;
                router.incoming(bytes.take(len.min(DATAGRAM)));
            }
            // A frame whose head makes sense, to a port that may be there.
            _ => {
                let kind = u32::from(bytes.byte());
                let to = match ports.get(usize::from(bytes.byte())) {
                    Some((_, port)) => *port,
                    None => bytes.word(),
                };
                let (port, len) = (bytes.word(), usize::from(bytes.byte()));
                let payload = bytes.take(len);
                let len = payload.len() as u32;
                let head = [1, kind, DSP_NODE, port, port & 1, len, APP_NODE, to];
                let mut frame: Vec<u8> = head.into_iter().flat_map(u32::to_le_bytes).collect();
                frame.extend(payload);
                router.incoming(&frame);
            }
        }
    }
    owed(&mut router);
    CLIENTS.into_iter().for_each(|client| pull(&mut router, client));
}

/// All that the node owes its neighbour is well formed, and comes to an end.
fn owed(router: &mut Router) {
    let mut bytes = [0; DATAGRAM];
    for _ in 0..OWED {
        let Some(len) = router.next_control(&mut bytes) else { return };
        let (frame, payload) = Frame::decode(&bytes[..len]).expect("well formed");
        let _ = Control::decode(frame.kind, payload).expect("well formed");
    }
    panic!("the node never stops talking");
}

/// All that waits for a client comes to an end.
fn pull(router: &mut Router, client: TaskId) {
    for _ in 0..=NEWS {
        match router.pull(client, |_| true) {
            Ok(Event::None) | Err(_) => return,
            Ok(_) => {}
        }
    }
    panic!("news without end");
}
