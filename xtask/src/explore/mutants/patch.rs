//! Patches that seed defects: what each breaks, and where it goes.
//!
//! In front of a patch's diffs stand the defects that it seeds, each with what it
//! breaks and what is wrong then. Lines that go on are indented:
//!
//! ```text
//! mutant: vote-released-twice
//! breaks: rule 4, D-9
//! what: The end of a session releases its vote, and so does
//!   whoever asked for that end.
//!
//! --- a/task/offload-broker/src/votes.rs
//! ```

use diffy::Patch;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What switches a defect on in the sources, before its name.
const SWITCH: &str = "mutants::on(\"";
/// Where the diff of a file begins.
const OLD_FILE: &str = "--- a/";
const NEW_FILE: &str = "+++ b/";

/// A defect that can be switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// Its name.
    pub(crate) name: String,
    /// The rules and defects of Linux that it stands for.
    pub(crate) breaks: Vec<String>,
    /// What is wrong.
    pub(crate) what: String,
}

/// A file of patches.
#[derive(Debug)]
pub(crate) struct PatchFile {
    /// Its name.
    name: String,
    /// The defects that it seeds.
    pub(crate) mutants: Vec<Mutant>,
    /// For each file that it changes, the diff.
    diffs: Vec<(PathBuf, String)>,
}

/// All patches of a folder, in the order of their names.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<PatchFile>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            paths.push(path);
        }
    }
    paths.sort();
    let files = paths.iter().map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        PatchFile::parse(name, &text)
    });
    let files: Vec<PatchFile> = files.collect::<Result<_, String>>()?;
    let mut names = BTreeSet::new();
    for mutant in files.iter().flat_map(|file| &file.mutants) {
        if !names.insert(&mutant.name) {
            return Err(format!("two defects are called {}", mutant.name));
        }
    }
    if names.is_empty() {
        return Err(format!("{} holds no patch", folder.display()));
    }
    Ok(files)
}

impl PatchFile {
    fn parse(name: String, text: &str) -> Result<Self, String> {
        let begin = text.find(OLD_FILE).ok_or_else(|| format!("{name} changes no file"))?;
        let (head, body) = text.split_at(begin);
        let mutants = mutants(head).map_err(|why| format!("{name}: {why}"))?;
        let mut diffs: Vec<(PathBuf, String)> = Vec::new();
        let lines: Vec<&str> = body.split_inclusive('\n').collect();
        for (n, line) in lines.iter().enumerate() {
            let next = lines.get(n + 1).is_some_and(|next| next.starts_with(NEW_FILE));
            if let (Some(path), true) = (line.strip_prefix(OLD_FILE), next) {
                diffs.push((path.trim_end().into(), String::new()));
            }
            let (_, diff) = diffs.last_mut().expect("the body begins with a file's name");
            diff.push_str(line);
        }
        let this = Self { name, mutants, diffs };
        let named = this.mutants.iter().map(|mutant| mutant.name.as_str()).collect();
        if this.switches() != named {
            return Err(format!(
                "{} names {named:?} and switches {:?}",
                this.name,
                this.switches()
            ));
        }
        Ok(this)
    }

    /// The defects that the added lines ask for.
    fn switches(&self) -> BTreeSet<&str> {
        let lines = self.diffs.iter().flat_map(|(_, diff)| diff.lines());
        let added = lines.filter(|line| line.starts_with('+'));
        let after = added.flat_map(|line| line.split(SWITCH).skip(1));
        after.filter_map(|text| Some(text.split_once('"')?.0)).collect()
    }

    /// Applies the patch to files, which `read` reads before they are changed
    /// for the first time.
    pub(crate) fn apply(
        &self,
        files: &mut BTreeMap<PathBuf, String>,
        read: impl Fn(&Path) -> std::io::Result<String>,
    ) -> Result<(), String> {
        for (path, diff) in &self.diffs {
            let failed =
                |why: &dyn std::fmt::Display| format!("{}, {}: {why}", self.name, path.display());
            let patch = Patch::from_str(diff).map_err(|error| failed(&error))?;
            let before = match files.get(path) {
                Some(text) => text.clone(),
                None => read(path).map_err(|error| failed(&error))?,
            };
            let after = diffy::apply(&before, &patch).map_err(|error| failed(&error))?;
            files.insert(path.clone(), after);
        }
        Ok(())
    }
}

