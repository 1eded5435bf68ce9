//! A run that `cargo xtask explore` found, step by step.

use crate::root;
use crate::sim::{Bad, Output, Sim, each_its_own, look, verdict};
use crate::style::{BAD, DIM, GOOD, HEAD};
use anstream::println;
use explore::{Case, Sinks, Stage, case, file};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The run that `path` describes, and its stage.
pub(crate) fn load(path: &Path) -> Result<(Stage, Case), Bad> {
    let stage = Stage::load(&root()).map_err(Bad)?;
    let text = fs::read_to_string(path)
        .map_err(|error| Bad(format!("{} cannot be read: {error}", path.display())))?;
    let run =
        file::read(stage, &text).map_err(|error| Bad(format!("{}: {error}", path.display())))?;
    Ok((stage, run))
}

/// Plays the run that `path` describes.
pub(crate) fn replay(sim: &Sim, path: &Path) -> Result<ExitCode, Bad> {
    let (stage, run) = load(path)?;
    let pcap = sim.pcap.clone().map(Output::new).transpose()?;
    let trace = sim.trace.clone().map(Output::new).transpose()?;
    let dump = sim.dump.clone().map(Output::new).transpose()?;
    each_its_own([pcap.as_ref(), trace.as_ref(), dump.as_ref()])?;
    let sinks = Sinks {
        trace: trace.as_ref().map(Output::writer).transpose()?,
        pcap: pcap.as_ref().map(Output::writer).transpose()?,
    };
    println!("{HEAD}{}{HEAD:#}, seed {}", run.scenario.name(), run.seed);
    for strike in &run.strikes {
        let point = case::point_text(stage.description(run.scenario), strike.at);
        println!("  {} at {point}", strike.what);
    }
    // What panics in the run is told as its end.
    std::panic::set_hook(Box::new(|_| {}));
    let (ran, story) = stage.tell(&run, sinks);
    ran.written.map_err(|error| Bad(format!("the trace or capture cannot be written: {error}")))?;
    if let (Some(output), Some(look)) = (&dump, &ran.look) {
        let text = look::json(stage.description(run.scenario), look).to_string();
        output.writer()?.write_all(text.as_bytes()).map_err(|error| output.failed(&error))?;
    }
    for output in [pcap, trace, dump].into_iter().flatten() {
        output.complete()?;
    }
    for (at, what) in &story {
        println!("{DIM}{:>12.3} ms{DIM:#}  {what}", at.0 as f64 / 1e6);
    }
    let missed = run.strikes.len() - ran.struck.len();
    if missed != 0 {
        println!("{BAD}{missed} faults found no such point{BAD:#}");
    }
    for finding in &ran.findings {
        println!("{BAD}✗{BAD:#} {finding}");
    }
    if ran.findings.is_empty() {
        println!("{GOOD}all is as it should be{GOOD:#}");
    }
    if sim.json {
        let object = json!({
            "scenario": run.scenario.name(),
            "seed": run.seed,
            "faults": run.strikes.len(),
            "struck": ran.struck.len(),
            "findings": ran.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "trace_hash": format!("{:016x}", ran.hash),
        });
        println!("{object}");
    }
    Ok(verdict(ran.findings.is_empty()))
}
