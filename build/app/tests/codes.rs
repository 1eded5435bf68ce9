//! Every error code of every server: that it is documented, and that a test of
//! the server, or of the whole system, names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Codes that no test reaches, each with the reason.
const NOT_REACHED: [(&str, &str); 0] = [];

/// An error enum of an interface, as its crate declares it.
#[derive(Debug, PartialEq, Eq)]
struct Codes {
    name: String,
    /// The codes, each with its documentation.
    variants: Vec<(String, String)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources below `folder`, but what cargo built.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The enums of a source that derive `IdolError`.
fn enums(source: &str) -> Vec<Codes> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let derives = line.strip_prefix("#[derive(").and_then(|line| line.strip_suffix(")]"));
        if !derives.is_some_and(|names| names.split(", ").any(|name| name == "IdolError")) {
            continue;
        }
        let head = lines.by_ref().find_map(|line| line.strip_prefix("pub enum "));
        let name = head.and_then(|head| head.strip_suffix(" {")).expect("an enum");
        let (mut variants, mut documentation) = (Vec::new(), String::new());
        for line in lines.by_ref().map(str::trim).take_while(|&line| line != "}") {
            if let Some(text) = line.strip_prefix("///") {
                documentation += text;
            } else if let Some(variant) = line.strip_suffix(',') {
                let variant = variant.split(" = ").next().unwrap_or(variant);
                variants.push((variant.to_owned(), std::mem::take(&mut documentation)));
            }
        }
        found.push(Codes { name: name.to_owned(), variants });
    }
    found
}

/// The enums that an interface's operations name as their errors.
fn named_as_errors(interface: &str) -> BTreeSet<&str> {
    interface
        .split("err: CLike(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name)
        .collect()
}

/// What of a source is test code; a fake, and the world or the bench of a test,
/// give errors out instead of meeting them.
fn test_code<'s>(path: &Path, source: &'s str) -> &'s str {
    let is = |name: &str| path.components().any(|part| part.as_os_str() == name);
    if ["fake.rs", "world", "bench"].into_iter().any(is) {
        ""
    } else if is("tests") || is("tests.rs") {
        source
    } else {
        // From a module of tests on.
        source.split_once("#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests)
    }
}

/// The variants of `name` that a text names, also by what it is imported as.
fn named(text: &str, name: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut names = vec![name.to_owned()];
    names.extend(text.split(&format!("{name} as ")).skip(1).map(word));
    let mut found = BTreeSet::new();
    for name in names {
        let parts: Vec<&str> = text.split(&format!("{name}::")).collect();
        for pair in parts.windows(2) {
            if !pair[0].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
                found.insert(word(pair[1]));
            }
        }
    }
    found
}

/// The enums of the crates of interfaces, each with its server's folder.
fn interfaces() -> BTreeMap<PathBuf, Vec<Codes>> {
    let mut found = BTreeMap::new();
    for group in ["drv", "task"] {
        for entry in std::fs::read_dir(root().join(group)).expect("a folder") {
            let folder = entry.expect("an entry").path();
            let Some(server) = folder.to_str().and_then(|name| name.strip_suffix("-api")) else {
                continue;
            };
            let source = std::fs::read_to_string(folder.join("src/lib.rs")).expect("a crate");
            found.insert(PathBuf::from(server), enums(&source));
        }
    }
    found
}

/// R18: each code of each server is documented, and named in a test of the server
/// or of the whole system. What it prints is the list.
#[test]
fn every_error_code_of_every_server_is_documented_and_reached_by_a_test() {
    let mut expected = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("idl")).expect("the interfaces") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(path).expect("an interface");
        expected.extend(named_as_errors(&text).into_iter().map(str::to_owned));
    }
    let interfaces = interfaces();
    let all: BTreeSet<String> =
        interfaces.values().flatten().map(|codes| codes.name.clone()).collect();
    assert_eq!(all, expected, "each enum is some interface's, and the other way round");
    let whole = sources(&root().join("sim"));
    let (mut problems, mut excused) = (Vec::new(), BTreeSet::new());
    for (server, enums) in &interfaces {
        let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in sources(server).iter().chain(&whole) {
            let source = std::fs::read_to_string(path).expect("a source");
            let text = test_code(path, &source);
            let place = path.strip_prefix(root()).expect("below the root").display().to_string();
            for codes in enums {
                for variant in named(text, &codes.name) {
                    let code = format!("{}::{variant}", codes.name);
                    tests.entry(code).or_default().push(place.clone());
                }
            }
        }
        for (codes, variant, documentation) in enums.iter().flat_map(|codes| {
            codes.variants.iter().map(|(name, text)| (&codes.name, name, text.trim()))
        }) {
            let code = format!("{codes}::{variant}");
            if documentation.split(' ').count() < 3 || !documentation.ends_with('.') {
                problems.push(format!("{code} is not documented: {documentation:?}"));
            }
            match (tests.get(&code), NOT_REACHED.iter().find(|(name, _)| *name == code)) {
                (Some(places), None) => println!("{code}: {}", places.join(", ")),
                (None, Some((_, why))) => {
                    println!("{code}: not reached: {why}");
                    excused.insert(code);
                }
                (Some(_), Some(_)) => problems.push(format!("{code} is reached by now")),
                (None, None) => problems.push(format!("{code} is named in no test")),
            }
        }
    }
    assert_eq!(excused.len(), NOT_REACHED.len(), "each exception is a code");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_code_without_words_or_without_a_test_is_found() {
    let source = "\
        /// Why.\n\
        #[derive(Copy, Clone, IdolError, Count)]\n\
        #[repr(u32)]\n\
        pub enum OneError {\n\
        \x20   /// It is late:\n\
        \x20   /// wait.\n\
        \x20   Late = 1,\n\
        \x20   Early,\n\
        \x20   /// Died.\n\
        \x20   #[idol(server_death)]\n\
        \x20   ServerDied,\n\
        }\n\
        #[derive(Debug)]\n\
        pub enum Other {\n\
        \x20   /// No error.\n\
        \x20   Thing,\n\
        }\n";
    let codes = enums(source);
    let variants = [("Late", " It is late: wait."), ("Early", ""), ("ServerDied", " Died.")];
    let variants = variants.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    assert_eq!(codes, [Codes { name: "OneError".to_owned(), variants }]);
    let of = |path: &str, text| {
        named(test_code(Path::new(path), text), "OneError").into_iter().collect::<Vec<_>>()
    };
    let text = "use a::OneError as E;\nE::Late; NoneError::A; OneError::Early; AnyOneError::B";
    assert_eq!(of("task/x/tests/y.rs", text), ["Early", "Late"]);
    assert_eq!(of("task/x/src/tests/y.rs", "TheE::Late; OneError::Early)"), ["Early"]);
    for path in ["task/x/src/y.rs", "task/x/src/fake.rs", "task/x/tests/world/mod.rs"] {
        assert!(of(path, "OneError::Late").is_empty(), "{path}");
    }
    let module = "OneError::Early\n#[cfg(test)]\nmod tests {\n    OneError::Late\n}";
    assert_eq!(of("task/x/src/y.rs", module), ["Late"]);
    let interface = "reply: Result(ok: \"u32\", err: CLike(\"OneError\")), err: CLike(\"B\")";
    assert_eq!(Vec::from_iter(named_as_errors(interface)), ["B", "OneError"]);
}
