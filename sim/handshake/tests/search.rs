//! The whole search within quick bounds, and the mistakes that it has to find.

use handshake::world::{Action, Bounds, Sabotage};
use handshake::{Handshake, NOTHING, QUICK};

fn search(bounds: Bounds, sabotage: Sabotage) -> handshake::Report {
    Handshake { bounds, sabotage }.search()
}

#[test]
fn everything_that_can_happen_within_quick_bounds_is_right() {
    for bounds in QUICK {
        let report = search(bounds, Sabotage::None);
        assert!(report.findings.is_empty(), "{bounds}: {:#?}", report.findings);
        assert!(report.states > 5_000, "{bounds}: {} states are too few", report.states);
    }
}

/// What is found when something is wrong, and that it takes the path to it.
fn found(bounds: Bounds, sabotage: Sabotage) -> Vec<&'static str> {
    let findings = search(bounds, sabotage).findings;
    for finding in &findings {
        assert!(!finding.path.is_empty(), "{finding:?}");
    }
    findings.into_iter().map(|finding| finding.property).collect()
}

const REUSED: &str = "no page is reused while it can be reached";
const PUBLISHED: &str = "nothing is published on a closed gate";
const ENDS: &str = "what begins comes to its end";

#[test]
fn a_monitor_that_keeps_translations_is_found() {
    assert!(found(NOTHING, Sabotage::KeepsTranslations).contains(&REUSED));
}

#[test]
fn an_answer_to_what_was_not_asked_yet_is_found() {
    let found = found(NOTHING, Sabotage::AnswersAhead);
    assert!(found.contains(&REUSED) && found.contains(&PUBLISHED), "{found:?}");
}

#[test]
fn a_missing_barrier_in_the_gate_page_is_found() {
    assert!(found(NOTHING, Sabotage::NoBarriers).contains(&PUBLISHED));
}

#[test]
fn reuse_of_what_nobody_confirmed_is_found_with_a_slow_monitor_on_its_path() {
    let bounds = Bounds { slow: 3, faints: 1, ..NOTHING };
    let findings = search(bounds, Sabotage::FreesUnconfirmed).findings;
    let reused = findings.iter().find(|finding| finding.property == REUSED).expect("found");
    assert!(reused.path.contains(&Action::Time) && reused.path.contains(&Action::Timer));
}

#[test]
fn a_dsp_that_forgets_its_life_leaves_pages_out_of_use_for_good() {
    let bounds = Bounds { slow: 3, ..NOTHING };
    assert!(found(bounds, Sabotage::ForgetsItsLife).contains(&ENDS));
}
