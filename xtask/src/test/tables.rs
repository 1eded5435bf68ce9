//! The translation tables that a board's kernel makes are those that `dist`
//! checked.

use super::board::{self, COUNTED, PATIENCE};
use crate::setup::{self, Need};
use addr::Phys;
use image::{Image, LOAD};
use qemu::{Error, Machine, Memory};
use std::process::ExitCode;

/// Starts `image` as plain memory, the way a boot loader does, and waits until
/// its kernel's tables are what was computed. The message says how many words
/// are, or which one is not.
pub(super) fn compare(image: &Image) -> Result<Result<String, String>, ExitCode> {
    setup::ensure(&[Need::Emulator])?;
    let machine = Machine::flat(&image.bin, Phys(LOAD.into()), COUNTED);
    let mut running = machine.start().map_err(|error| board::failed(&error))?;
    let computed = &image.translation.words;
    let read = |memory: &Memory| words(memory, image.translation.base, computed.len());
    let all = running.wait_until("translation tables as computed", PATIENCE, |memory| {
        Ok(read(memory)? == *computed)
    });
    match all {
        Ok(()) => Ok(Ok(format!("{} words as computed", computed.len()))),
        Err(error) => {
            let found = read(&running.memory).map_err(|error| board::failed(&error))?;
            Ok(Err(format!("{error}\n{}", difference(computed, &found))))
        }
    }
}

fn words(memory: &Memory, base: u32, count: usize) -> Result<Vec<u32>, Error> {
    let mut bytes = vec![0; count * 4];
    memory.read(Phys(base.into()), &mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
}

/// What is told of the first word that differs.
fn difference(computed: &[u32], found: &[u32]) -> String {
    let mut words = computed.iter().zip(found).enumerate();
    match words.find(|(_, (computed, found))| computed != found) {
        None => "they became so a moment too late".to_owned(),
        Some((n, (computed, found))) => {
            format!("word {n} is {found:#010x} on the board, {computed:#010x} by the build")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_difference_is_told() {
        let told = difference(&[1, 2, 3], &[1, 0, 0]);
        assert_eq!(told, "word 1 is 0x00000000 on the board, 0x00000002 by the build");
        assert!(difference(&[1], &[1]).contains("too late"));
    }
}
