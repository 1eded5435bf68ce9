//! What a device says of itself.

use usb_desc::uac::select::{Wanted, select};
use usb_desc::uac::{Audio, SampleFormat};
use usb_desc::{Config, Device, Hub};
use usb_types::Speed;

const SPEEDS: [Speed; 5] = [Speed::Low, Speed::Full, Speed::High, Speed::Super, Speed::SuperPlus];

/// The first byte is the speed; the rest is read in every way there is. The
/// walk ends, stays inside, and reports no more than there is room for.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&speed, bytes)) = bytes.split_first() else { return };
    let speed = SPEEDS[usize::from(speed) % SPEEDS.len()];
    let _ = Hub::parse(bytes);
    let _ = Device::parse(bytes);
    let _ = Device::control_packet(bytes, speed);
    let Ok(config) = Config::parse(bytes, speed) else { return };
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
    for format in [SampleFormat::S16Le, SampleFormat::S24In3Le] {
        let wanted = Wanted { format, channels: 2, rate: 48_000, interval_us: None };
        for (place, _) in (0..).zip(audio.streams.iter()) {
            assert_ne!(audio.alternates_of(place).count(), 0);
            let _ = select(audio.alternates_of(place), speed, &wanted);
        }
    }
}
