//! What a client is told when its server dies over a question, and what servers
//! refuse that only a whole machine can bring them to.

use abi::TaskId;
use dsp_link_api::{Address, DspLink, DspLinkError};
use fabric::Time;
use host::{Bare, Host, Image, Outcome, Task};
use iommu_api::{Iommu, IommuError};
use jefe::{Backoff, Config};
use jefe_api::{Jefe, JefeError};
use offload_broker_api::{BrokerError, OffloadBroker, RouteRequest};
use std::cell::RefCell;
use std::rc::Rc;
use system::auditor::OFFLOAD_BROKER;
use system::image::Description;
use system::scene::{Beginning, Port, Scene};
use usb_audio_api::{SampleFormat, UsbAudio, UsbAudioError};
use usb_core_api::{UsbCore, UsbCoreError};
use usb_model::headset::Model;
use usb_types::Direction;
use userlib::task_slot;
use xhc::Personality;
use xhci_api::{Xhci, XhciError};

task_slot!(MORTAL, mortal);
task_slot!(DSP_LINK, dsp_link);

/// How long anything may take.
const LIMIT: Time = Time::ms(4_000);

/// R18: whatever is asked of a server that dies over it is answered with the
/// interface's own code for that.
#[test]
fn a_server_that_dies_over_a_question_has_its_code_in_each_interface() {
    let supervisor = Task::new("jefe", || {
        jefe::main(&Config {
            neighbours: &[0; 3],
            fault: abi::FAULT_NOTIFICATION,
            backoff: Backoff { first: 1, longest: 1, quiet: 1000 },
            keep: |_| {},
        })
    });
    let mortal = Task::new("mortal", || {
        let _ = userlib::sys_recv_open(&mut [0; 64], 0);
        panic!("asked to death");
    });
    let answers = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&answers);
    let asker = Task::new("asker", move || {
        let server = || -> TaskId {
            // Until it is back.
            userlib::hl::sleep_for(10);
            userlib::sys_refresh_task_id(MORTAL.get_task_id())
        };
        let link = DspLink::from(server()).status().err() == Some(DspLinkError::ServerDied);
        let iommu = Iommu::from(server()).open_window(0).err() == Some(IommuError::ServerDied);
        let jefe = Jefe::from(server()).record(1).err() == Some(JefeError::ServerDied);
        let broker = OffloadBroker::from(server()).session(0).err();
        let audio = UsbAudio::from(server()).pull().err() == Some(UsbAudioError::ServerDied);
        let core = UsbCore::from(server()).pull().err() == Some(UsbCoreError::ServerDied);
        let xhci = Xhci::from(server()).pull().err() == Some(XhciError::ServerDied);
        let broker = broker == Some(BrokerError::ServerDied);
        told.borrow_mut().push([link, iommu, jefe, broker, audio, core, xhci]);
        userlib::hl::sleep_for(10_000);
    })
    .slot("mortal", 1);
    let mut host = Host::new(Image::new(vec![supervisor, mortal, asker]), Bare::new(1));
    assert_eq!(host.run_until(host::Time::from_millis(500)), Outcome::Time);
    assert_eq!(*answers.borrow(), [[true; 7]]);
    let faults = host.stats().tasks[1].faults;
    assert!(faults >= 7, "each question cost a life: {faults}");
}

/// A machine with a headset and a DSP that both await a route.
fn ready() -> Scene {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app.toml");
    let description = Description::load(path.as_ref()).expect("the image keeps every rule");
    let personality = Personality::seeded(3);
    let port = Port { controller: 0, port: personality.usb2_port(0).expect("a USB 2 port") };
    let beginning = Beginning { description, personality, room: 0, deeds: Vec::new(), seed: 3 };
    let mut scene = Scene::power_on(beginning, |_| {});
    scene.plug(port, Model::Sync, 3);
    scene.run_for(Time::ms(1_000));
    scene
}

const ROUTE: RouteRequest = RouteRequest {
    direction: Direction::Out,
    rate: 48_000,
    format: SampleFormat::S16Le as u8,
    channels: 2,
    frames: 4_800,
    buffer_us: 96_000,
};

fn broker() -> OffloadBroker {
    OffloadBroker::from(OFFLOAD_BROKER.get_task_id())
}

/// R18: a mailbox that the DSP does not empty is full for the link's clients, and
/// for the broker's.
#[test]
fn a_mailbox_that_nobody_empties_is_full() {
    let mut scene = ready();
    scene.starve_program(Time::ms(2_000));
    let (sent, refused, route) = scene
        .visit(LIMIT, || {
            let link = DspLink::from(DSP_LINK.get_task_id());
            let port = link.publish(0x77, 1).expect("a port");
            let to = Address { node: dsp_abi::mailbox::DSP_NODE, port: 9 };
            let send = || link.send(port, to, &[7; dsp_link_api::MAX_PAYLOAD]);
            let mut sent = 0;
            let refused = loop {
                match send() {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            (sent, refused, broker().start_route(ROUTE))
        })
        .expect("both answer");
    assert_eq!((refused, route), (DspLinkError::Full, Err(BrokerError::LinkFull)));
    assert!(sent > 0, "there was room before");
    // Once the DSP looks again there is a route.
    scene.run_for(Time::ms(2_500));
    let route = scene.visit(LIMIT, || broker().start_route(ROUTE)).expect("it answers");
    assert!(route.is_ok(), "{route:?}");
}

/// R18: what the backend could do and the device cannot, and a place that no table
/// of sessions has.
#[test]
fn what_the_device_cannot_do_and_what_is_no_session_have_their_codes() {
    let mut scene = ready();
    let request = RouteRequest { rate: 192_000, ..ROUTE };
    let refused = scene.visit(LIMIT, move || broker().start_route(request));
    assert_eq!(refused, Some(Err(BrokerError::DeviceFormat)));
    let places = dsp_abi::SESSIONS as u8;
    let asked = scene
        .visit(LIMIT, move || [broker().session(places - 1).err(), broker().session(places).err()]);
    assert_eq!(asked, Some([None, Some(BrokerError::NoSession)]));
}
