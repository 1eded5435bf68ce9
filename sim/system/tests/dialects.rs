//! The whole system in either dialect of the QMI service: what a DSP sees of a
//! refusal differs, what is played does not.

use std::path::{Path, PathBuf};

use system::image::Description;
use system::piece::piece;
use system::run::{Path as Way, Setup, run};

/// The project's image with another dialect, read from a file of its own.
fn image(dialect: &str) -> &'static Description {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("app.toml")).expect("the image's description");
    let chip = format!("chip = \"{}/chips/", root.display());
    let text = text
        .replace("chip = \"chips/", &chip)
        .replace("dialect = \"precise\"", &format!("dialect = \"{dialect}\""));
    assert!(text.contains(dialect), "the image names its dialect");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{dialect}.toml"));
    std::fs::write(&path, text).expect("a file in the target folder");
    Description::load(&path).expect("the image keeps every rule")
}

/// R20: the one switch there is, in both positions.
#[test]
fn both_dialects_play_bit_for_bit_and_leave_nothing_behind() {
    for dialect in ["precise", "upstream"] {
        let description = image(dialect);
        let sound = piece(44100, 44100);
        let finished = run(Setup {
            description,
            sound: &sound,
            device: "async",
            path: Way::Offload,
            seed: 5,
            fault: None,
            pcap: None,
            trace: None,
            progress: None,
            look_at_ms: None,
            rings: Vec::new(),
        });
        assert!(finished.report.is_right(), "{dialect}: {:?}", finished.report);
    }
}
