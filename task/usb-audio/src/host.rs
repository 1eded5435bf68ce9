//! PCM to packets: a stream on the host path.
//!
//! What a client writes gathers in a buffer; packets are cut from it as long as
//! the pipe below takes them, each with the frames that the pacer says, so that
//! 44.1 kHz goes out as nine packets of 44 frames and one of 45 (A17). When the
//! device has a feedback endpoint, its values replace the nominal rate (A15).

use usb_audio_api::TicketHandle;
use usb_core_api::PipeStatus;
use usb_desc::uac::feedback::Feedback;
use usb_desc::uac::packets::Pacer;
use usb_types::EndpointAddress;

/// Bytes of PCM that wait for the pipe: two writes, some 40 packets of 48 kHz
/// stereo.
pub(crate) const PCM_BYTES: usize = 8192;

/// Packets that go down in one call; their lengths fill `write_isoch`'s lease.
const BATCH: usize = 32;

/// Bytes that go down in one call: `write_isoch`'s lease.
const BATCH_BYTES: usize = 4096;

/// Packets gathered before the first one goes out: the client must be able to
/// be late by that many intervals from the start on.
const PREFILL: usize = 16;

/// How a stream's end is coming along.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// PCM is left, or packets are under way.
    Flushing,
    /// The device plays what it has got, until this moment.
    Tail { until: u64 },
}

/// Packets to send.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Batch {
    lengths: [u8; 2 * BATCH],
    packets: usize,
    bytes: usize,
}

impl Batch {
    /// Packet lengths as `write_isoch` takes them.
    pub(crate) fn lengths(&self) -> &[u8] {
        &self.lengths[..2 * self.packets]
    }

    pub(crate) fn packets(&self) -> u8 {
        self.packets as u8
    }

    fn bytes_of(&self, packets: usize) -> usize {
        let (lengths, _) = self.lengths().as_chunks::<2>();
        lengths.iter().take(packets).map(|&length| usize::from(u16::from_le_bytes(length))).sum()
    }
}

/// A stream on the host path.
#[derive(Debug)]
pub(crate) struct Host {
    pcm: [u8; PCM_BYTES],
    start: usize,
    end: usize,
    pacer: Pacer,
    /// Where the device says how fast it plays, and how to read that.
    pub(crate) feedback: Option<(EndpointAddress, Feedback)>,
    /// Packets have gone out.
    running: bool,
    /// The client has more than there was room for.
    pub(crate) wants_room: bool,
    /// The end is near; the ticket of who waits for it.
    pub(crate) drain: Option<(Option<TicketHandle>, Drain)>,
    /// Frames sent.
    frames: u32,
    /// The pipe's underruns before the first packet.
    underruns_before: u32,
    /// The pipe's underruns when the last packet was sent.
    underruns_at_end: Option<u32>,
}

impl Host {
    pub(crate) const fn new(pacer: Pacer, feedback: Option<(EndpointAddress, Feedback)>) -> Self {
        Self {
            pcm: [0; PCM_BYTES],
            start: 0,
            end: 0,
            pacer,
            feedback,
            running: false,
            wants_room: false,
            drain: None,
            frames: 0,
            underruns_before: 0,
            underruns_at_end: None,
        }
    }

    pub(crate) const fn frame_bytes(&self) -> usize {
        self.pacer.sizing().frame_bytes as usize
    }

    /// Bytes that wait.
    pub(crate) const fn waiting(&self) -> usize {
        self.end - self.start
    }

    /// Whole frames there is room for.
    pub(crate) const fn room(&self) -> usize {
        (PCM_BYTES - self.waiting()) / self.frame_bytes()
    }

    /// Whether packets have gone out.
    pub(crate) const fn running(&self) -> bool {
        self.running
    }

