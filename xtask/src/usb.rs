//! `cargo xtask usb`: what USB descriptors say, and what is wrong with them.
//!
//! Reads a dump: lines of hex digits under `# device` and `# configuration`
//! (other lines that start with `#` are remarks). A dump does not tell how
//! fast the device ran; unless `--speed` says so, the slowest speed at which
//! its endpoints are possible is taken.

mod dump;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};
use usb_desc::uac::{Alternate, Audio, Rates, feedback_interval_us};
use usb_desc::{Config, Device, Effect, Issue, Synchronisation};
use usb_types::{Direction, Speed};

use crate::BAD_INPUT;
use crate::style::{BAD, DIM, HEAD};
use dump::{Dump, Fault};

/// `cargo xtask usb …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Usb {
    /// Describe the audio streams of a descriptor dump and what is wrong in it
    Describe(Describe),
}

/// `cargo xtask usb describe`
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// The dump: hex digits under "# device" and "# configuration"
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// How fast the device runs [default: the slowest that its endpoints allow]
    #[arg(long)]
    speed: Option<SpeedArgument>,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum SpeedArgument {
    Low,
    Full,
    High,
    Super,
    SuperPlus,
}

impl From<SpeedArgument> for Speed {
    fn from(argument: SpeedArgument) -> Self {
        match argument {
            SpeedArgument::Low => Self::Low,
            SpeedArgument::Full => Self::Full,
            SpeedArgument::High => Self::High,
            SpeedArgument::Super => Self::Super,
            SpeedArgument::SuperPlus => Self::SuperPlus,
        }
    }
}

impl Usb {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let Self::Describe(describe) = self;
        let report = describe.read();
        if describe.json {
            println!("{}", report.json());
        } else {
            anstream::print!("{}", report.text());
        }
        if report.readable() {
            return ExitCode::SUCCESS;
        }
        if let (false, Some(fault)) = (describe.json, &report.unreadable) {
            anstream::eprintln!("{BAD}{}:{fault}{BAD:#}", describe.file.display());
        }
        ExitCode::from(BAD_INPUT)
    }
}

impl Describe {
    fn read(&self) -> Report {
        let text = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) => {
                let detail = format!(" {error}");
                return Report::unreadable(Fault { code: "cannot_read", offset: 0, detail });
            }
        };
        match Dump::parse(&String::from_utf8_lossy(&text)) {
            Ok(dump) => Report::new(&dump, self.speed.map(Speed::from)),
            Err(fault) => Report::unreadable(fault),
        }
    }
}

/// A stream's alternate in one configuration.
#[derive(Debug)]
struct Row {
    configuration: u8,
    alternate: Alternate,
}

/// All there is to say about a dump.
#[derive(Debug)]
struct Report {
    unreadable: Option<Fault>,
    device: Option<Device>,
    speed: Speed,
    speed_is_known: bool,
    rows: Vec<Row>,
    /// With the place of the configuration in the file, from 1; 0 is the
    /// device descriptor.
    issues: Vec<(usize, Issue)>,
    /// Configurations of which something could be read.
    configurations: usize,
}

impl Report {
    fn unreadable(fault: Fault) -> Self {
        Self {
            unreadable: Some(fault),
            device: None,
            speed: Speed::Full,
            speed_is_known: false,
            rows: Vec::new(),
            issues: Vec::new(),
            configurations: 0,
        }
    }

    fn new(dump: &Dump, speed: Option<Speed>) -> Self {
        let mut report = Self {
            unreadable: None,
            device: None,
            speed: speed.unwrap_or_else(|| dump.needed_speed()),
            speed_is_known: speed.is_some(),
            rows: Vec::new(),
            issues: Vec::new(),
            configurations: 0,
        };
        match dump.device.as_deref().map(Device::parse) {
            Some(Ok(device)) => report.device = Some(device),
            Some(Err(issue)) => report.issues.push((0, issue)),
            None => {}
        }
        for (place, bytes) in (1..).zip(&dump.configurations) {
            let config = match Config::parse(bytes, report.speed) {
                Ok(config) => config,
                Err(issue) => {
                    report.issues.push((place, issue));
                    continue;
                }
            };
            report.configurations += 1;
            let audio = Audio::parse(&config, &mut |issue| report.issues.push((place, issue)));
            let configuration = config.header().value;
            let rows = audio.alternates.iter();
            report.rows.extend(rows.map(|&alternate| Row { configuration, alternate }));
        }
        report
    }

    fn readable(&self) -> bool {
        self.configurations != 0
    }

