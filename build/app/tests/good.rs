//! The project's own app.toml, as the rest of the build reads it.

use app::{App, Bit, Dialect, MonitorAccess, Owner, TaskIndex};
use dsp_abi::{bell, mailbox, media};
use std::path::Path;

fn image() -> App {
    image_of("app.toml")
}

fn image_of(name: &str) -> App {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    App::load(&path).unwrap_or_else(|refusals| panic!("{refusals}"))
}

fn index(app: &App, name: &str) -> TaskIndex {
    app.index(name).unwrap_or_else(|| panic!("no task {name}"))
}

#[test]
fn index_order_is_priority_order_with_the_supervisor_first() {
    let app = image();
    let names: Vec<&str> = app.tasks.iter().map(|task| task.name.as_str()).collect();
    let expected = [
        "jefe",
        "iommu",
        "dsp_link",
        "xhci",
        "usb_core",
        "usb_audio",
        "offload_broker",
        "player",
        "power",
    ];
    assert_eq!(names, expected);
    assert!(app.tasks.is_sorted_by_key(|task| task.priority));
}

#[test]
fn send_masks_are_the_slots_and_everyone_has_the_supervisor() {
    let app = image();
    let mask = |name: &str| app.send_mask(index(&app, name));
    let bit = |name: &str| 1 << index(&app, name).0;
    assert_eq!(mask("jefe"), 0);
    assert_eq!(mask("xhci"), bit("jefe") | bit("iommu"));
    assert_eq!(mask("player"), bit("jefe") | bit("offload_broker") | bit("usb_audio"));
    // Whether or not it names the supervisor.
    assert_eq!(app.task(index(&app, "player")).slot("jefe"), Some(TaskIndex(0)));
}

#[test]
fn post_bits_go_up_the_edges_and_from_the_supervisor() {
    let app = image();
    let (xhci, core) = (index(&app, "xhci"), index(&app, "usb_core"));
    assert_eq!(app.post_bits(xhci, core), Bit(0).mask());
    assert_eq!(app.post_bits(core, xhci), 0);
    let told = app.task(core).notification("peer_changed").unwrap();
    assert_eq!(app.post_bits(TaskIndex(0), core), told);
    let one_bit = |from| app.indexed().all(|(to, _)| app.post_bits(from, to).count_ones() <= 1);
    assert!(app.indexed().all(|(from, _)| one_bit(from)));
}

#[test]
fn neighbours_are_both_ends_of_each_edge() {
    let app = image();
    let of = |name: &str| -> Vec<&str> {
        let neighbours = app.neighbours(index(&app, name));
        neighbours.iter().map(|&task| app.task(task).name.as_str()).collect()
    };
    assert_eq!(of("xhci"), ["iommu", "usb_core", "offload_broker"]);
    assert_eq!(of("dsp_link"), ["offload_broker"]);
    assert!(of("jefe").is_empty());
}

#[test]
fn interrupts_have_the_numbers_that_both_cores_know() {
    let app = image();
    let number = |task: &str, name: &str| {
        let interrupts = &app.task(index(&app, task)).interrupts;
        interrupts.iter().find(|interrupt| interrupt.name == name).unwrap().intid.0
    };
    assert_eq!(number("xhci", "xhci0.primary"), bell::CONTROLLER0_PRIMARY);
    assert_eq!(number("xhci", "gicv2m.gate0_to_app"), bell::GATE0_TO_APP);
    assert_eq!(number("dsp_link", "gicv2m.mail_to_app"), bell::MAIL_TO_APP);
    assert_eq!(number("iommu", "gicv2m.tlb_to_app"), bell::TLB_TO_APP);
    assert_eq!(number("offload_broker", "gicv2m.notice"), bell::NOTICE);
    assert_eq!(number("player", "gicv2m.player"), bell::PLAYER);
    assert_eq!(number("power", "gicv2m.suspend"), bell::SUSPEND);
    assert_eq!(number("power", "gicv2m.hibernate"), bell::HIBERNATE);
    assert_eq!(number("power", "gicv2m.resume"), bell::RESUME);
    let chip = |peripheral: &str, name: &str| {
        let interrupts = &app.peripheral(peripheral).unwrap().interrupts;
        interrupts.iter().find(|(known, _)| known == name).unwrap().1.0
    };
    assert_eq!(chip("gicv2m", "mail_to_dsp"), bell::MAIL_TO_DSP);
    assert_eq!(chip("gicv2m", "gate_to_dsp"), bell::GATE_TO_DSP);
    assert_eq!(chip("gicv2m", "tlb_to_dsp"), bell::TLB_TO_DSP);
    assert_eq!(chip("gicv2m", "gate1_to_app"), bell::GATE1_TO_APP);
    assert_eq!(chip("xhci0", "dsp_first"), bell::CONTROLLER0_DSP);
    assert_eq!(chip("xhci1", "primary"), bell::CONTROLLER1_PRIMARY);
    assert_eq!(chip("xhci1", "dsp_first"), bell::CONTROLLER1_DSP);
}

#[test]
fn no_message_has_the_number_of_a_wire() {
    let app = image();
    let wires: Vec<u16> =
        app.peripheral("smmu").unwrap().interrupts.iter().map(|(_, id)| id.0).collect();
    for name in ["gicv2m", "xhci0", "xhci1"] {
        for (interrupt, intid) in &app.peripheral(name).unwrap().interrupts {
            assert!(!wires.contains(&intid.0) && (80..144).contains(&intid.0), "{interrupt}");
        }
    }
}

