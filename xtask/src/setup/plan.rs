//! From what was found to what is to be done.
//!
//! No step is taken twice: one that did not help leaves the next way, and when
//! there is none, what is missing and how a person gets it.

use super::machine::{Compiler, Machine, Release};
use qemu::QEMU;

/// Debian's compiler, its source, its link to a linker, and that linker.
const DEBIAN: [&str; 4] = ["rustc-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// The oldest release that the project is written for: Cargo.toml's rust-version.
const LEAST: Release = Release { major: 1, minor: 95 };

/// Something that a command needs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Formatting: rustfmt.
    Formatting,
    /// Lints: clippy.
    Lints,
    /// Building for the board: a compiler, the source of its `core`, a linker.
    Board,
    /// The emulator of the board.
    Emulator,
}

impl Need {
    /// Everything.
    pub(super) const ALL: [Self; 4] = [Self::Board, Self::Emulator, Self::Formatting, Self::Lints];
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Add a component to the toolchain that is in use.
    Rustup(&'static str),
    /// Fetch the lists of packages.
    Lists,
    /// Install packages.
    Packages(Vec<String>),
}

impl Step {
    /// The words of its command.
    pub(super) fn command(&self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Rustup(component) => &["rustup", "component", "add", component],
            Self::Lists => &["apt-get", "update", "-q"],
            Self::Packages(_) => &["apt-get", "install", "-qy", "--no-install-recommends"],
        };
        let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        if let Self::Packages(packages) = self {
            words.extend(packages.iter().cloned());
        }
        words
    }

    /// Why it is taken.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Rustup(component) => format!("{component} is missing"),
            Self::Lists => "packages are missing".to_owned(),
            Self::Packages(packages) => format!("installing {}", packages.join(", ")),
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: all is there.
    Ready,
    /// This, then look again.
    Do(Step),
    /// Nothing that can be done here: this is missing.
    Lacking(Vec<Need>),
}

/// What comes next for `needs` on `machine`, after `tried`.
pub(super) fn next(machine: &Machine, needs: &[Need], tried: &[Step]) -> Plan {
    let lacks = lacks(machine, needs);
    let steps = lacks.iter().flat_map(|&need| ways(need, machine));
    match steps.into_iter().find(|step| !tried.contains(step)) {
        Some(step) => Plan::Do(step),
        None if lacks.is_empty() => Plan::Ready,
        None => Plan::Lacking(lacks),
    }
}

/// What of `needs` is missing on `machine`.
pub(super) fn lacks(machine: &Machine, needs: &[Need]) -> Vec<Need> {
    let is_met = |need: Need| match need {
        Need::Formatting => machine.rustfmt,
        Need::Lints => machine.clippy,
        Need::Board => machine.builder().is_some(),
        Need::Emulator => machine.qemu,
    };
    needs.iter().copied().filter(|&need| !is_met(need)).collect()
}

/// The ways in which `machine` may get `need`, the best first.
fn ways(need: Need, machine: &Machine) -> Vec<Step> {
    match need {
        Need::Formatting => component("rustfmt", machine),
        Need::Lints => component("clippy", machine),
        Need::Emulator => packages(&[QEMU], machine),
        Need::Board => {
            let lacks_source = machine.compilers.first().is_some_and(Compiler::lacks_source);
            let mut ways = Vec::new();
            if lacks_source && machine.rustup {
                ways.push(Step::Rustup("rust-src"));
            }
            if machine.debian >= Some(LEAST) {
                ways.extend(packages(&DEBIAN, machine));
            } else {
                // Newer lists may have a newer one.
                ways.extend(packages(&[], machine));
            }
            if let Some(linker) = &machine.linker_package {
                ways.extend(packages(&[linker], machine));
            }
            ways
        }
    }
}

/// A component through rustup, or as Debian's package beside its compiler.
fn component(name: &'static str, machine: &Machine) -> Vec<Step> {
    if machine.rustup { vec![Step::Rustup(name)] } else { packages(&[debian_of(name)], machine) }
}

fn debian_of(component: &str) -> &'static str {
    if component == "clippy" { "rust-web-clippy" } else { "rustfmt-web" }
}

/// Packages, after a look at the lists; nothing where that cannot be done.
fn packages(names: &[&str], machine: &Machine) -> Vec<Step> {
    if !machine.apt {
        return Vec::new();
    }
    let mut steps = vec![Step::Lists];
    if !names.is_empty() {
        steps.push(Step::Packages(names.iter().map(|&name| name.to_owned()).collect()));
    }
    steps
}

