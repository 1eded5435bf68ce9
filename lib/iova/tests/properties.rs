//! What holds for every sequence of allocations and releases.

use addr::{Bus, PAGE};
use iova::{Allocator, Refused, Release};
use proptest::prelude::*;

const BASE: u64 = 0x42_2000;
const REGION: u32 = 64;
const PIECES: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    Get(u32),
    Put(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![(1..25_u32).prop_map(Step::Get), (0..64_usize).prop_map(Step::Put)];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn extents_stay_inside_keep_their_guards_never_overlap_and_nothing_is_lost(
        steps in steps(),
        guard in 0..3_u32,
    ) {
        let page = u64::from(PAGE);
        let mut ours = Allocator::<Bus, PIECES>::new(Bus(BASE), REGION, guard);
        let mut live: Vec<(u64, u32)> = vec![];
        for step in steps {
            match step {
                Step::Get(pages) => {
                    let free = holes(&live, guard);
                    match ours.allocate(u64::from(pages) * page) {
                        Ok(at) => {
                            let first = (at.0 - BASE) / page;
                            prop_assert_eq!(at.0 % page, 0);
                            let end = first + u64::from(pages + guard);
                            prop_assert!(end <= u64::from(REGION));
                            for &(other, len) in &live {
                                let other_end = other + u64::from(len + guard);
                                prop_assert!(end <= other || other_end <= first);
                            }
                            live.push((first, pages));
                        }
                        Err(Refused::Exhausted) => {
                            // Refused only when no hole holds it and leaves
                            // either nothing or room for one more extent.
                            let span = pages + guard;
                            prop_assert!(
                                !free.iter().any(|&hole| hole == span || hole > span + guard)
                            );
                        }
                        Err(other) => prop_assert_eq!(other, Refused::TooManyPieces),
                    }
                }
                Step::Put(n) if !live.is_empty() => {
                    let (first, pages) = live.swap_remove(n % live.len());
                    let at = Bus(BASE + first * page);
                    let bytes = u64::from(pages) * page;
                    prop_assert_eq!(ours.release(at, bytes), Release::Freed);
                    prop_assert_eq!(ours.release(at, bytes), Release::NotInUse);
                }
                Step::Put(_) => {}
            }
            let used: u32 = live.iter().map(|&(_, pages)| pages + guard).sum();
            prop_assert_eq!(ours.left(), u64::from(REGION - used) * page);
        }
        // All given back, the whole region serves one extent again.
        for (first, pages) in live {
            ours.release(Bus(BASE + first * page), u64::from(pages) * page);
        }
        let whole = u64::from(REGION - guard) * page;
        prop_assert_eq!(ours.allocate(whole), Ok(Bus(BASE)));
    }
}

/// Lengths of the holes between live extents and up to the region's end.
fn holes(live: &[(u64, u32)], guard: u32) -> Vec<u32> {
    let mut sorted = live.to_vec();
    sorted.sort_unstable();
    let mut holes = vec![];
    let mut at = 0;
    for (first, pages) in sorted {
        holes.push((first - at) as u32);
        at = first + u64::from(pages + guard);
    }
    holes.push(REGION - at as u32);
    holes
}

#[test]
fn a_refusal_names_its_cause() {
    let mut ours = Allocator::<Bus, 2>::new(Bus(BASE), REGION, 1);
    assert_eq!(ours.allocate(0), Err(Refused::Empty));
    assert_eq!(ours.allocate(5), Err(Refused::Unaligned));
    assert_eq!(ours.allocate(u64::from(REGION) * 4096), Err(Refused::Exhausted));
    assert_eq!(ours.allocate(!4095), Err(Refused::Exhausted));
    ours.allocate(4096).unwrap();
    ours.allocate(4096).unwrap();
    assert_eq!(ours.allocate(4096), Err(Refused::TooManyPieces));
    assert_eq!(ours.release(Bus(BASE + 4096), 4096), Release::NotInUse);
}
