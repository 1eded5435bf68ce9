//! Nothing a device can write makes the parser panic or run on.
//!
//! Every truncation of every dump, and random changes to them: the walk ends,
//! stays inside the blob, and reports no more than the blob has room for.

use crate::dump::dumps;
use proptest::prelude::*;
use usb_desc::uac::select::{Wanted, select};
use usb_desc::uac::{Audio, SampleFormat};
use usb_desc::{Config, Device, Hub};
use usb_types::Speed;

const SPEEDS: [Speed; 5] = [Speed::Low, Speed::Full, Speed::High, Speed::Super, Speed::SuperPlus];

/// Reads `bytes` in every way there is, and checks what holds for any input.
fn read(bytes: &[u8], speed: Speed) {
    let _ = Hub::parse(bytes);
    let _ = Device::control_packet(bytes, speed);
    let Ok(config) = Config::parse(bytes, speed) else {
        return;
    };
    // A descriptor has two bytes at least, and causes eight issues at most.
    let bound = bytes.len() * 4 + 8;
    assert!(config.settings().take(bound + 1).count() <= bound);
    for setting in config.settings().filter_map(Result::ok) {
        assert!(setting.offset < bytes.len());
        for endpoint in setting.endpoints.iter() {
            assert_ne!(endpoint.address.number(), 0);
            assert_eq!(endpoint.address.0 & 0x70, 0);
        }
    }
    let mut issues = 0;
    let audio = Audio::parse(&config, &mut |issue| {
        assert!(issue.offset <= bytes.len());
        issues += 1;
    });
    assert!(issues <= bound * 2, "{issues}");
    let wanted =
        Wanted { format: SampleFormat::S16Le, channels: 2, rate: 48_000, interval_us: None };
    for (place, _) in (0..).zip(audio.streams.iter()) {
        assert_ne!(audio.alternates_of(place).count(), 0);
        let _ = select(audio.alternates_of(place), speed, &wanted);
    }
}

#[test]
fn no_truncation_of_any_dump_panics() {
    for dump in dumps("").into_iter().chain(dumps("malformed")) {
        for bytes in &dump.configurations {
            for length in 0..bytes.len() {
                read(&bytes[..length], Speed::High);
            }
        }
        let device = dump.device.unwrap_or_default();
        for length in 0..device.len() {
            assert!(Device::parse(&device[..length]).is_err());
            read(&device[..length], Speed::Full);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_change_of_bytes_panics_or_runs_on(
        which in any::<prop::sample::Index>(),
        speed in prop::sample::select(&SPEEDS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
    ) {
        thread_local! {
            static BLOBS: Vec<Vec<u8>> =
                dumps("").into_iter().flat_map(|dump| dump.configurations).collect();
        }
        let mut bytes = BLOBS.with(|blobs| which.get(blobs).clone());
        for (place, value) in changes {
            *place.get_mut(&mut bytes) = value;
        }
        read(&bytes, speed);
    }

    #[test]
    fn no_random_bytes_panic_or_run_on(
        body in prop::collection::vec(any::<u8>(), 0..600),
        speed in prop::sample::select(&SPEEDS[..]),
    ) {
        read(&body, speed);
        let mut blob = vec![9, 2, 0xff, 0xff, 0xff, 1, 0, 0x80, 50, 9, 4, 0, 0, 0, 1, 1, 0, 0];
        blob.extend(body);
        read(&blob, speed);
    }
}
