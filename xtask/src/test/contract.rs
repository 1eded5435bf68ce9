//! What a debugger gets of the board: archive and dumps as Humility asks for
//! them, and in them what happened.
//!
//! The rows are in the crate `contract`; here is the board that they are held
//! against. It plays, a dump is taken in mid-stream, it goes on, the headset is
//! unplugged, and a second dump is taken.

mod damages;
mod fallen;
mod files;
mod session;
mod story;
mod views;

use crate::board;
use crate::run::stage::{Built, Stop};
use ::contract::ROWS;
use archive::Archive;
use dump::Dump;
use std::process::ExitCode;

/// Where the step leaves its dumps, for whoever wants to look into them.
fn folder() -> std::path::PathBuf {
    board::output().join("contract")
}

/// Runs the step; the message says what was found.
pub(super) fn check() -> Result<Result<String, String>, ExitCode> {
    let mut wrong = Vec::new();
    let told = run(&mut wrong).map_err(Stop::say)?;
    Ok(if wrong.is_empty() { Ok(told) } else { Err(wrong.join("\n")) })
}

fn run(wrong: &mut Vec<String>) -> Result<String, Stop> {
    let built = Built::new()?;
    let archive = Archive::open(&built.image.archive).map_err(bad)?;
    let damaged = damages::check(&archive, wrong);
    let session = session::play(&built, wrong)?;
    for (name, bytes) in [("live", &session.live), ("after", &session.after)] {
        held(name, bytes, wrong);
    }
    story::check(&session, wrong)?;
    views::check("--dump", &folder().join("after.dump"), &built.image.archive, wrong)?;
    let others = fallen::Built::new()?;
    let archives = files::Archives { own: &built.image.archive, other: &others.messages.archive };
    files::check(&archives, &session.after, wrong)?;
    let fallen = fallen::check(&others, wrong)?;
    Ok(format!(
        "{} rows, {damaged} damages seen; a dump in {} ms, the stream exact; {fallen}",
        ROWS.len(),
        session.took.as_millis()
    ))
}

fn bad(error: impl std::fmt::Display) -> Stop {
    Stop::Bad(crate::Bad(error.to_string()))
}

/// Holds a dump, and the archive in it, against the rows.
fn held(name: &str, bytes: &[u8], wrong: &mut Vec<String>) {
    let path = folder().join(format!("{name}.dump"));
    let kept = std::fs::create_dir_all(folder()).and_then(|()| std::fs::write(&path, bytes));
    if let Err(error) = kept {
        wrong.push(format!("{}: {error}", path.display()));
    }
    let dump = match Dump::read(bytes) {
        Ok(dump) => dump,
        Err(error) => return wrong.push(format!("{name}: {error}")),
    };
    match ::contract::check(&dump.archive, Some((bytes, &dump))) {
        Ok(broken) => wrong.extend(broken.iter().map(|row| format!("{name}: {row}"))),
        Err(why) => wrong.push(format!("{name}: Humility could not open it: {why}")),
    }
}
