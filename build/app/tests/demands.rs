//! `docs/demands.md` against the sources: each demand and each defect has a row,
//! and each test that a row names is there and says so itself.

use std::path::Path;

/// The words with which a row says what is missing.
const MISSING: &str = "not here yet";

fn read(path: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).ok()
}

/// A row: its number, its tests (`path::name`), and whether it lacks anything.
#[derive(Debug)]
struct Row {
    number: String,
    tests: Vec<String>,
    lacks: bool,
}

/// The rows of the tables: those whose first cell is a number of ours.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !is_number(cells[0]) {
            continue;
        }
        assert_eq!(cells.len(), 4, "number, demand, answer, tests: {line}");
        let quoted = cells[3].split('`').skip(1).step_by(2);
        let tests = quoted.filter(|text| text.contains("::")).map(str::to_owned).collect();
        let lacks = cells[2..].iter().any(|cell| cell.contains(MISSING));
        rows.push(Row { number: cells[0].to_owned(), tests, lacks });
    }
    rows
}

/// Whether this is a number such as R13, D-7 or U10.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = text.len() - digits.len();
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    letters == 1 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The numbers that a comment's line begins with: `R13, D-7: what it holds`.
fn numbers(line: &str) -> Vec<&str> {
    let Some((head, _)) = line.split_once(": ") else { return Vec::new() };
    let numbers: Vec<&str> = head.split(", ").collect();
    if numbers.iter().all(|number| is_number(number)) { numbers } else { Vec::new() }
}

/// What is wrong with a row's naming a test.
fn wrong(source: &str, name: &str, number: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let Some(at) = lines.iter().position(|line| {
        // An example in a module's documentation is a test as well.
        line.trim_start_matches("//! ").starts_with(&head)
    }) else {
        return Some("there is no such test".to_owned());
    };
    let mark = if lines[at].starts_with("//!") { "//!" } else { "///" };
    let above = &lines[..at];
    let attributes = above.iter().rev().take_while(|line| line.starts_with("#[")).count();
    let (above, attributes) = above.split_at(above.len() - attributes);
    if mark == "///" && !attributes.contains(&"#[test]") {
        return Some("it is no test".to_owned());
    }
    if mark == "//!" && !above.iter().rev().take(2).any(|line| line.starts_with("//! ```")) {
        return Some("it is no example".to_owned());
    }
    let comment = above.iter().rev().take_while(|line| line.starts_with(mark));
    let said = comment.flat_map(|line| numbers(line[mark.len()..].trim_start()));
    let says = said.into_iter().any(|said| said == number);
    (!says).then(|| format!("its comment does not begin a line with `{number}: `"))
}

#[test]
fn each_demand_and_each_defect_has_a_row_whose_tests_name_it() {
    let rows = rows(&read("docs/demands.md").expect("the table"));
    let demands = (1..=33).map(|n| format!("R{n}"));
    let defects = (1..=27).map(|n| format!("D-{n}"));
    let all: Vec<String> =
        demands.chain(defects).chain((1..=13).map(|n| format!("U{n}"))).collect();
    let found: Vec<&str> = rows.iter().map(|row| row.number.as_str()).collect();
    assert_eq!(found, all, "a row each, in this order");
    let mut problems = Vec::new();
    for row in &rows {
        if row.tests.is_empty() && !row.lacks {
            problems.push(format!("{}: neither a test nor \"{MISSING}\"", row.number));
        }
        for test in &row.tests {
            let (path, name) = test.rsplit_once("::").expect("path::name");
            let problem = match read(path) {
                Some(source) => wrong(&source, name, &row.number),
                None => Some("there is no such file".to_owned()),
            };
            problems.extend(problem.map(|problem| format!("{}: {test}: {problem}", row.number)));
        }
    }
    let numbers = |rows: Vec<&Row>| {
        let numbers: Vec<&str> = rows.iter().map(|row| row.number.as_str()).collect();
        format!("{} ({})", numbers.len(), numbers.join(", "))
    };
    let (lacking, whole): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.lacks);
    let (nothing, part): (Vec<&Row>, Vec<&Row>) =
        lacking.into_iter().partition(|row| row.tests.is_empty());
    let told = format!(
        "{} rows held; {} in part; {} {MISSING}",
        whole.len(),
        numbers(part),
        numbers(nothing)
    );
    println!("{told}");
    assert!(problems.is_empty(), "{}\n{told}", problems.join("\n"));
}

#[test]
fn a_test_that_is_not_there_or_does_not_say_so_is_found() {
    let source = "\
        //! R7: what cannot be.\n\
        //!\n\
        //! ```compile_fail\n\
        //! fn twice() {}\n\
        //! ```\n\
        \n\
        /// Something.\n\
        /// R13, D-7: that it holds.\n\
        #[test]\n\
        fn it_holds() {}\n\
        \n\
        /// R13: no test.\n\
        fn helper() {}\n\
        #[test]\n\
        fn silent() {}\n";
    let found = |name, number| wrong(source, name, number);
    assert_eq!((found("it_holds", "R13"), found("it_holds", "D-7")), (None, None));
    assert_eq!(found("twice", "R7"), None);
    for (name, number) in
        [("it_holds", "R1"), ("it", "R13"), ("helper", "R13"), ("silent", "R13"), ("twice", "R8")]
    {
        assert!(found(name, number).is_some(), "{name} {number}");
    }
    let table = "| R1 | a | b | `x.rs::t`, `y/z.rs::u` |\n| D-2 | a | b | not here yet: c |\n";
    let rows = rows(table);
    assert_eq!((rows[0].tests.len(), rows[0].lacks), (2, false));
    assert_eq!((rows[1].number.as_str(), rows[1].tests.len(), rows[1].lacks), ("D-2", 0, true));
}
