//! `cargo xtask dist`: makes a bootable image.

use crate::style::{DIM, GOOD};
use crate::{board, root, sizes};
use anstream::println;
use image::Image;
use std::path::PathBuf;
use std::process::ExitCode;

/// `cargo xtask dist`
#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// The image's description [default: the project's app.toml]
    app: Option<PathBuf>,
}

impl Dist {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let description = self.app.clone().unwrap_or_else(|| root().join("app.toml"));
        let image = match board::build(&description) {
            Ok(image) => image,
            Err(code) => return code,
        };
        sizes::show(&image);
        let Image { elf, bin, map, archive, id, bytes, .. } = &image;
        println!("{GOOD}✓{GOOD:#} {} {DIM}{bytes} bytes, image {id:016x}{DIM:#}", elf.display());
        for file in [bin, map, archive] {
            println!("  {}", file.display());
        }
        sizes::judge(&image)
    }
}
