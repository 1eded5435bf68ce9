//! Work spread over the machine's cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Calls `work` with each number below `count`, on `threads` threads at once,
/// and hands what it returns to `take`, one at a time and in no order. `take`
/// says whether to go on.
pub(crate) fn spread<T: Send>(
    threads: usize,
    count: u64,
    work: impl Fn(u64) -> T + Sync,
    take: impl FnMut(u64, T) -> bool + Send,
) {
    let next = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let take = Mutex::new(take);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let done = work(n);
                    let mut take = take.lock().expect("a thread that takes does not panic");
                    if !take(n, done) {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Threads that run at once on this machine.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::spread;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_is_worked_on_once() {
        let mut seen = BTreeSet::new();
        spread(
            3,
            100,
            |n| n * 2,
            |n, double| {
                assert_eq!(double, 2 * n);
                assert!(seen.insert(n));
                true
            },
        );
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn who_takes_can_end_it() {
        let mut taken = 0;
        spread(
            2,
            u64::MAX,
            |n| n,
            |_, _| {
                taken += 1;
                taken < 10
            },
        );
        assert!(taken >= 10);
    }
}
