//! `cargo xtask dist`: makes a bootable image.

use crate::style::{BAD, DIM, GOOD, HEAD};
use crate::{WRONG, board, root};
use anstream::{eprintln, println};
use image::{Image, Usage};
use std::path::PathBuf;
use std::process::ExitCode;

/// `cargo xtask dist`
#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// The image's description [default: the project's app.toml]
    app: Option<PathBuf>,
}

/// Most bytes of kernel code.
const KERNEL_TEXT: u32 = 24 * 1024;
/// Most bytes of an image.
const IMAGE: u32 = 256 * 1024;

impl Dist {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let description = self.app.clone().unwrap_or_else(|| root().join("app.toml"));
        let image = match board::build(&description) {
            Ok(image) => image,
            Err(code) => return code,
        };
        show(&image);
        let Image { elf, bin, map, archive, id, bytes, usage, .. } = &image;
        println!("{GOOD}✓{GOOD:#} {} {DIM}{bytes} bytes, image {id:016x}{DIM:#}", elf.display());
        for file in [bin, map, archive] {
            println!("  {}", file.display());
        }
        let limits = [("kernel's code", usage[0].text, KERNEL_TEXT), ("image", *bytes, IMAGE)];
        let mut code = ExitCode::SUCCESS;
        for (what, bytes, limit) in limits {
            if bytes > limit {
                eprintln!("{BAD}✗{BAD:#} the {what} has {bytes} bytes; {limit} at most");
                code = ExitCode::from(WRONG);
            }
        }
        code
    }
}

fn show(image: &Image) {
    println!(
        "{HEAD}{:<20} {:>8} {:>10} {:>17} {:>17}{HEAD:#}",
        "", "code", "constants", "of flash", "RAM"
    );
    for Usage { name, text, constants, ram, flash_limit, ram_limit } in &image.usage {
        let of = |used: u32, limit: Option<u32>| match limit {
            Some(limit) => format!("{used} of {limit}"),
            None => used.to_string(),
        };
        let flash = of(text + constants, *flash_limit);
        println!("{name:<20} {text:>8} {constants:>10} {flash:>17} {:>17}", of(*ram, *ram_limit));
    }
}
