//! `cargo xtask sim` as its users meet it: exit codes, files, JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const FRAMES: u32 = 4800;

/// An empty folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder in the target folder");
    folder
}

fn sim(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("sim")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the command starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().expect("a last line")).expect("one JSON object")
}

fn pcm() -> Vec<u8> {
    (0..FRAMES * 2).flat_map(|n| ((n * 7919) as u16).to_le_bytes()).collect()
}

/// A WAV of 16 bits; `tag` 1 is PCM, 3 floating point.
fn wav(tag: u16, channels: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    let bytes = if tag == 3 { 4 } else { 2 };
    file.extend((rate * u32::from(channels * bytes)).to_le_bytes());
    file.extend((channels * bytes).to_le_bytes());
    file.extend((bytes * 8).to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The isochronous OUT data of a capture: usbmon's records, link type 220.
fn isochronous_out(pcap: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((word(0), word(20)), (0xA1B2_C3D4, 220), "magic and link type");
    let (mut at, mut data) = (24, Vec::new());
    while at < pcap.len() {
        let record = &pcap[at + 16..at + 16 + word(at + 8) as usize];
        let descriptors = u32::from_le_bytes(record[60..64].try_into().expect("four bytes"));
        if record[8] == b'S' && record[9] == 0 && record[10] & 0x80 == 0 {
            data.extend(&record[64 + 16 * descriptors as usize..]);
        }
        at += 16 + record.len();
    }
    data
}

#[test]
fn what_was_heard_and_what_was_captured_is_the_wav() {
    let folder = folder("exact");
    fs::write(folder.join("in.wav"), wav(1, 2, 48_000, &pcm())).expect("written");
    let arguments = ["--wav", "in.wav", "--out", "out.wav", "--pcap", "out.pcap", "--json"];
    let output = sim(&folder, &arguments);
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(names(&folder), ["in.wav", "out.pcap", "out.wav"]);
    let same = fs::read(folder.join("in.wav")).ok() == fs::read(folder.join("out.wav")).ok();
    assert!(same, "the WAV that was heard is the one that was given");
    let captured = isochronous_out(&fs::read(folder.join("out.pcap")).expect("a capture"));
    assert!(captured == pcm(), "{} bytes captured", captured.len());

    let report = json(&output);
    assert_eq!(report["bit_exact"], true);
    assert_eq!(report["frames_played"], FRAMES);
    let zeros = [
        "gaps",
        "underruns",
        "app_core_wakeups_while_streaming",
        "app_core_syscalls_while_streaming",
        "iommu_faults",
        "model_violations",
    ];
    for key in zeros {
        assert_eq!(report[key], 0, "{key}");
    }
    let leaks =
        ["votes", "holds", "interrupters", "endpoints", "peer_pages", "bus_pages", "quarantined"];
    for key in leaks {
        assert_eq!(report["leaks"][key], 0, "{key}");
    }
    assert_eq!(report["seed"], 1);
    assert!(report["realtime_factor"].as_f64().is_some_and(|factor| factor > 0.0));
    assert!(report["trace_hash"].as_str().is_some_and(|hash| hash.len() == 16));
}

#[test]
fn one_seed_is_one_trace_and_another_seed_another() {
    let folder = folder("trace");
    fs::write(folder.join("in.wav"), wav(1, 2, 48_000, &pcm())).expect("written");
    let trace = |seed: &str, name: &str| {
        let arguments =
            ["--wav", "in.wav", "--out", "out.wav", "--seed", seed, "--trace", name, "--json"];
        let output = sim(&folder, &arguments);
        assert_eq!(code(&output), 0, "{output:?}");
        let text = fs::read_to_string(folder.join(name)).expect("a trace");
        (text, json(&output)["trace_hash"].clone())
    };
    let (first, first_hash) = trace("3", "a.txt");
    let (again, again_hash) = trace("3", "b.txt");
    let (other, other_hash) = trace("4", "c.txt");
    assert!(first == again, "byte for byte");
    assert_eq!(first_hash, again_hash);
    assert!(first != other);
    assert_ne!(first_hash, other_hash);
    for what in [" syscall ", " mmio ", " trb ", " event ", " packet "] {
        assert!(first.contains(what), "no{what}in the trace");
    }
}

#[test]
fn each_fault_has_the_exit_code_that_the_help_says() {
    let folder = folder("faults");
    let documented = [
        ("drop-packet", 1),
        ("duplicate", 1),
        ("flip-bit", 1),
        ("late", 1),
        ("volume-change", 0),
        ("starve-dsp", 0),
        ("starve-dsp=600", 1),
    ];
    for (fault, expected) in documented {
        let output = sim(&folder, &["--out", "out.wav", "--fault", fault]);
        assert_eq!(code(&output), expected, "{fault}");
    }
}

#[test]
fn bad_input_is_exit_code_2_says_what_is_supported_and_leaves_nothing() {
    let folder = folder("bad");
    let good = wav(1, 2, 48_000, &pcm());
    let supported = "PCM of 8, 16, 24 or 32 bits, mono or stereo";
    let inputs: [(&str, Vec<u8>, &str); 7] = [
        ("no-wav", b"this is no sound".to_vec(), supported),
        ("empty", Vec::new(), supported),
        ("float", wav(3, 2, 48_000, &pcm()), supported),
        ("compressed", wav(0x55, 2, 48_000, &pcm()), supported),
        ("truncated", good[..good.len() - 100].to_vec(), "truncated"),
        ("surround", wav(1, 6, 48_000, &[0; 1200]), supported),
        ("odd-rate", wav(1, 2, 47_999, &pcm()), "44100, 48000"),
    ];
    for (name, bytes, says) in inputs {
        fs::write(folder.join("in.wav"), bytes).expect("written");
        let output = sim(&folder, &["--wav", "in.wav", "--out", "out.wav", "--pcap", "out.pcap"]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), 2, "{name}: {told}");
        assert!(told.contains(says), "{name}: {told}");
        assert_eq!(names(&folder), ["in.wav"], "{name}");
    }
    for usage in [["--device", "gramophone"], ["--fault", "boredom"], ["--seeds", "0"]] {
        assert_eq!(code(&sim(&folder, &usage)), 2, "{usage:?}");
    }
}

#[test]
fn outputs_that_cannot_be_are_refused_before_anything_is_written() {
    let folder = folder("outputs");
    for arguments in [["--out", "x", "--trace", "x"], ["--out", "x", "--pcap", "."]] {
        let output = sim(&folder, &arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert_eq!(names(&folder), [""; 0], "{arguments:?}");
    }
}

#[test]
fn a_sound_that_is_slept_through_is_exact_and_one_that_hibernation_ends_is_not() {
    let folder = folder("sleep");
    let slept = ["--suspend-at", "800", "--resume-at", "1500", "--json"];
    let output = sim(&folder, &[&slept[..], &["--out", "out.wav"]].concat());
    assert_eq!(code(&output), 0, "{output:?}");
    let report = json(&output);
    assert_eq!((&report["bit_exact"], &report["gaps"]), (&true.into(), &0.into()));
    // It did sleep: somebody was woken for it.
    assert_ne!(report["app_core_wakeups_while_streaming"], 0);
    let hibernated = ["--hibernate-at", "800", "--resume-at", "1500", "--json"];
    let output = sim(&folder, &[&hibernated[..], &["--out", "out.wav"]].concat());
    assert_eq!(code(&output), 1, "{output:?}");
    let report = json(&output);
    assert_eq!(report["refused"], "offload_broker: route ended, reason 7");
    for leak in report["leaks"].as_object().expect("counts").values() {
        assert_eq!(leak, 0, "{report}");
    }
}

/// A device is written to; a file in its place would be a surprise.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_to_and_not_replaced() {
    let folder = folder("device");
    let null = folder.join("null");
    std::os::unix::fs::symlink("/dev/null", &null).expect("a link");
    let output = sim(&folder, &["--out", "null", "--trace", "null"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(fs::symlink_metadata(&null).is_ok_and(|there| there.is_symlink()));
    assert_eq!(names(&folder), ["null"]);
}

#[test]
fn a_disk_that_is_full_is_told_and_exit_code_2() {
    let folder = folder("full");
    for option in ["--trace", "--pcap", "--out"] {
        let output = sim(&folder, &[option, "/dev/full"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), 2, "{option}: {said}");
        assert!(said.contains("cannot be written"), "{option}: {said}");
    }
}

#[test]
fn piped_output_has_no_escapes() {
    let folder = folder("pipe");
    let output = sim(&folder, &["--out", "out.wav"]);
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}
