//! What the derives make, in use.

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, unused, clippy::all)]

use counters::Count;
use idol_derive::IdolError;
use idol_runtime::{CLikeError, IdolError};

#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
enum Trouble {
    TooMuch = 1,
    #[idol(server_death)]
    Died = 9,
    Last = 65535,
}

#[derive(Debug, PartialEq, Eq, IdolError)]
enum Detail {
    #[idol(server_death)]
    Died,
    #[allow(dead_code, reason = "makes the enum more than a code")]
    Excess(u64),
}

#[derive(Count)]
enum Event<'t> {
    Come,
    Gone {
        #[allow(dead_code, reason = "counted whatever it says")]
        why: &'t str,
    },
    #[count(skip)]
    Idle,
    Moved(#[allow(dead_code, reason = "counted whatever it says")] u8),
}

#[derive(Count)]
enum Nothing {}

#[test]
fn code_of_an_error_is_its_value_and_leads_back() {
    for (error, code) in [(Trouble::TooMuch, 1), (Trouble::Died, 9), (Trouble::Last, 65535)] {
        assert_eq!((u32::from(error), u16::from(error)), (code, code as u16));
        assert_eq!(Trouble::try_from(code), Ok(error));
    }
}

#[test]
fn code_of_no_error_leads_nowhere() {
    for code in [0, 2, 8, 65536, 65537, u32::MAX] {
        assert_eq!(Trouble::try_from(code), Err(()));
    }
}

#[test]
fn server_death_is_the_variant_that_says_so() {
    fn code_like<E: CLikeError>() -> E {
        E::SERVER_DEATH
    }
    assert_eq!(code_like::<Trouble>(), Trouble::Died);
    assert_eq!(Detail::SERVER_DEATH, Detail::Died);
}

#[test]
fn each_variant_counts_for_itself_and_skipped_ones_not() {
    let counts = <Event<'_> as Count>::NEW_COUNTERS;
    for event in [Event::Come, Event::Gone { why: "" }, Event::Idle, Event::Moved(1), Event::Come] {
        event.count(&counts);
    }
    assert_eq!(format!("{counts:?}"), "EventCounts { Come: 2, Gone: 1, Moved: 1 }");
    assert_eq!(format!("{:?}", <Nothing as Count>::NEW_COUNTERS), "NothingCounts");
}

#[derive(Count)]
enum Outer {
    Plain,
    #[count(children)]
    Failed(Trouble),
}

#[test]
fn what_a_variant_carries_is_counted_by_its_own_variants() {
    let counts = Outer::NEW_COUNTERS;
    for event in [Outer::Failed(Trouble::Last), Outer::Plain, Outer::Failed(Trouble::Last)] {
        event.count(&counts);
    }
    let inner = "TroubleCounts { TooMuch: 0, Died: 0, Last: 2 }";
    assert_eq!(format!("{counts:?}"), format!("OuterCounts {{ Plain: 1, Failed: {inner} }}"));
}
