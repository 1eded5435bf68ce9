//! One row of the report, out of many samples.

/// Samples of each row.
pub(crate) const SAMPLES: usize = 64;

/// How many instructions an operation takes.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Figure {
    /// The most frequent value.
    pub(crate) usual: u32,
    /// The smallest.
    pub(crate) least: u32,
    /// The largest.
    pub(crate) most: u32,
}

impl Figure {
    /// Samples `operation`, which answers how long it took.
    pub(crate) fn of(mut operation: impl FnMut() -> u32) -> Self {
        // The first time is warm-up.
        operation();
        let mut samples = [0; SAMPLES];
        for sample in &mut samples {
            *sample = operation();
        }
        samples.sort_unstable();
        let runs = samples.chunk_by(|a, b| a == b);
        let usual = runs.max_by_key(|run| run.len()).map_or(0, |run| run[0]);
        Self { usual, least: samples[0], most: samples[SAMPLES - 1] }
    }
}
