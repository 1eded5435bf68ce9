//! What there is on this machine.

use super::plan::Need;
use qemu::QEMU;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The compiler that Debian's packages install.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Their linker: a link to a program of the linker's own package, which has the
/// program's name.
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";
/// The linker of the board's target.
const LINKER: &str = "rust-lld";

/// A release of the language, such as 1.95.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    pub(super) major: u16,
    pub(super) minor: u16,
}

impl Release {
    /// Reads `1.95`, `1.95.0`, `1.97.0-nightly`, `1.96.0+dfsg1-1`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?;
        let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self { major, minor: minor[..digits].parse().ok()? })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A compiler, and what building for the board takes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    pub(super) rustc: PathBuf,
    pub(super) release: Release,
    /// Whether it is a release to come, whose library may still be marked with
    /// the release before.
    pub(super) preview: bool,
    /// Of which release the source of `core` is that comes with it.
    pub(super) source: Option<Release>,
    /// Whether it finds the linker of the board's target.
    pub(super) linker: bool,
}

impl Compiler {
    /// Looks at the compiler `rustc`.
    fn look(rustc: &str) -> Option<Self> {
        let version = output(rustc, &["-vV"])?;
        let field =
            |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (release, host) = (field("release:")?, field("host:")?);
        let sysroot = PathBuf::from(output(rustc, &["--print", "sysroot"])?.trim());
        let rustlib = sysroot.join("lib/rustlib");
        Some(Self {
            rustc: rustc.into(),
            release: Release::read(release)?,
            preview: release.contains('-'),
            source: source_release(&rustlib.join("src/rust/library/core/src")),
            linker: rustlib.join(host).join("bin").join(LINKER).exists() || is_program(LINKER),
        })
    }
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// Compilers, the one that cargo uses first.
    pub(super) compilers: Vec<Compiler>,
    /// The package of the linker that Debian's compiler asks for and that is
    /// not installed.
    pub(super) linker_package: Option<String>,
    pub(super) rustfmt: bool,
    pub(super) clippy: bool,
    pub(super) qemu: bool,
    pub(super) rustup: bool,
    /// Whether packages can be installed: apt-get is there, and we are root.
    pub(super) apt: bool,
    /// The release of Debian's compiler, as far as the package lists tell.
    pub(super) debian: Option<Release>,
}

impl Machine {
    /// Looks for what concerns `needs`.
    pub(super) fn look(needs: &[Need]) -> Self {
        let program = |variable, name: &str| std::env::var(variable).unwrap_or(name.to_owned());
        let cargo = program("CARGO", "cargo");
        let has = |command| output(&cargo, &[command, "--version"]).is_some();
        let mut machine = Self {
            rustfmt: needs.contains(&Need::Formatting) && has("fmt"),
            clippy: needs.contains(&Need::Lints) && has("clippy"),
            qemu: is_program(QEMU),
            rustup: is_program("rustup"),
            apt: is_program("apt-get") && output("id", &["-u"]).is_some_and(|id| id.trim() == "0"),
            ..Self::default()
        };
        if needs.contains(&Need::Board) {
            machine.look_for_compilers(&program("RUSTC", "rustc"));
        }
        machine
    }

    fn look_for_compilers(&mut self, rustc: &str) {
        self.compilers.extend(Compiler::look(rustc));
        if self.builder().is_none() {
            self.compilers.extend(Compiler::look(DEBIAN_RUSTC));
            self.debian = output("apt-cache", &["policy", "rustc-web"]).and_then(|policy| {
                let mut lines = policy.lines();
                Release::read(lines.find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim())
            });
            self.linker_package = dangling(Path::new(DEBIAN_LINKER));
        }
    }

    /// What is there, a line each.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(compiler) = self.builder() {
            let Compiler { rustc, release, .. } = compiler;
            lines.push(format!("{} {release}, source of `core`, {LINKER}", rustc.display()));
        }
        let parts = [(self.rustfmt, "rustfmt"), (self.clippy, "clippy"), (self.qemu, QEMU)];
        lines.extend(parts.iter().filter(|part| part.0).map(|part| part.1.to_owned()));
        lines
    }
}

/// What `program` prints when it succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    run.status.success().then(|| String::from_utf8_lossy(&run.stdout).into_owned())
}

/// Whether a program of this name is in the path.
fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// The name of what a link names and what is not there.
fn dangling(link: &Path) -> Option<String> {
    let target = std::fs::read_link(link).ok()?;
    let name = target.file_name()?.to_str()?.to_owned();
    (!link.exists()).then_some(name)
}

/// The release that the source below `folder` is of: the highest in which
/// something of it became stable, which every release has.
fn source_release(folder: &Path) -> Option<Release> {
    let entries = std::fs::read_dir(folder).ok()?;
    let highest = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        if path.is_dir() {
            return source_release(&path);
        }
        let text = std::fs::read_to_string(&path).ok()?;
        text.lines().filter_map(stable_since).max()
    });
    highest.max()
}

/// The release in a line such as `#[stable(feature = "x", since = "1.95.0")]`.
fn stable_since(line: &str) -> Option<Release> {
    let (_, attribute) = line.split_once("stable(")?;
    let (_, since) = attribute.split_once("since = \"")?;
    Release::read(since)
}

#[cfg(test)]
mod tests {
    use super::{Release, dangling, source_release, stable_since};
    use std::fs;

    #[test]
    fn releases_are_read_as_compilers_and_packages_write_them() {
        let release = |minor| Some(Release { major: 1, minor });
        assert_eq!(Release::read("1.95"), release(95));
        assert_eq!(Release::read("1.97.0-nightly"), release(97));
        assert_eq!(Release::read("1.96.0+dfsg1-1~deb12u2"), release(96));
        assert_eq!(Release::read("(none)"), None);
        assert_eq!(Release::read("1"), None);
    }

    #[test]
    fn a_source_is_of_the_release_that_made_its_newest_part_stable() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("num")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("lib.rs", "#[stable(feature = \"a\", since = \"1.9.0\")]\n");
        write(
            "num/mod.rs",
            "#[rustc_const_stable(feature = \"b\", since = \"1.95.0\")]\n\
             #[deprecated(since = \"1.99.0\", note = \"later\")]\n",
        );
        assert_eq!(source_release(folder.path()), Some(Release { major: 1, minor: 95 }));
        assert_eq!(source_release(&folder.path().join("none")), None);
    }

    #[test]
    fn only_what_became_stable_counts() {
        assert_eq!(stable_since("#[unstable(feature = \"c\", issue = \"none\")]"), None);
        assert_eq!(stable_since("#[deprecated(since = \"1.99.0\")]"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_what_is_not_there_names_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("rust-lld");
        std::os::unix::fs::symlink("lld-22", &link).unwrap();
        assert_eq!(dangling(&link).as_deref(), Some("lld-22"));
        fs::write(folder.path().join("lld-22"), "").unwrap();
        assert_eq!(dangling(&link), None);
    }
}
