//! The node: ports, services, clients, and a neighbour that may be hostile.

use abi::{Generation, TaskId};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_link::router::Router;
use dsp_link_api::{Address, DspLinkError, Event};
use proptest::prelude::{any, prop_assert, proptest};
use qmi::qrtr::{self, BROADCAST, CONTROL_PORT, Control, Frame, FrameKind, Node, Port, Server};

const BROKER: TaskId = TaskId::new(6, Generation(0));
const HIFFY: TaskId = TaskId::new(7, Generation(0));
const SERVICE: u32 = qmi::SERVICE;
const REMOTE: Address = Address { node: DSP_NODE, port: 0x77 };

fn there(port: u32) -> qrtr::Address {
    qrtr::Address { node: Node(DSP_NODE), port: Port(port) }
}

fn control(router: &mut Router, control: Control) {
    let frame = Frame {
        kind: control.kind(),
        from: qrtr::Address::control(Node(DSP_NODE)),
        to: qrtr::Address { node: BROADCAST, port: CONTROL_PORT },
        confirm: false,
    };
    deliver(router, &frame, &control.encode());
}

fn deliver(router: &mut Router, frame: &Frame, payload: &[u8]) {
    let mut bytes = [0; DATAGRAM];
    let len = frame.encode(payload, &mut bytes).expect("fits");
    router.incoming(&bytes[..len]);
}

fn data(router: &mut Router, port: u32, payload: &[u8], confirm: bool) {
    let to = qrtr::Address { node: Node(APP_NODE), port: Port(port) };
    let frame = Frame { kind: FrameKind::Data, from: there(REMOTE.port), to, confirm };
    deliver(router, &frame, payload);
}

fn pull(router: &mut Router, task: TaskId) -> Event {
    router.pull(task, |_| true).expect("a client")
}

/// Everything the node owes its neighbour.
fn owed(router: &mut Router) -> Vec<Control> {
    let mut bytes = [0; DATAGRAM];
    let mut all = Vec::new();
    while let Some(len) = router.next_control(&mut bytes) {
        let (frame, payload) = Frame::decode(&bytes[..len]).expect("well formed");
        assert_eq!(frame.from, qrtr::Address::control(Node(APP_NODE)));
        all.push(Control::decode(frame.kind, payload).expect("well formed"));
        assert!(all.len() < 32, "the node never stops talking");
    }
    all
}

/// A node with the broker's service announced; the port.
fn announced() -> (Router, u32) {
    let mut router = Router::new();
    router.link_up();
    let port = router.publish(BROKER, SERVICE, 1).expect("a port");
    owed(&mut router);
    (router, port)
}

fn ours(port: u32) -> Server {
    let at = qrtr::Address { node: Node(APP_NODE), port: Port(port) };
    Server { service: SERVICE, instance: 1, at }
}

#[test]
fn a_service_is_announced_once_when_the_link_is_up_and_anew_after_it_was_lost() {
    let mut router = Router::new();
    let port = router.publish(BROKER, SERVICE, 1).expect("a port");
    assert_eq!(owed(&mut router), []);
    router.link_up();
    assert_eq!(owed(&mut router), [Control::Hello, Control::NewServer(ours(port))]);
    assert_eq!(owed(&mut router), []);
    router.link_lost();
    assert_eq!(owed(&mut router), []);
    router.link_up();
    assert_eq!(owed(&mut router), [Control::Hello, Control::NewServer(ours(port))]);
}

#[test]
fn a_withdrawn_service_is_taken_back_and_its_port_takes_nothing_more() {
    let (mut router, port) = announced();
    router.withdraw(BROKER, port).expect("its port");
    data(&mut router, port, b"late", false);
    assert_eq!(router.status().dropped, 1);
    assert_eq!(owed(&mut router), [Control::DelServer(ours(port))]);
    assert_eq!(router.withdraw(BROKER, port), Err(DspLinkError::NotPortOwner));
    assert_ne!(router.publish(BROKER, SERVICE, 1), Ok(port), "ports are not soon reused");
}

#[test]
fn a_client_that_died_loses_its_services_and_its_datagrams() {
    let (mut router, port) = announced();
    data(&mut router, port, b"lost", false);
    router.client_died(BROKER);
    assert_eq!(owed(&mut router), [Control::DelServer(ours(port))]);
    assert_eq!(pull(&mut router, BROKER), Event::None);
}

#[test]
fn another_incarnation_inherits_nothing() {
    let (mut router, port) = announced();
    let reborn = TaskId::new(6, Generation(1));
    assert_eq!(pull(&mut router, reborn), Event::None);
    assert_eq!(owed(&mut router), [Control::DelServer(ours(port))]);
    let refused = router.outgoing(reborn, port, REMOTE).err();
    assert_eq!(refused, Some(DspLinkError::NotPortOwner));
}

