//! `cargo xtask manifest`

use super::{Failure, Target};
use ::view::{Programs, Which};
use anstream::println;
use archive::Archive;
use serde_json::json;
use std::process::ExitCode;
use toml::{Table, Value};

/// `cargo xtask manifest`
#[derive(Debug, clap::Args)]
pub(crate) struct Manifest {
    #[command(flatten)]
    target: Target,
}

impl Manifest {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look_up(|archive| self.show(archive))
    }

    fn show(&self, archive: &Archive) -> Result<(), Failure> {
        let app = archive.app().parse::<Table>();
        let app = app.map_err(|error| Failure::bad(format!("app.toml in the archive: {error}")))?;
        let programs = Programs::of(archive);
        let text = |key| app.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let id = archive.image_id().to_string();
        let rows = [
            ("git rev", archive.git_rev().unwrap_or("-").to_owned()),
            ("image id", id.clone()),
            ("board", text("board")),
            ("name", text("name")),
            ("image", archive.name().unwrap_or("-").to_owned()),
            ("target", text("target")),
            ("features", features(app.get("kernel"))),
        ];
        for (name, value) in &rows {
            println!("{name:>12} => {value}");
        }
        let mut sizes = Vec::new();
        for which in programs.all() {
            let size: u64 = programs.get(which)?.segments().map(|segment| segment.size).sum();
            sizes.push((which, size));
        }
        let total: u64 = sizes.iter().map(|(_, size)| size).sum();
        println!(
            "{:>12} => {}K\n{:>12} => {}",
            "total size",
            total / 1024,
            "tasks",
            programs.task_names().len()
        );
        println!("{:>16}ID {:<20} {:>7} FEATURES", "", "TASK", "SIZE");
        let mut list = Vec::new();
        for (which, size) in sizes {
            let name = programs.get(which)?.name();
            let of_task = app.get("tasks").and_then(|tasks| tasks.get(name));
            let features =
                features(if which == Which::Kernel { app.get("kernel") } else { of_task });
            let id = match which {
                Which::Task(index) => index.to_string(),
                Which::Kernel | Which::Core1(_) => "-".into(),
            };
            println!("{:>16}{id:>2} {name:<20} {:>6.1}K {features}", "", size as f64 / 1024.0);
            list.push(json!({ "task": name, "size": size }));
        }
        if self.target.json {
            let rows = rows.iter().map(|(name, value)| (name.replace(' ', "_"), json!(value)));
            let mut object: serde_json::Map<_, _> = rows.collect();
            object.insert("programs".into(), list.into());
            println!("{}", serde_json::Value::Object(object));
        }
        Ok(())
    }
}

fn features(of: Option<&Value>) -> String {
    let features = of.and_then(|of| of.get("features")).and_then(Value::as_array);
    let names = features.into_iter().flatten().filter_map(Value::as_str);
    names.collect::<Vec<_>>().join(", ")
}
