//! `cargo xtask handshake`: everything that can happen between the cores.

use crate::WRONG;
use crate::style::{BAD, DIM, GOOD};
use anstream::println;
use handshake::world::Sabotage;
use handshake::{DEEP, Handshake, QUICK, Report};
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;

/// `cargo xtask handshake`
#[derive(Debug, clap::Args)]
pub(crate) struct HandshakeSearch {
    /// Search wider bounds, too: some minutes
    #[arg(long)]
    deep: bool,
    /// One line of JSON for each search
    #[arg(long)]
    json: bool,
}

impl HandshakeSearch {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let more = if self.deep { &DEEP[..] } else { &[] };
        let mut right = true;
        for &bounds in QUICK.iter().chain(more) {
            let start = Instant::now();
            let report = Handshake { bounds, sabotage: Sabotage::None }.search();
            let seconds = start.elapsed().as_secs_f64();
            right &= report.findings.is_empty();
            if self.json {
                println!("{}", as_json(&bounds.to_string(), &report, seconds));
            } else {
                tell(&bounds.to_string(), &report, seconds);
            }
        }
        if right { ExitCode::SUCCESS } else { ExitCode::from(WRONG) }
    }
}

fn tell(bounds: &str, report: &Report, seconds: f64) {
    let Report { states, steps, depth, findings } = report;
    let (style, mark) = if findings.is_empty() { (GOOD, "✓") } else { (BAD, "✗") };
    println!("{style}{mark}{style:#} {bounds}");
    println!("  {states} states, {steps} steps, {depth} deep {DIM}({seconds:.1} s){DIM:#}");
    for finding in findings {
        println!("  {BAD}not so:{BAD:#} {}", finding.property);
        for (n, action) in finding.path.iter().enumerate() {
            println!("  {:>4}  {action}", n + 1);
        }
    }
}

fn as_json(bounds: &str, report: &Report, seconds: f64) -> serde_json::Value {
    let findings = report.findings.iter().map(|finding| {
        let path: Vec<String> = finding.path.iter().map(ToString::to_string).collect();
        json!({ "property": finding.property, "path": path })
    });
    json!({
        "bounds": bounds,
        "states": report.states,
        "steps": report.steps,
        "depth": report.depth,
        "seconds": seconds,
        "findings": findings.collect::<Vec<_>>(),
    })
}
