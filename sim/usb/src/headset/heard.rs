//! What a headset played, as a judge reads it after the run.

use fabric::Time;

/// Times of gaps that are kept; later ones are only counted.
pub const GAP_TIMES: usize = 64;

/// How samples lie in memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: u8,
    /// Bytes per sample.
    pub bytes: u8,
}

impl Format {
    /// Bytes per frame.
    #[must_use]
    pub const fn frame(self) -> usize {
        self.channels as usize * self.bytes as usize
    }
}

/// One stream: from the selection of a setting with a rate to its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Where it begins in [`Heard::pcm`].
    pub offset: usize,
    /// The format.
    pub format: Format,
    /// When it was opened.
    pub opened: Time,
    /// When its first packet arrived.
    pub first: Option<Time>,
    /// When its last packet so far arrived.
    pub last: Option<Time>,
}

/// The record of a headset.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub(crate) pcm: Vec<u8>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) gap_times: Vec<Time>,
    /// Times the music stopped for want of data and went on later.
    pub gaps: u64,
    /// Frames of silence that filled them.
    pub gap_frames: u64,
    /// Service intervals without a packet, between the first and the last one.
    pub empty_intervals: u64,
    /// Packets with a length that the rate does not explain, or that is no whole
    /// number of frames.
    pub odd_packets: u64,
    /// Packets that found the buffer full.
    pub overflows: u64,
    /// Frames lost that way.
    pub overflow_frames: u64,
    /// Packets that came in alternate 0, before a rate was set, or too long.
    pub ignored_packets: u64,
    /// Frames that sat in the buffer when the stream was closed.
    pub cut_frames: u64,
    /// Frames played with mute on.
    pub muted_frames: u64,
    /// Packets taken.
    pub packets: u64,
}

impl Heard {
    /// Everything that was played, in the format of each stream.
    #[must_use]
    pub fn pcm(&self) -> &[u8] {
        &self.pcm
    }

    /// The streams in the order in which they were opened; those that never got
    /// a packet included.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// What was played of stream `index`.
    #[must_use]
    pub fn stream(&self, index: usize) -> Option<(Stream, &[u8])> {
        let stream = *self.streams.get(index)?;
        let end = self.streams.get(index + 1).map_or(self.pcm.len(), |next| next.offset);
        Some((stream, &self.pcm[stream.offset..end]))
    }

    /// When the first [`GAP_TIMES`] gaps began.
    #[must_use]
    pub fn gap_times(&self) -> &[Time] {
        &self.gap_times
    }
}
