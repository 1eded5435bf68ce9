//! Reads the descriptor dumps in `data`.

use std::fs;
use std::path::{Path, PathBuf};

/// One dump.
pub(crate) struct Dump {
    /// File name without its extension.
    pub(crate) name: String,
    /// The device descriptor; the malformed dumps have none.
    pub(crate) device: Option<Vec<u8>>,
    /// The configurations.
    pub(crate) configurations: Vec<Vec<u8>>,
}

fn read(path: &Path) -> Dump {
    let text = fs::read_to_string(path).unwrap();
    let mut device = None;
    let mut configurations = Vec::new();
    for section in text.split("# ").skip(1) {
        let (title, digits) = section.split_once('\n').unwrap();
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let bytes = digits.chunks(2).map(|digits| pair(digits).unwrap()).collect();
        match title {
            "device" => device = Some(bytes),
            _ => configurations.push(bytes),
        }
    }
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    Dump { name, device, configurations }
}

/// All dumps of the folder `under` of `data`.
pub(crate) fn dumps(under: &str) -> Vec<Dump> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dumps/data").join(under);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}
