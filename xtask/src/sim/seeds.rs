//! Many seeds at once, on all cores.

use crate::Bad;
use crate::sim::{Plan, Sim, verdict};
use crate::style::{BAD, DIM, GOOD};
use anstream::{eprintln, println};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use judge::report::Report;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use system::image::Description;
use system::run::{Setup, run};

/// Failing seeds that are named; the rest is counted.
const NAMED: usize = 10;

/// What all runs came to.
#[derive(Default)]
struct Tally {
    right: u64,
    /// By seed.
    wrong: Vec<(u64, Report)>,
    hashes: BTreeSet<String>,
}

impl Tally {
    /// Whether seeds lead to different runs: 99 of 100 must, or a seed decides
    /// less than it should.
    fn differ(&self, seeds: u64) -> bool {
        self.hashes.len() as u64 * 100 >= seeds * 99
    }
}

/// Runs `seeds` seeds from the asked one on.
pub(crate) fn run_all(
    description: &'static Description,
    plan: &Plan,
    sim: &Sim,
    seeds: u64,
) -> Result<ExitCode, Bad> {
    if seeds == 0 {
        return Err(Bad("--seeds 0 runs nothing; give at least 1".to_owned()));
    }
    let began = Instant::now();
    let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("  {pos} of {len} {bar:40} {eta} left");
    bar.set_style(style.expect("the template is ours"));
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= seeds {
                        return;
                    }
                    let seed = sim.seed.wrapping_add(n);
                    let report = one(description, plan, sim, seed);
                    let mut tally = tally.lock().expect("no thread panics with the lock held");
                    tally.hashes.insert(report.trace_hash.clone());
                    if report.is_right() {
                        tally.right += 1;
                    } else {
                        tally.wrong.push((seed, report));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut tally = tally.into_inner().expect("no thread panicked");
    tally.wrong.sort_by_key(|(seed, _)| *seed);
    show(&tally, seeds, began.elapsed().as_secs_f64(), sim.json);
    Ok(verdict(tally.wrong.is_empty() && tally.differ(seeds)))
}

fn one(description: &'static Description, plan: &Plan, sim: &Sim, seed: u64) -> Report {
    run(Setup {
        description,
        sound: &plan.sound,
        device: sim.device.name(),
        path: sim.path.into(),
        seed,
        fault: sim.fault.map(|fault| (fault.0, fault.to_string())),
        pcap: None,
        trace: None,
        progress: None,
        look_at_ms: None,
        rings: sim.rings(),
    })
    .report
}

fn show(tally: &Tally, seeds: u64, seconds: f64, json: bool) {
    for (seed, report) in tally.wrong.iter().take(NAMED) {
        let why = report.refused.clone().unwrap_or_else(|| wrong_in(report));
        eprintln!("{BAD}✗{BAD:#} seed {seed}: {why}");
    }
    if tally.wrong.len() > NAMED {
        eprintln!("  … and {} more", tally.wrong.len() - NAMED);
    }
    let style = if tally.wrong.is_empty() { GOOD } else { BAD };
    println!("{style}{} of {seeds} seeds as they should be{style:#}", tally.right);
    let style = if tally.differ(seeds) { DIM } else { BAD };
    println!("{style}{} different traces, {seconds:.1} s{style:#}", tally.hashes.len());
    if json {
        let wrong: Vec<u64> = tally.wrong.iter().map(|(seed, _)| *seed).collect();
        let summary = json!({
            "seeds": seeds,
            "right": tally.right,
            "wrong": wrong,
            "different_traces": tally.hashes.len(),
            "seconds": seconds,
        });
        println!("{summary}");
    }
}

/// The first thing that is not as it should be.
fn wrong_in(report: &Report) -> String {
    let counts = [
        ("gaps", u64::from(report.gaps)),
        ("crowded intervals", u64::from(report.crowded)),
        ("underruns", u64::from(report.underruns)),
        ("SMMU faults", report.iommu_faults),
        ("model violations", report.model_violations),
        ("task faults", report.task_faults),
        ("things left behind", u64::from(report.leaks.total())),
        ("wake-ups while streaming", report.app_core_wakeups_while_streaming),
        ("system calls while streaming", report.app_core_syscalls_while_streaming.unwrap_or(0)),
    ];
    let mut wrong: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count != 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if !report.bit_exact {
        wrong.insert(0, "not bit for bit".to_owned());
    }
    wrong.extend(report.violations.first().cloned());
    wrong.join(", ")
}
