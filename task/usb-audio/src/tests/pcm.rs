//! The host path: PCM in, packets out.

use super::*;

#[test]
fn a_peers_stream_takes_no_pcm() {
    let mut bench = Bench::new();
    let stream = bench.open(PLAYER, Drive::Peer).unwrap();
    assert_eq!(bench.write(stream, &[0; 4]), Err(UsbAudioError::WrongDrive));
    let drained = bench.engine.op_drain(&mut bench.world, PLAYER, stream);
    assert_eq!(drained, Err(UsbAudioError::WrongDrive));
}

/// The host path: what was written comes out in packets of 44 and 45 frames,
/// bit for bit, whatever the pipe takes at a time.
#[test]
fn pcm_goes_out_bit_for_bit_in_packets_of_the_rate() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.room = 7;
    let pcm: Vec<u8> = (0..4410u32).flat_map(u32::to_le_bytes).collect();
    let mut rest = &pcm[..];
    bench.news(PLAYER);
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(4096)];
        let frames = bench.write(stream, piece).unwrap();
        rest = &rest[usize::from(frames) * 4..];
        if usize::from(frames) * 4 < piece.len() {
            // Full: the pipe moves on until there is room, which is told.
            while bench.news(PLAYER) != [Event::Room(stream)] {
                bench.world.room += 5;
                bench.progress(device, 0x01);
            }
        }
    }
    let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
    assert_eq!(bench.write(stream, &[0; 4]), Err(UsbAudioError::NotYet), "no more after drain");
    bench.world.room = 1000;
    bench.progress(device, 0x01);
    assert_eq!(bench.result(PLAYER, ticket), Err(UsbAudioError::NotYet), "packets are queued");
    bench.world.queued = 0;
    bench.world.underruns = 1;
    bench.progress(device, 0x01);
    let due = bench.engine.deadline(bench.world.now).unwrap();
    assert_eq!(due, 27, "the device's tail");
    bench.world.now = due;
    bench.engine.tick(&mut bench.world);
    let played = Completed::Played { frames: 4410, underruns: 0 };
    assert_eq!(bench.result(PLAYER, ticket), Ok(played));
    assert_eq!(bench.engine.deadline(due), None);
    assert_eq!(bench.world.packets.concat(), pcm);
    let lengths: Vec<usize> = bench.world.packets.iter().map(Vec::len).collect();
    assert_eq!(lengths.len(), 100);
    assert!(
        lengths.chunks(10).all(|ten| ten == [176, 176, 176, 176, 176, 176, 176, 176, 176, 180])
    );
    bench.close(PLAYER, stream).unwrap();
    bench.assert_at_rest();
}

#[test]
fn an_underrun_in_the_middle_is_counted_and_the_one_at_the_end_is_not() {
    let (mut bench, device) = Bench::with(Model::default());
    bench.world.underruns = 5;
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.write(stream, &vec![0; 4096]).unwrap();
    bench.world.underruns += 1;
    bench.write(stream, &vec![0; 4096]).unwrap();
    let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
    bench.world.underruns += 1;
    bench.world.queued = 0;
    bench.progress(device, 0x01);
    bench.world.now += 100;
    bench.engine.tick(&mut bench.world);
    let played = Completed::Played { frames: 2048, underruns: 1 };
    assert_eq!(bench.result(PLAYER, ticket), Ok(played));
}

/// A15: the host path follows explicit feedback.
#[test]
fn a15_feedback_changes_how_much_goes_out() {
    let (mut bench, device) = Bench::with(Model { feedback: true, ..Model::default() });
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    assert_eq!(bench.world.asked, 1, "the endpoint is set going");
    bench.world.feedback.push_back((45u32 << 14).to_le_bytes()[..3].to_vec());
    bench.world.feedback.push_back(vec![0; 3]);
    bench.progress(device, 0x81);
    bench.write(stream, &vec![0; 4000]).unwrap();
    assert!(!bench.world.packets.is_empty());
    assert!(bench.world.packets.iter().all(|packet| packet.len() == 180));
}

#[test]
fn half_a_frame_is_refused() {
    let mut bench = Bench::new();
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    assert_eq!(bench.write(stream, &[0; 6]), Err(UsbAudioError::PartialFrame));
    assert_eq!(bench.write(stream, &[]), Ok(0));
}

#[test]
fn a_pipe_that_ran_dry_after_the_last_frame_had_no_underrun() {
    for noticed in [0, 1] {
        let mut bench = Bench::new();
        let stream = bench.open(PLAYER, Drive::Host).unwrap();
        // Twenty whole packets, all of them played before the drain is asked.
        bench.write(stream, &vec![0; 882 * 4]).unwrap();
        assert_eq!(bench.world.packets.len(), 20);
        bench.world.queued = 0;
        bench.world.underruns = noticed;
        let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
        bench.world.now += 100;
        bench.engine.tick(&mut bench.world);
        let played = Completed::Played { frames: 882, underruns: 0 };
        assert_eq!(bench.result(PLAYER, ticket), Ok(played));
    }
}

/// While the system is suspended a stream waits, without a timer, and loses
/// nothing.
#[test]
fn a_stream_that_sleeps_with_the_system_goes_on_where_it_stood() {
    let (mut bench, device) = Bench::with(Model::default());
    let stream = bench.open(PLAYER, Drive::Host).unwrap();
    bench.world.room = 5;
    let pcm: Vec<u8> = (0..882u32).flat_map(u32::to_le_bytes).collect();
    bench.write(stream, &pcm).unwrap();
    let ticket = bench.engine.op_drain(&mut bench.world, PLAYER, stream).unwrap();
    let before = bench.world.packets.len();
    bench.world.events.push_back(usb_core_api::Event::Suspended(device));
    bench.settle();
    bench.world.room = 1000;
    bench.progress(device, 0x01);
    assert_eq!(bench.world.packets.len(), before);
    assert_eq!(bench.engine.deadline(bench.world.now), None, "rule 7");
    bench.world.events.push_back(usb_core_api::Event::Resumed(device));
    bench.settle();
    assert_eq!(bench.world.packets.concat(), pcm);
    bench.world.queued = 0;
    bench.progress(device, 0x01);
    bench.world.now += 100;
    bench.engine.tick(&mut bench.world);
    let played = Completed::Played { frames: 882, underruns: 0 };
    assert_eq!(bench.result(PLAYER, ticket), Ok(played));
}
