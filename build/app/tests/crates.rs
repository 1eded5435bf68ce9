//! Who may know whom: what the crates of the workspace depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate of the workspace: its folder's parent, and what its code may name.
/// What its tests may name beyond that is left out.
struct Crate {
    group: String,
    folder: PathBuf,
    names: BTreeSet<String>,
}

impl Crate {
    fn is_interface(&self) -> bool {
        self.folder.to_string_lossy().ends_with("-api")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
}

fn crates() -> BTreeMap<String, Crate> {
    let mut crates = BTreeMap::new();
    for group in ["dsp", "drv", "lib", "sys", "task"] {
        for folder in folders(&root().join(group)) {
            let Ok(text) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
            let manifest: toml::Table = text.parse().expect("a manifest");
            let mut names = BTreeSet::new();
            let targets = manifest.get("target").and_then(toml::Value::as_table);
            let targets = targets.into_iter().flat_map(|targets| targets.values());
            let whole = toml::Value::Table(manifest.clone());
            for place in targets.chain([&whole]) {
                let dependencies = place.get("dependencies").and_then(toml::Value::as_table);
                names.extend(dependencies.into_iter().flat_map(|table| table.keys().cloned()));
            }
            let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
            crates.insert(name, Crate { group: group.to_owned(), folder, names });
        }
    }
    assert!(crates.len() > 30, "the workspace was found");
    crates
}

/// R5: leaves below, then interfaces, then tasks; nothing points up. That nothing
/// goes round, cargo refuses by itself.
#[test]
fn crates_depend_on_what_lies_below_them_only() {
    let crates = crates();
    let height = |krate: &Crate| match krate.group.as_str() {
        "sys" | "lib" | "dsp" => 0,
        _ if krate.is_interface() => 1,
        _ => 2,
    };
    for (name, krate) in &crates {
        for (below, other) in krate.names.iter().filter_map(|n| Some((n, crates.get(n)?))) {
            // `peers` is how a task hears of its neighbours: it asks the supervisor.
            let exempt = (name.as_str(), below.as_str()) == ("peers", "jefe-api");
            assert!(exempt || height(other) <= height(krate), "{name} depends on {below}");
        }
    }
}

/// R25: a task names another's interface, never its code; so what is private to a
/// task stays so.
#[test]
fn no_task_knows_more_of_another_than_its_interface() {
    let crates = crates();
    let mut seen = 0;
    for (name, krate) in crates.iter().filter(|(_, krate)| is_task(krate)) {
        for (below, other) in krate.names.iter().filter_map(|n| Some((n, crates.get(n)?))) {
            assert!(!is_task(other) || other.is_interface(), "{name} depends on {below}");
            seen += usize::from(other.is_interface());
        }
    }
    assert!(seen > 10, "tasks speak to each other: {seen}");
}

fn is_task(krate: &Crate) -> bool {
    ["drv", "task"].contains(&krate.group.as_str())
}

/// R22: the audio class cannot name a slot, a ring or an interrupter, and the
/// driver of the controller cannot name a format or a QMI message.
#[test]
fn the_audio_class_knows_no_controller_and_the_controller_no_audio() {
    let crates = crates();
    let strangers: [(&str, &[&str]); 4] = [
        ("usb-audio", &["xhci", "xhci-api", "trb", "iommu-api", "qmi", "dsp-link-api"]),
        ("usb-core", &["usb-audio-api", "offload-broker-api", "iommu-api", "qmi"]),
        ("xhci", &["usb-audio-api", "usb-core-api", "offload-broker-api", "usb-desc", "qmi"]),
        ("iommu", &["xhci-api", "usb-core-api", "usb-audio-api", "offload-broker-api", "qmi"]),
    ];
    for (name, unknown) in strangers {
        for other in unknown {
            assert!(crates.contains_key(*other), "there is a crate {other}");
            assert!(!crates[name].names.contains(*other), "{name} depends on {other}");
        }
    }
}

/// R1, R4: no task keeps anything of a device in a static: that lives in its task's
/// `main`, in tables with a size. What there is of statics is listed here; those of
/// `ringbuf!` and `counters!` are a debugger's as well.
#[test]
fn no_task_keeps_what_it_knows_in_a_static() {
    const STATICS: [(&str, &str); 5] = [
        // Read-only, from app.toml.
        ("iommu", "CONTROLLERS"),
        ("iommu", "POOLS"),
        // Read-only, for a debugger.
        ("udprpc", "REPLIES"),
        // What a debugger finds of a dead task, and how it asks for calls.
        ("jefe", "JEFE_REMAINS"),
        ("hiffy", "$name"),
    ];
    let mut found = BTreeSet::new();
    let crates = crates();
    for (name, krate) in crates.iter().filter(|(_, krate)| is_task(krate)) {
        let mut files = vec![krate.folder.join("src")];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("a folder");
                files.extend(entries.map(|entry| entry.expect("an entry").path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            for line in text.lines().map(str::trim_start) {
                let item = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub "));
                let item = item.unwrap_or(line);
                if let Some((of, _)) =
                    item.strip_prefix("static ").and_then(|item| item.split_once(':'))
                {
                    found.insert((name.clone(), of.to_owned()));
                }
            }
        }
    }
    let listed = STATICS.map(|(name, of)| (name.to_owned(), of.to_owned()));
    assert_eq!(found, BTreeSet::from(listed));
}
