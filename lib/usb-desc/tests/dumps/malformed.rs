//! Broken descriptors: each file with the verdict it has to get.
//!
//! A verdict is what was refused, what was reported, and which streams remain.
//! The mutations behind the dumps of real devices follow in `hostile.rs`.

use crate::dump::dumps;
use usb_desc::uac::Audio;
use usb_desc::{Config, Issue, Rule};
use usb_types::Speed;

/// What is left of a blob: the refusal of the whole, or issues with their
/// offsets and streams as (interface, alternate, endpoint, interval).
#[derive(Debug, PartialEq)]
enum Verdict {
    Refused(Rule, usize),
    Read { issues: Vec<(Rule, usize)>, streams: Vec<(u8, u8, u8, u8)> },
}

fn verdict(bytes: &[u8], speed: Speed) -> Verdict {
    let config = match Config::parse(bytes, speed) {
        Ok(config) => config,
        Err(issue) => return Verdict::Refused(issue.rule, issue.offset),
    };
    let mut issues = Vec::new();
    let audio = Audio::parse(&config, &mut |issue: Issue| issues.push((issue.rule, issue.offset)));
    let streams = audio.alternates.iter().map(|alternate| {
        let (interface, data) = (alternate.interface, alternate.data);
        (interface.number().0, interface.alternate().0, data.address.0, data.interval)
    });
    Verdict::Read { issues, streams: streams.collect() }
}

const PLAY: (u8, u8, u8, u8) = (1, 1, 0x01, 1);
const CAPTURE: (u8, u8, u8, u8) = (2, 1, 0x81, 1);

fn read(issues: &[(Rule, usize)], streams: &[(u8, u8, u8, u8)]) -> Verdict {
    Verdict::Read { issues: issues.to_vec(), streams: streams.to_vec() }
}

/// The verdicts. The files whose names speak of channels, subframes and rates
/// in fact change an input terminal, which a stream does not depend on; the
/// same faults in FORMAT_TYPE are below.
fn expected(name: &str) -> Verdict {
    use Rule::*;
    match name {
        "empty" => Verdict::Refused(Empty, 0),
        "random_ff" => Verdict::Refused(RunsPastEnd, 0),
        "zeros" => Verdict::Refused(LengthZero, 0),
        "uac1_trunc_9" => Verdict::Refused(NoInterface, 0),
        "uac1_trunc_mid" => read(
            &[(TotalLengthShort, 0), (EndpointCount, 106), (RunsPastEnd, 115), (InterfaceCount, 0)],
            &[],
        ),
        "uac1_total_too_small" => read(
            &[
                (TotalLengthExcess, 0),
                (RunsPastEnd, 18),
                (AudioHeaderMissing, 9),
                (InterfaceCount, 0),
            ],
            &[],
        ),
        "uac1_blen0" => read(&[(LengthZero, 28), (AudioTotalLength, 18), (InterfaceCount, 0)], &[]),
        "uac1_blen255" => {
            read(&[(EndpointCount, 167), (RunsPastEnd, 183), (InterfaceCount, 0)], &[PLAY])
        }
        // What remains of interface 1 is its feedback endpoint, and nobody
        // may take that for a stream.
        "uac1_ep0" => {
            read(&[(EndpointZero, 133), (EndpointCount, 106), (DataPacketSmall, 106)], &[CAPTURE])
        }
        "uac1_interval0" | "uac1_interval17" => {
            read(&[(IntervalRange, 133)], &[(1, 1, 0x01, 7), CAPTURE])
        }
        "uac1_fu_self_loop" => read(&[(UnitSource, 70)], &[PLAY, CAPTURE]),
        "uac1_ot_bad_source" => read(&[(UnitSource, 52)], &[PLAY, CAPTURE]),
        "uac1_bad_ifnum" => {
            read(&[(BadInterfaceNumber, 210), (InterfaceCount, 0)], &[PLAY, CAPTURE])
        }
        "uac1_nep9" => read(&[(EndpointCount, 97)], &[PLAY, CAPTURE]),
        "uac1_channels0" => read(&[], &[PLAY, CAPTURE]),
        "uac1_subframe0" => read(&[(TerminalType, 40)], &[PLAY, CAPTURE]),
        "uac1_rates_200" => read(&[(TerminalChannels, 40)], &[PLAY, CAPTURE]),
        "uac2_trunc_mid" => read(
            &[
                (TotalLengthShort, 0),
                (Uac2NotSupported, 17),
                (EndpointCount, 107),
                (RunsPastEnd, 138),
                (InterfaceCount, 0),
            ],
            &[],
        ),
        "uac2_total_too_big" => read(&[(TotalLengthShort, 0), (Uac2NotSupported, 17)], &[]),
        "uac2_blen0" | "uac2_blen1" => {
            read(&[(LengthZero, 35), (Uac2NotSupported, 17), (InterfaceCount, 0)], &[])
        }
        "uac2_bulk_data" => read(&[(Uac2NotSupported, 17), (PacketSize, 138)], &[]),
        "uac2_ep0" => {
            read(&[(Uac2NotSupported, 17), (EndpointZero, 138), (EndpointCount, 107)], &[])
        }
        "uac2_interval17" => read(&[(Uac2NotSupported, 17), (IntervalRange, 138)], &[]),
        "uac2_nep9" => read(&[(Uac2NotSupported, 17), (EndpointCount, 98)], &[]),
        "uac2_bad_termlink" | "uac2_clock_id0" | "uac2_mps0" | "uac2_ot_bad_source" => {
            read(&[(Uac2NotSupported, 17)], &[])
        }
        other => panic!("no verdict for {other}"),
    }
}

