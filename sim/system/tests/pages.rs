//! Pages of the pools: in use or nobody's, and what becomes of a run in which
//! that is not kept.

use addr::{PAGE, Phys};
use dsp_abi::media::Path;
use fabric::{Core, Owner, Time, Violation};
use system::image::Description;
use system::piece::piece;
use system::scene::{Beginning, Port, Scene};
use usb_model::headset::Model;
use xhc::Personality;

/// A machine with a headset that plays.
fn playing(description: &'static Description, seed: u64) -> Scene {
    let personality = Personality::seeded(seed);
    let port = Port { controller: 0, port: personality.usb2_port(0).expect("a USB 2 port") };
    let sound = piece(48_000, 48_000);
    let beginning =
        Beginning { description, personality, room: sound.pcm.len(), deeds: Vec::new(), seed };
    let mut scene = Scene::power_on(beginning, |_| {});
    scene.plug(port, Model::Sync, seed);
    scene.order(&sound, Path::Offload);
    while scene.packets() < 100 {
        scene.run_for(Time::ms(10));
        assert_eq!(scene.ended(), None, "seed {seed}");
    }
    scene
}

fn image() -> &'static Description {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app.toml");
    Description::load(path.as_ref()).expect("the image keeps every rule")
}

/// Pages of a pool that are in use.
fn in_use(scene: &Scene, description: &Description, pool: &str) -> Vec<Phys> {
    let pool = description.pool(pool);
    let memory = &scene.machine.board().parts.fabric.memory;
    let page = |n: u32| pool.base.plus(u64::from(n) * u64::from(PAGE));
    (0..pool.pages).map(page).filter(|&page| memory.owner(page) != Some(Owner::Nobody)).collect()
}

#[test]
fn pages_are_in_use_while_a_stream_needs_them_and_only_then() {
    let description = image();
    for seed in 0..8 {
        let mut scene = playing(description, seed);
        assert!(!in_use(&scene, description, "dma_media").is_empty());
        let rings = in_use(&scene, description, "dma_ring").len();
        scene.run_for(Time::ms(2_500));
        assert_eq!(in_use(&scene, description, "dma_media"), []);
        // Its event ring, and the ring that it published with its shadow.
        let left = in_use(&scene, description, "dma_ring").len();
        assert!(left + 3 <= rings, "seed {seed}: {rings} while it played, then {left}");
        let bounce = in_use(&scene, description, "dma_xhci").len();
        assert!(bounce < description.pool("dma_xhci").pages as usize);
        assert_eq!(scene.machine.board().parts.fabric.violations.total(), 0);
    }
}

#[test]
fn a_buffer_freed_while_the_controller_plays_it_ends_the_run_at_once() {
    let description = image();
    let mut scene = playing(description, 3);
    for page in in_use(&scene, description, "dma_media") {
        scene.machine.board_mut().parts.fabric.take_back(Core::App, page, 1);
    }
    let freed_at = scene.now();
    scene.run_for(Time::ms(500));
    let (at, violation) = scene.ended().expect("the run ended");
    assert!(
        matches!(
            violation,
            Violation::DmaToFreedPage { .. } | Violation::CoreTouchedFreedPage { .. }
        ),
        "{violation:?}"
    );
    assert!(at.since(freed_at) < Time::ms(100), "{:?}", at.since(freed_at));
    // Time stands still from then on.
    let stood = scene.now();
    assert!(stood.since(at) < Time::ms(1));
    scene.run_for(Time::ms(500));
    assert_eq!(scene.now(), stood);
}

#[test]
fn a_page_of_another_controllers_is_foreign() {
    let description = image();
    let mut scene = playing(description, 4);
    for page in in_use(&scene, description, "dma_ring") {
        let stream = fabric::StreamId(0x7F);
        scene.machine.board_mut().parts.give(page, 1, Owner::Stream(stream));
    }
    scene.run_for(Time::ms(500));
    let (_, violation) = scene.ended().expect("the run ended");
    assert!(matches!(violation, Violation::DmaToForeignPage { .. }), "{violation:?}");
}