/// The defects that the lines in front of a patch speak of.
fn mutants(head: &str) -> Result<Vec<Mutant>, String> {
    let mut all: Vec<Mutant> = Vec::new();
    for line in head.lines().filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(": ").unwrap_or(("", line));
        match (key, all.last_mut()) {
            ("mutant", _) => {
                all.push(Mutant { name: value.to_owned(), breaks: Vec::new(), what: String::new() })
            }
            ("breaks", Some(last)) => last.breaks = value.split(", ").map(str::to_owned).collect(),
            ("what", Some(last)) => value.clone_into(&mut last.what),
            (_, Some(last)) if line.starts_with("  ") && !last.what.is_empty() => {
                last.what.push(' ');
                last.what.push_str(line.trim());
            }
            _ => return Err(format!("'{line}' is neither mutant, breaks nor what")),
        }
    }
    match all.iter().find(|mutant| mutant.breaks.is_empty() || mutant.what.is_empty()) {
        Some(mutant) => Err(format!("{} does not say what it breaks", mutant.name)),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutant, PatchFile, read_all};
    use crate::root;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    const PATCH: &str = "mutant: one
breaks: rule 6, D-10
what: Something is
  wrong.

--- a/some/file.rs
+++ b/some/file.rs
@@ -1,3 +1,4 @@
 fn one() {
+    if mutants::on(\"one\") {}
     two();
 }
";

    #[test]
    fn a_patch_says_what_it_breaks_and_goes_where_its_lines_are() {
        let patch = PatchFile::parse("one.patch".to_owned(), PATCH).expect("it is whole");
        let expected = Mutant {
            name: "one".to_owned(),
            breaks: vec!["rule 6".to_owned(), "D-10".to_owned()],
            what: "Something is wrong.".to_owned(),
        };
        assert_eq!(patch.mutants, [expected]);
        let mut files = BTreeMap::new();
        let read = |_: &Path| Ok("// New.\nfn one() {\n    two();\n}\n".to_owned());
        patch.apply(&mut files, read).expect("the lines are there");
        let text = &files[Path::new("some/file.rs")];
        assert_eq!(text, "// New.\nfn one() {\n    if mutants::on(\"one\") {}\n    two();\n}\n");
    }

    #[test]
    fn what_does_not_apply_is_told_with_file_and_hunk() {
        let patch = PatchFile::parse("one.patch".to_owned(), PATCH).expect("it is whole");
        let read = |_: &Path| Ok("fn one() {\n    three();\n}\n".to_owned());
        let why = patch.apply(&mut BTreeMap::new(), read).expect_err("a line is another");
        assert_eq!(why, "one.patch, some/file.rs: error applying hunk #1");
    }

    #[test]
    fn a_patch_that_switches_another_defect_than_it_names_is_refused() {
        let other = PATCH.replace("on(\"one\")", "on(\"two\")");
        assert!(PatchFile::parse("one.patch".to_owned(), &other).is_err());
        let unsaid = PATCH.replace("breaks: rule 6, D-10\n", "");
        assert!(PatchFile::parse("one.patch".to_owned(), &unsaid).is_err());
    }

    fn folder() -> PathBuf {
        root().join("sim/mutants")
    }

    /// A patch that does not apply any more is to be made anew.
    #[test]
    fn every_patch_applies_to_this_tree_and_leaves_sources_that_can_be_parsed() {
        let mut files = BTreeMap::new();
        for patch in read_all(&folder()).expect("all are whole") {
            let applied = patch.apply(&mut files, |path| fs::read_to_string(root().join(path)));
            assert_eq!(applied, Ok(()));
        }
        for (path, text) in files {
            assert!(syn::parse_file(&text).is_ok(), "{} is no source any more", path.display());
        }
    }

    /// Each mistake of Linux (`docs/demands.md`) is seeded here, or it is said why
    /// it cannot be.
    #[test]
    fn every_mistake_of_linux_is_seeded_or_excused() {
        let patches = read_all(&folder()).expect("all are whole");
        let mutants = patches.iter().flat_map(|patch| &patch.mutants);
        let broken = mutants.flat_map(|mutant| &mutant.breaks);
        let mut known: Vec<String> = broken
            .filter(|what| what.starts_with("D-"))
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let readme = fs::read_to_string(folder().join("README.md")).expect("it is there");
        let rows = readme.lines().filter_map(|line| line.strip_prefix("| D-")?.split_once(' '));
        known.extend(rows.map(|(number, _)| format!("D-{number}")));
        known.sort_by_key(|name| name[2..].parse::<u32>().expect("a number"));
        let all: Vec<String> = (1..=27).map(|n| format!("D-{n}")).collect();
        assert_eq!(known, all);
    }
}