#[test]
fn each_malformed_blob_gets_its_verdict() {
    let dumps = dumps("malformed");
    assert_eq!(dumps.len(), 30);
    for dump in dumps {
        let found = verdict(&dump.configurations[0], Speed::High);
        assert_eq!(found, expected(&dump.name), "{}", dump.name);
    }
}

/// A UAC1 headset at full speed: its playback alternate, interface 1.1, is at
/// 106 with AS_GENERAL at 115, FORMAT_TYPE at 122, endpoints at 133 and 149.
fn headset() -> Vec<u8> {
    let dump = dumps("").into_iter().find(|dump| dump.name.starts_with("046d_0a38")).unwrap();
    dump.configurations[0].clone()
}

/// The headset with `bytes` at `offset`.
fn changed(offset: usize, bytes: &[u8]) -> Verdict {
    let mut blob = headset();
    blob[offset..offset + bytes.len()].copy_from_slice(bytes);
    verdict(&blob, Speed::Full)
}

/// A1, A4, A7, A9: one change in the playback alternate, one verdict; the
/// capture alternate is not touched by any.
#[test]
fn each_fault_of_a_streaming_alternate_has_its_code() {
    use Rule::*;
    let lost: &[(usize, &[u8], (Rule, usize))] = &[
        (117, &[9], (GeneralMissing, 106)),
        (124, &[9], (FormatMissing, 106)),
        (125, &[2], (FormatType, 122)),
        (126, &[0], (ChannelsZero, 122)),
        (127, &[0], (SubslotSize, 122)),
        (127, &[5], (SubslotSize, 122)),
        (129, &[200], (FormatShort, 122)),
        (129, &[0], (FormatShort, 122)),
        (130, &[0, 0, 0], (RatesAllZero, 122)),
        (136, &[2, 64, 0], (DataNotIsochronous, 106)),
        (137, &[0, 0], (DataPacketZero, 106)),
        (137, &[3, 0], (DataPacketSmall, 106)),
        (141, &[0x82], (SyncEndpoint, 106)),
        (152, &[2], (SyncEndpoint, 106)),
        (152, &[0x21], (ImplicitFeedback, 106)),
        (157, &[1], (SyncEndpoint, 106)),
    ];
    for &(offset, bytes, issue) in lost {
        assert_eq!(changed(offset, bytes), read(&[issue], &[CAPTURE]), "{offset} {bytes:02x?}");
    }
    let kept: &[(usize, &[u8], (Rule, usize))] = &[
        (118, &[99], (TerminalUnknown, 106)),
        (128, &[17], (BitResolution, 122)),
        (128, &[0], (BitResolution, 122)),
    ];
    for &(offset, bytes, issue) in kept {
        assert_eq!(changed(offset, bytes), read(&[issue], &[PLAY, CAPTURE]), "{offset}");
    }
}

/// A4: format tags from 64 on are PCM; the ones below are what they are.
#[test]
fn a4_a_format_tag_of_64_and_more_is_pcm() {
    use usb_desc::uac::{Encoding, SampleFormat};
    let cases = [
        (1u16, Encoding::Pcm(SampleFormat::S16Le)),
        (64, Encoding::Pcm(SampleFormat::S16Le)),
        (0x2001, Encoding::Pcm(SampleFormat::S16Le)),
        (0xffff, Encoding::Pcm(SampleFormat::S16Le)),
        (0, Encoding::Undefined),
        (2, Encoding::Undefined),
        (3, Encoding::Float),
        (4, Encoding::ALaw),
        (5, Encoding::MuLaw),
        (63, Encoding::Undefined),
    ];
    for (tag, expect) in cases {
        let mut blob = headset();
        blob[120..122].copy_from_slice(&tag.to_le_bytes());
        let config = Config::parse(&blob, Speed::Full).unwrap();
        let audio = Audio::parse(&config, &mut |issue| panic!("{issue}"));
        assert_eq!(audio.alternates[0].encoding, expect, "{tag}");
    }
}

/// The header of an audio control interface claims streaming interfaces; one
/// that is claimed by nobody is left out.
#[test]
fn a_streaming_interface_that_no_header_names_is_left_out() {
    use Rule::*;
    assert_eq!(changed(26, &[7]), read(&[(StreamingUnclaimed, 106)], &[CAPTURE]));
}