/// Rule 9: this node's program can die without the broker; what the DSP had asked
/// at the broker's address still stands there.
#[test]
fn a_life_offers_its_service_at_one_address_over_any_link() {
    let again = TaskId::new(6, Generation(1));
    let mut router = Router::new();
    router.publish(BROKER, SERVICE, 1).expect("a port");
    let port = router.publish(again, SERVICE, 1).expect("a port");
    assert_eq!(Router::new().publish(again, SERVICE, 1), Ok(port));
    assert_ne!(router.publish(HIFFY, 5, 1), router.publish(TaskId::new(8, Generation(0)), 5, 1));
}

/// Link and broker can die together; then nobody tells the DSP that the old
/// service is gone, and the new one must not be taken for it.
#[test]
fn a_service_has_its_address_again_over_lives_of_the_link_and_another_over_lives_of_its_owner() {
    let port = |owner| Router::new().publish(owner, SERVICE, 1).expect("a port");
    let reborn = TaskId::new(6, Generation(1));
    assert_eq!(port(BROKER), port(BROKER));
    assert_ne!(port(BROKER), port(reborn));
}

#[test]
fn a_client_that_starts_late_learns_what_is_there() {
    let (mut router, _) = announced();
    control(&mut router, Control::NewServer(Server { service: 9, instance: 1, at: there(5) }));
    let up = Event::ServerUp { service: 9, instance: 1, at: Address { node: DSP_NODE, port: 5 } };
    assert_eq!(pull(&mut router, BROKER), up);
    assert_eq!(pull(&mut router, HIFFY), up);
    assert_eq!(pull(&mut router, HIFFY), Event::None);
}

#[test]
fn servers_and_clients_of_the_peer_come_and_go() {
    let (mut router, _) = announced();
    let server = Server { service: 9, instance: 1, at: there(5) };
    let at = Address { node: DSP_NODE, port: 5 };
    control(&mut router, Control::NewServer(server));
    control(&mut router, Control::NewServer(server));
    control(&mut router, Control::DelServer(server));
    control(&mut router, Control::NewServer(server));
    control(&mut router, Control::DelClient(there(5)));
    control(&mut router, Control::Bye(Node(DSP_NODE)));
    let up = Event::ServerUp { service: 9, instance: 1, at };
    let down = Event::ServerDown { service: 9, at };
    let news: Vec<_> = std::iter::from_fn(|| {
        let event = pull(&mut router, BROKER);
        (event != Event::None).then_some(event)
    })
    .collect();
    let gone = Event::NodeGone { node: DSP_NODE };
    assert_eq!(news, [up, down, up, down, Event::ClientGone(at), gone]);
}

#[test]
fn a_lost_link_is_the_node_gone() {
    let (mut router, _) = announced();
    control(&mut router, Control::NewServer(Server { service: 9, instance: 1, at: there(5) }));
    pull(&mut router, BROKER);
    router.link_lost();
    assert_eq!(pull(&mut router, BROKER), Event::NodeGone { node: DSP_NODE });
    assert_eq!(pull(&mut router, HIFFY), Event::None, "its services are forgotten");
}

#[test]
fn a_lookup_is_answered_with_what_matches_and_an_end() {
    let (mut router, port) = announced();
    router.publish(BROKER, 5, 1).expect("a port");
    owed(&mut router);
    let wanted = Server { service: SERVICE, ..Server::default() };
    control(&mut router, Control::NewLookup(wanted));
    let listing = [Control::NewServer(ours(port)), Control::NewServer(Server::default())];
    assert_eq!(owed(&mut router), listing);
    control(&mut router, Control::Hello);
    assert_eq!(owed(&mut router).len(), 2, "a hello is answered with everything");
}

#[test]
fn confirmed_data_is_confirmed_when_the_client_took_it() {
    let (mut router, port) = announced();
    data(&mut router, port, b"slowly", true);
    assert_eq!(owed(&mut router), []);
    pull(&mut router, BROKER);
    assert_eq!(owed(&mut router), [Control::ResumeTx(ours(port).at)]);
}

#[test]
fn a_datagram_comes_with_its_sender_its_port_and_its_bytes() {
    let (mut router, port) = announced();
    data(&mut router, port, b"hello", false);
    assert_eq!(router.take_hints().collect::<Vec<_>>(), [BROKER]);
    assert_eq!(router.take_hints().count(), 0);
    let mut bytes = Vec::new();
    let event = router.pull(BROKER, |datagram| {
        bytes.extend_from_slice(datagram);
        true
    });
    assert_eq!(event, Ok(Event::Datagram { from: REMOTE, port, length: 5 }));
    assert_eq!(bytes, b"hello");
    data(&mut router, port, b"too long for its lease", false);
    assert_eq!(router.pull(BROKER, |_| false), Err(DspLinkError::Truncated));
    assert_eq!((router.status().received, router.status().dropped), (1, 1));
}