    /// Place for `bytes` more behind what waits; shorter when there is less
    /// room. What is written there counts after [`Host::filled`].
    pub(crate) fn space(&mut self, bytes: usize) -> &mut [u8] {
        if PCM_BYTES - self.end < bytes {
            self.pcm.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let until = (self.end + bytes).min(PCM_BYTES);
        &mut self.pcm[self.end..until]
    }

    /// `bytes` of the last [`Host::space`] are PCM.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(PCM_BYTES);
    }

    /// Whether packets may go out: once enough has gathered or no more comes.
    pub(crate) fn ready(&self) -> bool {
        let sizing = self.pacer.sizing();
        let packet = sizing.rate.div_ceil(sizing.packets) as usize * self.frame_bytes();
        let enough = (PREFILL * packet).min(PCM_BYTES / 2);
        self.running || self.drain.is_some() || self.waiting() >= enough
    }

    /// The next packets; none when what waits does not fill one. The last one
    /// of a stream that ends is as short as what is left.
    pub(crate) fn cut(&self) -> Batch {
        let mut batch = Batch { lengths: [0; 2 * BATCH], packets: 0, bytes: 0 };
        let mut pacer = self.pacer;
        while batch.packets < BATCH {
            let left = self.waiting() - batch.bytes;
            let mut bytes = usize::from(pacer.next_frames()) * self.frame_bytes();
            if left == 0 || bytes > left && self.drain.is_none() {
                break;
            }
            bytes = bytes.min(left);
            if batch.bytes + bytes > BATCH_BYTES {
                break;
            }
            let [low, high] = (bytes as u16).to_le_bytes();
            batch.lengths[2 * batch.packets] = low;
            batch.lengths[2 * batch.packets + 1] = high;
            batch.packets += 1;
            batch.bytes += bytes;
        }
        batch
    }

    /// The bytes of `batch`.
    pub(crate) fn data(&self, batch: &Batch) -> &[u8] {
        &self.pcm[self.start..self.start + batch.bytes]
    }

    /// The first `packets` of `batch` were taken.
    pub(crate) fn sent(&mut self, batch: &Batch, packets: u8) {
        let packets = usize::from(packets).min(batch.packets);
        let bytes = batch.bytes_of(packets);
        (0..packets).for_each(|_| {
            self.pacer.next_frames();
        });
        self.start += bytes;
        self.frames = self.frames.wrapping_add((bytes / self.frame_bytes()) as u32);
        self.running |= packets != 0;
    }

    /// The first packet is about to go out; the pipe has run dry so often.
    pub(crate) fn starts(&mut self, underruns: u32) {
        self.underruns_before = underruns;
    }

    /// The last packet has gone out, and the pipe is like this. It runs dry at
    /// the end of every stream, which is not counted.
    pub(crate) fn last_sent(&mut self, pipe: &PipeStatus) {
        let at_end = u32::from(pipe.queued == 0 && self.running);
        self.underruns_at_end.get_or_insert(pipe.underruns.wrapping_sub(at_end));
    }

    /// Frames sent.
    pub(crate) const fn frames(&self) -> u32 {
        self.frames
    }

    /// Times that the pipe ran dry before the end.
    pub(crate) fn underruns(&self) -> u32 {
        let more = self.underruns_at_end.map(|end| end.wrapping_sub(self.underruns_before));
        // A pipe that is empty and has not noticed yet has run dry once less.
        more.filter(|&more| more < u32::MAX / 2).unwrap_or(0)
    }