/// Why a compiler cannot build for the board.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Trouble {
    TooOld,
    NoSource,
    OtherSource(Release),
    NoLinker,
}

impl Compiler {
    fn trouble(&self) -> Option<Trouble> {
        let Some(source) = self.source else { return Some(Trouble::NoSource) };
        let before = Release { minor: source.minor + 1, ..source };
        if self.release < LEAST {
            Some(Trouble::TooOld)
        } else if source != self.release && !(self.preview && before == self.release) {
            Some(Trouble::OtherSource(source))
        } else if !self.linker {
            Some(Trouble::NoLinker)
        } else {
            None
        }
    }

    fn lacks_source(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::NoSource | Trouble::OtherSource(_)))
    }
}

impl Machine {
    /// The compiler that builds for the board.
    pub(super) fn builder(&self) -> Option<&Compiler> {
        self.compilers.iter().find(|compiler| compiler.trouble().is_none())
    }
}

/// What is wrong, and what would be right.
pub(super) fn explain(need: Need, machine: &Machine) -> String {
    let component = |name: &str| {
        let package = debian_of(name);
        format!("{name} is missing\n  rustup component add {name}, or apt-get install {package}")
    };
    match need {
        Need::Formatting => component("rustfmt"),
        Need::Lints => component("clippy"),
        Need::Emulator => format!("{QEMU} is missing\n  as root: apt-get install {QEMU}"),
        Need::Board => {
            let mut text = "nothing here builds for the board".to_owned();
            for compiler in &machine.compilers {
                text.push_str(&format!("\n  {}", explain_compiler(compiler)));
            }
            if machine.compilers.is_empty() {
                text.push_str("\n  there is no rustc");
            }
            text.push_str("\n  right would be: rustup component add rust-src");
            let known = machine.debian.map(|release| format!("; here it is {release}"));
            text.push_str(&format!(
                "\n  or Debian's compiler, {LEAST} or later{}; as root:\n    apt-get install {}",
                known.unwrap_or_default(),
                DEBIAN.join(" "),
            ));
            text
        }
    }
}