/// R27: one client that does not pull loses its datagrams, and nobody else's.
#[test]
fn a_flood_is_bounded_per_client_and_counted() {
    let (mut router, port) = announced();
    let other = router.publish(HIFFY, 5, 1).expect("a port");
    for _ in 0..100 {
        data(&mut router, port, b"flood", false);
    }
    data(&mut router, other, b"seen", false);
    assert_eq!(router.status().dropped, 93);
    assert!(matches!(pull(&mut router, HIFFY), Event::Datagram { .. }));
}

#[test]
fn a_flood_of_control_news_ends_in_a_node_gone_and_what_is_there_now() {
    let (mut router, _) = announced();
    let server = Server { service: 9, instance: 1, at: there(5) };
    for _ in 0..12 {
        control(&mut router, Control::NewServer(server));
        control(&mut router, Control::DelServer(server));
    }
    control(&mut router, Control::NewServer(server));
    assert_eq!(pull(&mut router, BROKER), Event::NodeGone { node: DSP_NODE });
    assert!(matches!(pull(&mut router, BROKER), Event::ServerUp { service: 9, .. }));
    assert_eq!(pull(&mut router, BROKER), Event::None);
}

#[test]
fn the_neighbour_speaks_for_its_own_node_only() {
    let (mut router, port) = announced();
    let foreign = qrtr::Address { node: Node(APP_NODE), port: Port(port) };
    control(&mut router, Control::Bye(Node(APP_NODE)));
    control(&mut router, Control::DelClient(foreign));
    control(&mut router, Control::NewServer(Server { at: foreign, ..ours(port) }));
    control(&mut router, Control::DelServer(Server { at: foreign, ..ours(port) }));
    control(&mut router, Control::Exit);
    let spoofed = Frame {
        kind: FrameKind::Data,
        from: qrtr::Address { node: Node(9), port: Port(1) },
        to: foreign,
        confirm: false,
    };
    deliver(&mut router, &spoofed, b"x");
    let astray =
        Frame { from: there(1), to: qrtr::Address { node: Node(9), port: Port(1) }, ..spoofed };
    deliver(&mut router, &astray, b"x");
    router.incoming(b"not a frame");
    data(&mut router, port + 1, b"no such port", false);
    assert_eq!(router.status().dropped, 9);
    assert_eq!((pull(&mut router, BROKER), owed(&mut router)), (Event::None, vec![]));
}

#[test]
fn what_a_client_may_not_do_has_its_own_code() {
    let (mut router, port) = announced();
    let elsewhere = Address { node: 9, port: 1 };
    assert_eq!(router.outgoing(HIFFY, port, REMOTE).err(), Some(DspLinkError::NotPortOwner));
    assert_eq!(router.outgoing(BROKER, port, elsewhere).err(), Some(DspLinkError::NoNode));
    assert!(router.outgoing(BROKER, port, REMOTE).is_ok());
    router.link_lost();
    assert_eq!(router.outgoing(BROKER, port, REMOTE).err(), Some(DspLinkError::Down));
    for _ in 1..8 {
        router.publish(HIFFY, 5, 1).expect("a port");
    }
    assert_eq!(router.publish(HIFFY, 5, 1), Err(DspLinkError::NoPorts));
}

#[test]
fn who_found_the_mailbox_full_is_told_of_room_once() {
    let (mut router, _) = announced();
    router.room();
    assert_eq!(pull(&mut router, BROKER), Event::None);
    router.refused_full(BROKER);
    router.room();
    router.room();
    assert_eq!(pull(&mut router, BROKER), Event::Room);
    assert_eq!(pull(&mut router, BROKER), Event::None);
}

proptest! {
    #[test]
    fn no_frame_makes_the_node_panic_or_talk_without_end(
        frames in proptest::collection::vec(
            (0_u32..13, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..24), 0_u32..12),
            0..60,
        )
    ) {
        let (mut router, port) = announced();
        for (kind, aimed, mut payload, word) in frames {
            if payload.len() >= 4 && aimed {
                payload[..4].copy_from_slice(&kind.to_le_bytes());
            }
            let mut bytes = Vec::new();
            let to = if aimed { port } else { word };
            let len = payload.len() as u32;
            for field in [1, kind, DSP_NODE, word, word & 1, len, APP_NODE, to] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.extend(payload);
            router.incoming(&bytes);
            prop_assert!(owed(&mut router).len() <= 8);
        }
        let mut pulled = 0;
        while pull(&mut router, BROKER) != Event::None {
            pulled += 1;
            prop_assert!(pulled <= 24);
        }
    }
}