    /// Takes a packet of the feedback endpoint; whether it is followed.
    pub(crate) fn feed(&mut self, packet: &[u8]) -> bool {
        let read = self.feedback.as_mut().and_then(|(_, feedback)| feedback.read(packet).ok());
        if let Some(asked) = read {
            self.pacer.follow(asked);
        }
        read.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usb_desc::uac::packets::Sizing;
    use usb_types::Speed;

    fn host(rate: u32, frame_bytes: u16) -> Host {
        let sizing = Sizing { rate, packets: 1000, interval: 0, max_frames: 100, frame_bytes };
        let sync = (EndpointAddress(0x81), Feedback::new(rate, Speed::Full));
        Host::new(Pacer::new(sizing), Some(sync))
    }

    fn write(host: &mut Host, bytes: &[u8]) {
        let space = host.space(bytes.len());
        space.copy_from_slice(bytes);
        host.filled(bytes.len());
    }

    fn lengths(batch: &Batch) -> Vec<u16> {
        batch.lengths().chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn nothing_goes_out_before_enough_has_gathered() {
        let mut host = host(48_000, 4);
        write(&mut host, &[0; 15 * 192]);
        assert!(!host.ready());
        write(&mut host, &[0; 192]);
        assert!(host.ready());
        assert_eq!(lengths(&host.cut()), [192; 16]);
    }

    #[test]
    fn packets_are_cut_in_the_pattern_of_the_rate_whatever_the_pipe_takes() {
        let mut host = host(44_100, 4);
        let mut sent: Vec<u16> = Vec::new();
        let mut heard: Vec<u8> = Vec::new();
        let pcm: Vec<u8> = (0..44_100u32).flat_map(u32::to_le_bytes).collect();
        let mut rest = &pcm[..];
        for taken in [3, 1, 7, 2, 20, 0].into_iter().cycle() {
            let fits = (host.room() * 4).min(rest.len()).min(4096);
            write(&mut host, &rest[..fits]);
            rest = &rest[fits..];
            if rest.is_empty() {
                host.drain = Some((None, Drain::Flushing));
            }
            let batch = host.cut();
            let taken = taken.min(batch.packets());
            sent.extend(&lengths(&batch)[..taken.into()]);
            heard.extend(&host.data(&batch)[..batch.bytes_of(taken.into())]);
            host.sent(&batch, taken);
            if rest.is_empty() && host.waiting() == 0 {
                break;
            }
        }
        assert_eq!(heard, pcm);
        assert_eq!(sent.len(), 1000);
        assert!(
            sent.chunks(10).all(|ten| ten == [176, 176, 176, 176, 176, 176, 176, 176, 176, 180])
        );
        assert_eq!(host.frames, 44_100);
    }

    #[test]
    fn the_last_packet_is_as_short_as_what_is_left() {
        let mut host = host(48_000, 4);
        write(&mut host, &[7; 200]);
        assert_eq!(lengths(&host.cut()), [192]);
        host.drain = Some((None, Drain::Flushing));
        assert!(host.ready());
        assert_eq!(lengths(&host.cut()), [192, 8]);
    }

    #[test]
    fn a_batch_fits_into_its_leases() {
        let mut wide = host(96_000, 6);
        write(&mut wide, &[0; PCM_BYTES / 6 * 6]);
        let batch = wide.cut();
        assert_eq!((batch.packets(), wide.data(&batch).len()), (7, 7 * 576));
        let mut narrow = host(8000, 1);
        write(&mut narrow, &[0; PCM_BYTES]);
        assert_eq!(narrow.cut().packets(), 32);
    }

    #[test]
    fn feedback_changes_the_packets_that_follow() {
        let mut host = host(48_000, 4);
        write(&mut host, &[0; 4000]);
        let faster = (49u32 << 14).to_le_bytes();
        assert!(host.feed(&faster[..3]));
        assert_eq!(lengths(&host.cut())[0], 196);
        assert!(!host.feed(&[0, 0, 0]), "no value is no value");
        assert_eq!(lengths(&host.cut())[0], 196);
    }

    #[test]
    fn room_is_counted_in_whole_frames_and_nothing_is_written_beyond_it() {
        let mut host = host(48_000, 6);
        assert_eq!(host.room(), PCM_BYTES / 6);
        let bytes = host.room() * 6;
        write(&mut host, &vec![1; bytes]);
        assert_eq!(host.room(), 0);
        assert_eq!(host.space(6).len(), PCM_BYTES % 6);
    }
}
