//! How long a task that died is held back.
//!
//! A task that lived for the quiet time, or died for the first time, is
//! restarted at once: its clients wait for nothing. Each death within the
//! quiet time of the latest start doubles the delay, up to the longest, so
//! that a task that cannot live costs a bounded share of the processor.

/// The supervisor's patience, in milliseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the second death in a row.
    pub first: u64,
    /// No delay is longer.
    pub longest: u64,
    /// A task that lived this long has a clean slate.
    pub quiet: u64,
}

/// One task's deaths in a row.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// When the task was started last; the image's start counts.
    started: u64,
    /// Deaths since it last lived for the quiet time.
    deaths: u32,
}

impl Row {
    /// A task that has not died yet.
    pub(crate) const NEW: Self = Self { started: 0, deaths: 0 };

    /// The task died at `now`; when it is to start again.
    pub(crate) fn died(&mut self, now: u64, backoff: &Backoff) -> u64 {
        if now.saturating_sub(self.started) >= backoff.quiet {
            self.deaths = 0;
        }
        self.deaths = self.deaths.saturating_add(1);
        let delay = match self.deaths {
            1 => 0,
            // 64 doublings are more than any `longest`.
            more => 1_u64
                .checked_shl(more - 2)
                .map_or(backoff.longest, |factor| backoff.first.saturating_mul(factor))
                .min(backoff.longest),
        };
        now.saturating_add(delay)
    }

    /// The task was started at `now`.
    pub(crate) fn started(&mut self, now: u64) {
        self.started = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Row};
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, prop_assert};

    const BACKOFF: Backoff = Backoff { first: 10, longest: 5000, quiet: 1000 };

    /// Delays of a task that dies each time after living for `lives[n]`.
    fn delays(lives: &[u64]) -> Vec<u64> {
        let mut row = Row::NEW;
        let mut now = 0;
        lives
            .iter()
            .map(|life| {
                now += life;
                let due = row.died(now, &BACKOFF);
                let delay = due - now;
                now = due;
                row.started(now);
                delay
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_at_once_then_the_delay_doubles_up_to_the_longest() {
        let expected = [0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000];
        assert_eq!(delays(&[3; 12]), expected);
    }

    #[test]
    fn the_delay_stays_longest_however_often_a_task_dies() {
        assert_eq!(delays(&[1; 200]).last(), Some(&5000));
        let mut row = Row { started: 0, deaths: u32::MAX };
        assert_eq!(row.died(1, &BACKOFF), 5001);
    }

    #[test]
    fn a_task_that_lived_for_the_quiet_time_starts_over() {
        assert_eq!(delays(&[3, 3, 999, 1000, 3]), [0, 10, 20, 0, 10]);
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Restarts in any window are bounded, whatever the task does: at most
        /// one at once and one doubled row per quiet time.
        #[test]
        fn a_task_that_cannot_live_costs_a_bounded_number_of_restarts(
            lives in vec(0..1000u64, 1..100),
        ) {
            let spent: u64 = delays(&lives).iter().sum::<u64>() + lives.iter().sum::<u64>();
            // 9 doublings reach the longest delay; from there on 5 s each.
            prop_assert!(lives.len() as u64 <= 11 + spent / 5000);
        }
    }
}
