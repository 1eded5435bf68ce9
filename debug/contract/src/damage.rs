//! Archives that break a row: what a compiler that drops or renames something
//! would make.

use archive::Archive;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What is done to an archive.
#[derive(Copy, Clone, Debug)]
pub enum Damage<'d> {
    /// A name in one of its ELF files is another: that of a symbol or a section,
    /// or of a type, a member or a variable in the debug information.
    Renamed {
        /// The file.
        file: &'d str,
        /// The name.
        name: &'d str,
    },
    /// Text in a file is other text.
    Text {
        /// The file.
        file: &'d str,
        /// What is there.
        from: &'d str,
        /// What is there instead.
        to: &'d str,
    },
    /// A file is not there.
    Missing {
        /// The file.
        file: &'d str,
    },
}

/// A copy of `archive` with `damage`; none when there is nothing to damage.
#[must_use]
pub fn damage(archive: &Archive, damage: Damage<'_>) -> Option<Vec<u8>> {
    let mut done = false;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in archive.files() {
        let mut bytes = bytes.to_vec();
        match damage {
            Damage::Missing { file } if file == name => {
                done = true;
                continue;
            }
            Damage::Renamed { file, name: of } if file == name => {
                done |= rename(&mut bytes, of) > 0;
            }
            Damage::Text { file, from, to } if file == name => {
                let text = String::from_utf8(bytes).ok()?;
                done |= text.contains(from);
                bytes = text.replacen(from, to, 1).into_bytes();
            }
            _ => {}
        }
        zip.start_file(name, options).ok()?;
        zip.write_all(&bytes).ok()?;
    }
    zip.set_comment("hubris build archive v11").ok()?;
    let bytes = zip.finish().ok()?.into_inner();
    done.then_some(bytes)
}

/// Changes the first letter of each string of exactly this name; how many there
/// were.
fn rename(bytes: &mut [u8], name: &str) -> usize {
    let whole = [&[0], name.as_bytes(), &[0]].concat();
    let places: Vec<usize> = bytes
        .windows(whole.len())
        .enumerate()
        .filter_map(|(at, window)| (window == whole).then_some(at + 1))
        .collect();
    for &at in &places {
        // Another letter of the same kind, which no other name begins with.
        bytes[at] ^= 0x20;
    }
    places.len()
}