    fn json(&self) -> Value {
        let device = self.device.map(|device| {
            json!({
                "vendor": device.vendor, "product": device.product, "release": device.release,
                "usb": device.usb,
            })
        });
        let streams: Vec<Value> = self.rows.iter().map(|row| row.json(self.speed)).collect();
        let mut errors: Vec<Value> = self.issues.iter().map(issue_json).collect();
        errors.extend(self.unreadable.iter().map(|fault| {
            json!({ "code": fault.code, "offset": fault.offset, "detail": fault.detail.trim() })
        }));
        json!({
            "device": device, "speed": speed_name(self.speed), "streams": streams,
            "errors": errors,
        })
    }

    fn text(&self) -> String {
        if self.unreadable.is_some() {
            return String::new();
        }
        let mut text = String::new();
        let device = self.device.map_or("No device descriptor".to_owned(), |device| {
            let [minor, major] = device.usb.to_le_bytes();
            let (vendor, product) = (device.vendor, device.product);
            format!("Device {vendor:04x}:{product:04x}, USB {major:x}.{minor:02x}")
        });
        let how = if self.speed_is_known { "" } else { " (the slowest that its endpoints allow)" };
        text += &format!("{HEAD}{device}{HEAD:#}, {} speed{how}\n", speed_name(self.speed));
        text += "\n";
        if self.rows.is_empty() {
            text += "No stream that is supported.\n";
        } else {
            let head = "cfg intf alt dir ch bits endp  sync     interval feedback      rates in Hz";
            text += &format!("{HEAD}{head}{HEAD:#}\n");
        }
        for row in &self.rows {
            text += &row.text(self.speed);
        }
        if !self.issues.is_empty() {
            text += &format!("\n{HEAD}What is wrong{HEAD:#} (cfg: offset, what was done)\n");
        }
        for (place, issue) in &self.issues {
            let rule = issue.rule;
            let style = match rule.effect() {
                Effect::Noted | Effect::Fixed => DIM,
                Effect::Skipped | Effect::Stopped => BAD,
            };
            let done = effect_name(rule.effect());
            let (code, value) = (rule.code(), issue.value);
            text += &format!("{place:>3}: {:>4} {style}{done:<7} {code}{style:#}\n", issue.offset);
            text += &wrap(&format!("{} (value {value:#x})", rule.meaning()), 18);
        }
        text
    }
}

impl Row {
    fn json(&self, speed: Speed) -> Value {
        let alternate = &self.alternate;
        let rates = match &alternate.rates {
            Rates::Discrete(rates) => json!(rates.as_slice()),
            Rates::Continuous { min, max } => json!({ "min": min, "max": max }),
        };
        let feedback = alternate.sync.map(|sync| sync.address.0);
        let feedback_us = alternate.sync.map(|sync| feedback_interval_us(&sync, speed));
        json!({
            "configuration": self.configuration,
            "interface": alternate.interface.number().0,
            "alternate": alternate.interface.alternate().0,
            "direction": direction_name(alternate.direction()),
            "channels": alternate.channels,
            "subslot": alternate.subslot,
            "bits": alternate.bits,
            "rates": rates,
            "endpoint": alternate.data.address.0,
            "sync": sync_name(alternate.data.synchronisation()),
            "interval_us": alternate.interval_us(speed),
            "feedback": feedback,
            "feedback_interval_us": feedback_us,
        })
    }

    /// One line, the rates wrapped below each other at its end.
    fn text(&self, speed: Speed) -> String {
        let alternate = &self.alternate;
        let feedback = alternate.sync.map_or_else(
            || "-".to_owned(),
            |sync| format!("{:#04x} {} us", sync.address.0, feedback_interval_us(&sync, speed)),
        );
        let mut text = format!(
            "{:>3} {:>4} {:>3} {:<3} {:>2} {:>2}/{:<1} {:#04x}  {:<8} {:>5} us {:<13} ",
            self.configuration,
            alternate.interface.number().0,
            alternate.interface.alternate().0,
            direction_name(alternate.direction()),
            alternate.channels,
            alternate.bits,
            alternate.subslot,
            alternate.data.address.0,
            sync_name(alternate.data.synchronisation()),
            alternate.interval_us(speed),
            feedback,
        );
        let indent = text.len();
        let rates = match &alternate.rates {
            Rates::Discrete(rates) => {
                rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Rates::Continuous { min, max } => format!("{min} to {max}"),
        };
        text += wrap(&rates, indent).trim_start();
        text
    }
}

/// `words` in lines of 80 columns, each indented by `indent`.
fn wrap(words: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && indent + line.len() + 1 + word.len() > 80 {
            text += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    text + &format!("{:indent$}{line}\n", "")
}

fn issue_json((place, issue): &(usize, Issue)) -> Value {
    json!({
        "code": issue.rule.code(),
        "offset": issue.offset,
        "detail": issue.to_string(),
        "effect": effect_name(issue.rule.effect()),
        "configuration": place,
    })
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Noted => "noted",
        Effect::Fixed => "fixed",
        Effect::Skipped => "skipped",
        Effect::Stopped => "stopped",
    }
}

fn speed_name(speed: Speed) -> &'static str {
    match speed {
        Speed::Low => "low",
        Speed::Full => "full",
        Speed::High => "high",
        Speed::Super => "super",
        Speed::SuperPlus => "super-plus",
    }
}

fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::In => "in",
    }
}

fn sync_name(sync: Synchronisation) -> &'static str {
    match sync {
        Synchronisation::None => "none",
        Synchronisation::Asynchronous => "async",
        Synchronisation::Adaptive => "adaptive",
        Synchronisation::Synchronous => "sync",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../lib/usb-desc/tests/dumps/data").join(name)
    }

    fn report(name: &str) -> Report {
        Describe { file: data(name), json: false, speed: None }.read()
    }

    #[test]
    fn a_headset_is_described_as_json() {
        let report = report("046d_0a38_0115_logitech-usb-headset-h340.hex");
        assert!(report.readable());
        let json = report.json();
        assert_eq!(json["errors"], json!([]));
        let expected = json!({
            "configuration": 1, "interface": 1, "alternate": 1, "direction": "out", "channels": 2,
            "subslot": 2, "bits": 16, "rates": [44100], "endpoint": 1, "sync": "async",
            "interval_us": 1000, "feedback": 0x83, "feedback_interval_us": 32_000,
        });
        assert_eq!(json["streams"][0], expected);
        assert_eq!(json["streams"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_range_of_rates_has_its_bounds() {
        let json = report("103d_0100_0101_scratchamp.hex").json();
        assert_eq!(json["streams"][0]["rates"], json!({ "min": 4990, "max": 55010 }));
    }

    #[test]
    fn an_error_has_code_offset_and_detail() {
        let json = report("malformed/uac1_interval17.hex").json();
        let error = &json["errors"][0];
        assert_eq!((&error["code"], &error["offset"]), (&json!("interval_range"), &json!(133)));
        assert!(error["detail"].as_str().is_some_and(|detail| detail.contains("0x11")));
        let json = report("0d8c_0004_0102_yggdrasil-gen-5.hex").json();
        assert_eq!(json["errors"][0]["code"], "uac2_not_supported");
        assert_eq!(json["streams"], json!([]));
    }

    #[test]
    fn a_configuration_that_is_refused_is_bad_input() {
        for name in ["empty", "zeros", "random_ff", "uac1_trunc_9"] {
            let report = report(&format!("malformed/{name}.hex"));
            assert!(!report.readable(), "{name}");
            assert_eq!(report.json()["errors"].as_array().map(Vec::len), Some(1), "{name}");
        }
        assert!(report("malformed/uac1_blen0.hex").readable());
    }

    #[test]
    fn every_dump_fits_into_80_columns() {
        let entries =
            fs::read_dir(data("")).unwrap().chain(fs::read_dir(data("malformed")).unwrap());
        for path in entries.map(|entry| entry.unwrap().path()) {
            let describe = Describe { file: path, json: false, speed: None };
            let text = anstream::adapter::strip_str(&describe.read().text()).to_string();
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", describe.file.display());
            }
        }
    }

    #[test]
    fn what_is_no_dump_says_where_and_what() {
        for (text, code, at) in [
            ("", "no_configuration", "1:1:"),
            ("# device\n12 01", "no_configuration", "1:1:"),
            ("0902", "no_section", "1:1:"),
            ("# configuration\n09 0x", "bad_hex", "2:5:"),
            ("# configuration\n09 0\n# device\n", "odd_digits", "2:4:"),
            ("# configuration\n09 0", "odd_digits", "2:4:"),
        ] {
            let fault = Dump::parse(text).unwrap_err();
            assert_eq!(fault.code, code, "{text}");
            assert!(fault.detail.starts_with(at), "{}", fault.detail);
            assert!(!Report::unreadable(fault).readable());
        }
        let missing = report("nothing.hex");
        assert_eq!(missing.json()["errors"][0]["code"], "cannot_read");
    }

    #[test]
    fn the_speed_is_the_slowest_that_the_endpoints_allow() {
        for (name, speed) in [
            ("046d_0a38_0115_logitech-usb-headset-h340.hex", Speed::Full),
            ("05ac_12a8_0801_iphone.hex", Speed::High),
            ("046d_0893_0317_logitech-streamcam.hex", Speed::Super),
        ] {
            assert_eq!(report(name).speed, speed, "{name}");
        }
    }
}