#[test]
fn pools_hold_what_their_layouts_need() {
    let app = image();
    let pages = |name: &str| app.pool(name).unwrap().pages;
    assert!(pages("mailbox") > u32::from(mailbox::DSP_PAGE));
    let minute = 60 * 48_000 * 2 * 4;
    assert!(pages("media") * addr::PAGE >= media::PCM + minute);
    assert_eq!(app.pool("media").unwrap().base.0 % (1 << 20), 0, "mapped by sections for the DSP");
    assert_eq!(app.pool("answers").unwrap().owner, Owner::Monitor);
    assert_eq!(app.pool("gate").unwrap().monitor, MonitorAccess::Read);
    let numbers: Vec<u8> = app.pools.iter().map(|pool| pool.id.0).collect();
    assert_eq!(numbers, (0..app.pools.len() as u8).collect::<Vec<_>>());
}

/// R21: the controllers, each with what is its own.
#[test]
fn r21_two_controllers_have_drivers_registers_vectors_and_pools_of_their_own() {
    let one = image();
    assert_eq!(one.controllers().len(), 1);
    let two = image_of("app-two.toml");
    let controllers = two.controllers();
    let parts: Vec<_> = controllers
        .iter()
        .map(|it| {
            let pools = [it.contexts, it.rings, it.gate].map(|pool| pool.name.as_str());
            (it.number, it.stream, two.task(it.driver).name.as_str(), pools)
        })
        .collect();
    let expected = [
        (0, 0x10, "xhci", ["dma_xhci", "dma_ring", "gate"]),
        (1, 0x18, "xhci1", ["dma_xhci1", "dma_ring1", "gate1"]),
    ];
    assert_eq!(parts, expected);
    let vectors: Vec<_> = controllers.iter().map(|it| (it.primary.0, it.dsp_first.0)).collect();
    let expected = [
        (bell::CONTROLLER0_PRIMARY, bell::CONTROLLER0_DSP),
        (bell::CONTROLLER1_PRIMARY, bell::CONTROLLER1_DSP),
    ];
    assert_eq!(vectors, expected);
    // The RIDs of 00:02.0 and 00:03.0, whose configuration spaces these are.
    for (it, device) in controllers.iter().zip([2, 3]) {
        assert_eq!(it.stream, device << 3);
        assert_eq!(it.function.address.0, 0x3f00_0000 + (u64::from(device) << 15));
        for pool in [it.contexts, it.rings, it.gate] {
            assert_eq!(pool.owner, Owner::Task(it.driver), "{}", pool.name);
        }
        assert_eq!(it.gate.monitor, MonitorAccess::Read);
        assert_eq!(it.rings.monitor, MonitorAccess::Write);
        for client in ["usb_core", "offload_broker"] {
            let client = index(&two, client);
            let hint = two.task(client).notification("xhci").unwrap();
            assert_eq!(two.post_bits(it.driver, client), hint);
        }
    }
    // Else it is the same image.
    let names = |app: &App| app.tasks.iter().map(|task| task.name.clone()).collect::<Vec<_>>();
    let others: Vec<_> = names(&two).into_iter().filter(|name| name != "xhci1").collect();
    assert_eq!(others, names(&one));
}

#[test]
fn the_image_refuses_with_the_status_that_fits() {
    let app = image();
    assert_eq!(app.dialect, Dialect::Precise);
}

#[test]
fn the_image_with_hubs_is_the_same_with_a_feature_of_two_tasks() {
    let release = image();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../app-hubs.toml");
    let hubs = App::load(&path).unwrap_or_else(|refusals| panic!("{refusals}"));
    assert_eq!(hubs.name, "sotto-hubs");
    assert_eq!(hubs.pools, release.pools);
    for (task, plain) in hubs.tasks.iter().zip(&release.tasks) {
        let has_hubs = task.features.iter().any(|feature| feature == "hubs");
        assert_eq!(has_hubs, ["xhci", "usb_core"].contains(&task.name.as_str()), "{}", task.name);
        assert_eq!((&task.name, task.stack), (&plain.name, plain.stack));
        assert!(plain.features.is_empty(), "{}", task.name);
    }
}

#[test]
fn the_debug_image_is_the_same_with_hiffy_above_it_all() {
    let release = image();
    let debug = image_of("app-debug.toml");
    assert_eq!(release.index("hiffy"), None);
    let [others @ .., hiffy, bridge] = debug.tasks.as_slice() else { panic!("two tasks more") };
    assert_eq!((hiffy.name.as_str(), bridge.name.as_str()), ("hiffy", "udprpc"));
    // What is only answered for does not run.
    assert!(hiffy.start && !bridge.start);
    assert_eq!(debug.name, "sotto-debug");
    let names =
        |tasks: &[app::Task]| tasks.iter().map(|task| task.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(others), names(&release.tasks));
    assert_eq!(debug.pools, release.pools);
    assert_eq!(hiffy.interrupts[0].intid.0, bell::HIFFY);
    // Whoever reads the archive reads one file.
    assert!(debug.text.parse::<toml::Table>().expect("TOML")["tasks"].get("player").is_some());
}
