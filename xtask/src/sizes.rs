//! `cargo xtask sizes`: what each part of an image takes, and may.

use crate::style::{BAD, DIM, HEAD};
use crate::{WRONG, board, root};
use anstream::{eprintln, println};
use image::{Image, Stack, Usage};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// `cargo xtask sizes`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The stack is the most that the instructions of a task can use, followed call by\n\
                  call; with '≥' something could not be followed, and is named below."
)]
pub(crate) struct Sizes {
    /// The image's description [default: the project's app.toml]
    app: Option<PathBuf>,
    /// Show each task's deepest path of calls
    #[arg(long)]
    paths: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Most bytes of kernel code.
const KERNEL_TEXT: u32 = 24 * 1024;
/// Most bytes of an image with one controller.
const IMAGE: u32 = 256 * 1024;
/// What each further controller may add: a driver, and what the others need for it.
const CONTROLLER: u32 = 56 * 1024;
/// What hubs may add.
const HUBS: u32 = 8 * 1024;

impl Sizes {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let description = self.app.clone().unwrap_or_else(|| root().join("app.toml"));
        let image = match board::build(&description) {
            Ok(image) => image,
            Err(code) => return code,
        };
        show(&image);
        if self.paths {
            show_paths(&image);
        }
        if self.json {
            println!("{}", report(&image));
        }
        judge(&image)
    }
}

/// The table.
pub(crate) fn show(image: &Image) {
    println!(
        "{HEAD}{:<16} {:>6} {:>6} {:>15} {:>16} {:>16}{HEAD:#}",
        "", "code", "const.", "of flash", "RAM", "its stack"
    );
    for Usage { name, text, constants, ram, flash_limit, ram_limit, stack } in &image.usage {
        let of = |used: u32, limit: Option<u32>| match limit {
            Some(limit) => format!("{used} of {limit}"),
            None => used.to_string(),
        };
        let flash = of(text + constants, *flash_limit);
        let ram = of(*ram, *ram_limit);
        let stack = stack.as_ref().map(used).unwrap_or_default();
        println!("{name:<16} {text:>6} {constants:>6} {flash:>15} {ram:>16} {stack:>16}");
    }
    for Usage { name, stack, .. } in &image.usage {
        for gap in stack.iter().flat_map(|stack| &stack.bound.gaps) {
            println!("{DIM}{name}: {gap}{DIM:#}");
        }
    }
}

fn used(stack: &Stack) -> String {
    let mark = if stack.bound.is_certain() { "" } else { "≥" };
    format!("{mark}{} of {}", stack.bound.bytes, stack.bytes)
}

fn show_paths(image: &Image) {
    for usage in &image.usage {
        let Some(stack) = &usage.stack else { continue };
        println!("\n{HEAD}{}{HEAD:#}", usage.name);
        for (name, bytes) in &stack.bound.path {
            println!("{bytes:>8}  {name}");
        }
    }
}

/// Says what is larger than it may be.
pub(crate) fn judge(image: &Image) -> ExitCode {
    let further = image.app.controllers().len().saturating_sub(1) as u32;
    let is_hubs = |feature: &String| feature == "hubs";
    let hubs = image.app.tasks.iter().any(|task| task.features.iter().any(is_hubs));
    let most = IMAGE + further * CONTROLLER + u32::from(hubs) * HUBS;
    let limits =
        [("kernel's code", image.usage[0].text, KERNEL_TEXT), ("image", image.bytes, most)];
    let mut code = ExitCode::SUCCESS;
    for (what, bytes, limit) in limits {
        if bytes > limit {
            eprintln!("{BAD}✗{BAD:#} the {what} has {bytes} bytes; {limit} at most");
            code = ExitCode::from(WRONG);
        }
    }
    code
}

fn report(image: &Image) -> Value {
    let part = |usage: &Usage| {
        let stack = usage.stack.as_ref().map(|stack| {
            let gaps: Vec<String> = stack.bound.gaps.iter().map(ToString::to_string).collect();
            json!({ "bytes": stack.bytes, "bound": stack.bound.bytes, "not_followed": gaps })
        });
        json!({
            "name": usage.name,
            "code": usage.text,
            "constants": usage.constants,
            "flash_limit": usage.flash_limit,
            "ram": usage.ram,
            "ram_limit": usage.ram_limit,
            "stack": stack,
        })
    };
    let parts: Vec<Value> = image.usage.iter().map(part).collect();
    json!({ "image_bytes": image.bytes, "parts": parts })
}
