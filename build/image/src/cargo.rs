//! One binary for the target, through cargo.

use crate::{Error, Folders};
use app::Panics;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A binary to build.
pub(crate) struct Binary<'b> {
    /// Its package.
    pub(crate) package: &'b str,
    /// Its name in the package.
    pub(crate) binary: &'b str,
    /// Features beside `image`.
    pub(crate) features: &'b [String],
    /// The compiler's target.
    pub(crate) target: &'b str,
    /// The core, if a certain one.
    pub(crate) cpu: Option<&'b str>,
    /// What it leaves behind when it gives up.
    pub(crate) panics: Panics,
    /// Environment variable that names the generated file, and the file.
    pub(crate) generated: (&'b str, &'b Path),
    /// The linker script, below the workspace.
    pub(crate) script: &'b str,
    /// Symbols for the linker script.
    pub(crate) symbols: &'b [(&'b str, u32)],
}

impl Binary<'_> {
    /// Builds it; where it is until the next one of its name is built.
    pub(crate) fn build(&self, folders: &Folders) -> Result<PathBuf, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target_dir = folders.output.join("cargo");
        let (profile, core) = match self.panics {
            Panics::Messages => ("image", "compiler-builtins-mem"),
            Panics::Places => ("image-small", "compiler-builtins-mem,optimize_for_size"),
        };
        let mut features = String::from("image");
        for feature in self.features {
            features.extend([",", feature]);
        }
        // The compiler's own of that name, without frame pointers.
        let target = format!("build/image/targets/{}.json", self.target);
        let mut command = Command::new(cargo);
        command
            .current_dir(&folders.workspace)
            .args(["rustc", "--quiet", "--profile", profile, "-Zjson-target-spec"])
            .args(["--target", &target])
            .args(["--package", self.package, "--bin", self.binary, "--features", &features])
            .args(["-Zbuild-std=core", &format!("-Zbuild-std-features={core}")])
            .arg("--target-dir")
            .arg(&target_dir)
            .arg("--")
            .arg(format!("-Clink-arg=-T{}", folders.workspace.join(self.script).display()));
        for (symbol, value) in self.symbols {
            command.arg(format!("-Clink-arg=--defsym={symbol}={value:#x}"));
        }
        // A stable compiler takes -Z only so.
        command
            .env("RUSTC", &folders.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env(self.generated.0, self.generated.1);
        command.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        let mut arguments = renamed(folders);
        // Without, what never returns does not keep where it came from.
        arguments.push("-Cforce-unwind-tables=yes".to_owned());
        arguments.extend(self.cpu.map(|cpu| format!("-Ctarget-cpu={cpu}")));
        if self.panics == Panics::Places {
            // Without texts nothing is printed, and Debug has nothing to say. What
            // occurs in several places is there once; nothing is inlined that
            // does not make its caller smaller, and no load is there twice to be
            // sooner.
            let places = [
                "-Zunstable-options",
                "-Cpanic=immediate-abort",
                "-Zfmt-debug=none",
                "-Cllvm-args=-enable-machine-outliner=always",
                "-Cllvm-args=-inline-threshold=0",
                "-Cllvm-args=-enable-pre=false",
                "-Clink-arg=--icf=all",
            ];
            arguments.extend(places.map(String::from));
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", arguments.join("\u{1f}"));
        let status = command.status().map_err(Error::NoCargo)?;
        if !status.success() {
            return Err(Error::Compile(self.package.to_owned()));
        }
        Ok(target_dir.join(self.target).join(profile).join(self.binary))
    }
}

/// Compiler arguments that give paths other names: no path of this machine is in
/// the image (panic messages) or its archive (debug information), so that the
/// same commit gives the same bytes anywhere. The last that fits is taken.
fn renamed(folders: &Folders) -> Vec<String> {
    let mut places =
        vec![(folders.workspace.clone(), "."), (folders.output.clone(), "target/sotto")];
    places.extend(registries().into_iter().map(|place| (place, "registry")));
    if let Some(library) = library(&folders.rustc) {
        places.extend(library.canonicalize().map(|place| (place, "library")));
        places.push((library, "library"));
    }
    let renamed = places.into_iter();
    renamed.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display())).collect()
}

/// The folders that cargo unpacks other people's crates in, one per registry.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folders = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    folders.into_iter().flatten().filter_map(|folder| Some(folder.ok()?.path())).collect()
}

/// Where the source of `core` is.
fn library(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8_lossy(&output.stdout);
    Some(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"))
}
