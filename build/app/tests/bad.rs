//! One failing example per rule of app.toml, each with the message it gets.

use app::{App, Rule};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// The text after `# <key>: ` at the head of an example.
fn stated<'t>(text: &'t str, key: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no `{key}` in the example")).trim()
}

/// R4, R6, R11, R23: registers and pages with two owners (24, 26, 28), waiting that
/// is not uphill or goes round (10 to 12), and names that mean nothing (9, 15, 19, 23)
/// do not get past the build.
#[test]
fn each_example_is_refused_for_its_rule_alone_at_its_place() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let refusals = App::load(&path).expect_err(&path.display().to_string()).0;
        let told: Vec<String> = refusals
            .iter()
            .map(|r| format!("{:?} {}:{}: {}", r.rule, r.line, r.column, r.wrong))
            .collect();
        let expected = format!("{} {}", stated(&text, "# Rule:"), stated(&text, "# Expect:"));
        assert_eq!(told, [expected], "{}", path.display());
        assert!(refusals.iter().all(|refusal| !refusal.right.is_empty()), "{}", path.display());
    }
}

#[test]
fn every_rule_has_an_example() {
    let rules: BTreeSet<String> = Rule::ALL.iter().map(|rule| format!("{rule:?}")).collect();
    let shown: BTreeSet<String> = examples()
        .iter()
        .map(|path| stated(&std::fs::read_to_string(path).unwrap(), "# Rule:").to_owned())
        .collect();
    assert_eq!(shown, rules);
}

#[test]
fn a_refusal_shows_the_line_and_points_at_the_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad/06-own-priority.toml");
    let shown = App::load(&path).unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("06-own-priority.toml:"), "{shown}");
    assert!(lines[1].ends_with("| priority = 1"), "{shown}");
    let caret = lines[2].find('^').unwrap();
    assert_eq!(&lines[1][caret..], "1", "{shown}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let two = folder.join("several.txt");
    let refusals = App::load(&two).unwrap_err().0;
    let rules: Vec<Rule> = refusals.iter().map(|refusal| refusal.rule).collect();
    assert_eq!(rules, [Rule::Name, Rule::StackSize, Rule::SlotTarget]);
    assert!(refusals.is_sorted_by_key(|refusal| refusal.line));
}
