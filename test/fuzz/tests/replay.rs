//! Everything that was ever worth keeping, tried again.

use fuzz::{TARGETS, corpus, crashes};
use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_that_was_kept_is_taken() {
    for target in &TARGETS {
        for file in files(&corpus(target)).into_iter().chain(files(&crashes(target))) {
            let bytes = fs::read(&file).expect("readable");
            let name = file.display().to_string();
            assert!(bytes.len() <= target.longest, "{name} is longer than {}", target.longest);
            let taken = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(taken.is_ok(), "{name}");
        }
    }
}

#[test]
fn every_target_has_a_corpus_of_a_size_that_a_tree_can_bear() {
    for target in &TARGETS {
        let count = files(&corpus(target)).len();
        assert!((5..=400).contains(&count), "{}: {count} inputs", target.name);
    }
}