fn explain_compiler(compiler: &Compiler) -> String {
    let Compiler { rustc, release, .. } = compiler;
    let name = format!("{} {release}", rustc.display());
    match compiler.trouble() {
        Some(Trouble::TooOld) => format!("{name} is older than {LEAST}"),
        Some(Trouble::NoSource) => format!("{name} has no source of `core`"),
        Some(Trouble::OtherSource(source)) => format!("{name} has the source of {source}"),
        Some(Trouble::NoLinker) => format!("{name} finds no rust-lld"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{DEBIAN, LEAST, Need, Plan, Step, explain, lacks, next};
    use crate::setup::machine::{Compiler, Machine, Release};

    fn release(minor: u16) -> Release {
        Release { major: 1, minor }
    }

    fn compiler(minor: u16, source: Option<u16>) -> Compiler {
        Compiler {
            rustc: "rustc".into(),
            release: release(minor),
            preview: false,
            source: source.map(release),
            linker: true,
        }
    }

    fn debian() -> Step {
        Step::Packages(DEBIAN.map(str::to_owned).to_vec())
    }

    /// Everything is there but what a test takes away.
    fn whole() -> Machine {
        Machine {
            compilers: vec![compiler(95, Some(95))],
            linker_package: None,
            rustfmt: true,
            clippy: true,
            qemu: true,
            rustup: true,
            apt: true,
            debian: None,
        }
    }

    #[test]
    fn the_oldest_release_is_the_workspaces() {
        assert_eq!(Release::read(env!("CARGO_PKG_RUST_VERSION")), Some(LEAST));
    }

    #[test]
    fn a_whole_machine_needs_nothing() {
        assert_eq!(next(&whole(), &Need::ALL, &[]), Plan::Ready);
    }

    #[test]
    fn only_what_is_needed_is_installed() {
        let machine = Machine { qemu: false, rustfmt: false, ..whole() };
        assert_eq!(next(&machine, &[Need::Board], &[]), Plan::Ready);
        assert_eq!(next(&machine, &[Need::Formatting], &[]), Plan::Do(Step::Rustup("rustfmt")));
    }

    #[test]
    fn a_missing_source_comes_from_rustup_first_and_from_debian_then() {
        let mut machine = Machine { compilers: vec![compiler(95, None)], ..whole() };
        let needs = [Need::Board];
        let mut tried = Vec::new();
        let mut step = |machine: &Machine| match next(machine, &needs, &tried) {
            Plan::Do(step) => {
                tried.push(step.clone());
                step
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(step(&machine), Step::Rustup("rust-src"));
        assert_eq!(step(&machine), Step::Lists);
        machine.debian = Some(release(96));
        assert_eq!(step(&machine), debian());
        machine.linker_package = Some("lld-23".to_owned());
        assert_eq!(step(&machine), Step::Packages(vec!["lld-23".to_owned()]));
        machine.compilers.push(compiler(96, Some(96)));
        assert_eq!(next(&machine, &needs, &tried), Plan::Ready);
    }

    #[test]
    fn what_did_not_help_is_not_tried_again() {
        let machine = Machine { compilers: vec![compiler(95, None)], ..whole() };
        let tried = [Step::Rustup("rust-src"), Step::Lists];
        assert_eq!(next(&machine, &[Need::Board], &tried), Plan::Lacking(vec![Need::Board]));
    }

    #[test]
    fn debians_compiler_is_not_installed_when_it_is_too_old() {
        let machine = Machine {
            compilers: vec![compiler(95, None)],
            rustup: false,
            debian: Some(release(85)),
            ..whole()
        };
        let plan = next(&machine, &[Need::Board], &[Step::Lists]);
        assert_eq!(plan, Plan::Lacking(vec![Need::Board]));
    }

    #[test]
    fn a_component_is_a_package_where_there_is_no_rustup() {
        let machine = Machine { clippy: false, rustup: false, ..whole() };
        let plan = next(&machine, &Need::ALL, &[Step::Lists]);
        assert_eq!(plan, Plan::Do(Step::Packages(vec!["rust-web-clippy".to_owned()])));
    }

    #[test]
    fn without_root_no_package_is_touched() {
        let machine = Machine { qemu: false, apt: false, ..whole() };
        assert_eq!(next(&machine, &Need::ALL, &[]), Plan::Lacking(vec![Need::Emulator]));
    }

    #[test]
    fn source_and_compiler_must_be_of_one_release() {
        let lacks = |compiler: Compiler| {
            let machine = Machine { compilers: vec![compiler], ..whole() };
            !lacks(&machine, &[Need::Board]).is_empty()
        };
        assert!(!lacks(compiler(96, Some(96))));
        assert!(lacks(compiler(95, Some(96))));
        assert!(lacks(compiler(96, Some(95))));
        assert!(lacks(compiler(94, Some(94))));
        assert!(lacks(Compiler { linker: false, ..compiler(95, Some(95)) }));
        // A nightly's library may have nothing yet that is new in it.
        assert!(!lacks(Compiler { preview: true, ..compiler(97, Some(96)) }));
        assert!(lacks(Compiler { preview: true, ..compiler(97, Some(95)) }));
    }

    #[test]
    fn a_message_says_what_is_wrong_and_what_would_be_right() {
        let machine = Machine {
            compilers: vec![compiler(95, Some(96)), compiler(85, Some(85))],
            debian: Some(release(85)),
            ..whole()
        };
        let told = explain(Need::Board, &machine);
        assert!(told.contains("rustc 1.95 has the source of 1.96"), "{told}");
        assert!(told.contains("rustc 1.85 is older than 1.95"), "{told}");
        assert!(told.contains("rustup component add rust-src"), "{told}");
        assert!(told.contains("1.95 or later; here it is 1.85; as root"), "{told}");
        for need in Need::ALL {
            let told = explain(need, &machine);
            assert!(told.lines().count() >= 2, "{told}");
            assert!(told.lines().all(|line| line.len() < 80), "{told}");
        }
    }

    #[test]
    fn a_step_says_its_command_and_why() {
        let step = Step::Packages(vec!["qemu-system-arm".to_owned()]);
        let command = step.command().join(" ");
        assert_eq!(command, "apt-get install -qy --no-install-recommends qemu-system-arm");
        assert_eq!(Step::Rustup("rust-src").command().join(" "), "rustup component add rust-src");
        assert!(step.reason().contains("qemu-system-arm"));
    }
}
