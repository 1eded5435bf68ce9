//! One binary for the target, through cargo.

use crate::{Error, Folders};
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
    /// Environment variable that names the generated file, and the file.
    pub(crate) generated: (&'b str, &'b Path),
    /// The linker script, below the workspace.
    pub(crate) script: &'b str,
    /// Symbols for the linker script.
    pub(crate) symbols: &'b [(&'b str, u32)],
}

/// The profile of the workspace that images are built with.
const PROFILE: &str = "image";

impl Binary<'_> {
    /// Builds it; where it is until the next one of its name is built.
    pub(crate) fn build(&self, folders: &Folders) -> Result<PathBuf, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target_dir = folders.output.join("cargo");
        let mut features = String::from("image");
        for feature in self.features {
            features.extend([",", feature]);
        }
        let mut command = Command::new(cargo);
        command
            .current_dir(&folders.workspace)
            .args(["rustc", "--quiet", "--profile", PROFILE, "--target", self.target])
            .args(["--package", self.package, "--bin", self.binary, "--features", &features])
            .args(["-Zbuild-std=core", "-Zbuild-std-features=compiler-builtins-mem"])
            .arg("--target-dir")
            .arg(&target_dir)
            .arg("--")
            .arg(format!("-Clink-arg=-T{}", folders.workspace.join(self.script).display()));
        for (symbol, value) in self.symbols {
            command.arg(format!("-Clink-arg=--defsym={symbol}={value:#x}"));
        }
        // A stable compiler takes -Z only so.
        command.env("RUSTC_BOOTSTRAP", "1").env(self.generated.0, self.generated.1);
        // No path of this machine in the image (panic messages, debug
        // information): the same commit gives the same bytes anywhere.
        let workspace = folders.workspace.display();
        command.env("RUSTFLAGS", format!("--remap-path-prefix={workspace}=."));
        command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        let status = command.status().map_err(Error::NoCargo)?;
        if !status.success() {
            return Err(if has_source() {
                Error::Compile(self.package.to_owned())
            } else {
                Error::NoSource
            });
        }
        Ok(target_dir.join(self.target).join(PROFILE).join(self.binary))
    }
}

/// Whether the compiler comes with the source of `core`.
fn has_source() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).args(["--print", "sysroot"]).output() else {
        return false;
    };
    let sysroot = String::from_utf8_lossy(&output.stdout);
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir()
}
