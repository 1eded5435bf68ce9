//! What comes from outside, as arbitrary bytes.
//!
//! A [`Target`] takes any bytes and panics when something that must hold for
//! them does not. `cargo xtask fuzz` looks for bytes that do that; the folders
//! `corpus` and `crashes` hold those that are worth keeping, and each of them is
//! tried in an ordinary test.

#![forbid(unsafe_code)]

mod descriptors;
mod dispatch;
mod events;
mod message;
mod node;

use std::path::{Path, PathBuf};

/// Something that takes bytes from outside.
#[derive(Copy, Clone, Debug)]
pub struct Target {
    /// Its name, which is that of its folders.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Longest input that makes sense.
    pub longest: usize,
    /// Tries bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target {
        name: "qmi",
        about: "messages of the QMI service (lib/qmi)",
        longest: 512,
        run: message::run,
    },
    Target {
        name: "qrtr",
        about: "frames of the DSP's node (drv/dsp-link)",
        longest: 4096,
        run: node::run,
    },
    Target {
        name: "descriptors",
        about: "what a device says of itself (lib/usb-desc)",
        longest: 4096,
        run: descriptors::run,
    },
    Target {
        name: "events",
        about: "what a controller writes into an event ring (lib/trb)",
        longest: 4096,
        run: events::run,
    },
    Target {
        name: "dispatch",
        about: "messages to a generated server (lib/idol-runtime)",
        longest: 512,
        run: dispatch::run,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The folder of inputs that reach something new.
#[must_use]
pub fn corpus(target: &Target) -> PathBuf {
    folder("corpus", target)
}

/// The folder of inputs that once were a crash.
#[must_use]
pub fn crashes(target: &Target) -> PathBuf {
    folder("crashes", target)
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target.name)
}

/// Takes bytes off the front; zeros behind the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u32 {
        self.take(4).iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
    }

    /// Up to `len` bytes.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
