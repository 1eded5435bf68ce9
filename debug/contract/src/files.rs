//! The archive's files, and the texts among them (section 1).

use crate::image::Image;
use crate::table::Findings;
use std::collections::BTreeSet;
use std::io::Cursor;
use toml::{Table, Value};
use zip::{CompressionMethod, ZipArchive};

/// Runs `look` on the zip file itself.
fn with_zip(
    image: &Image<'_>,
    found: &mut Findings,
    look: impl FnOnce(&mut ZipArchive<Cursor<&[u8]>>, &mut Findings),
) {
    let zip = ZipArchive::new(Cursor::new(image.archive.bytes()));
    if let Some(mut zip) = found.take(zip.map_err(|error| error.to_string())) {
        look(&mut zip, found);
    }
}

pub(crate) fn comment(image: &Image<'_>, found: &mut Findings) {
    with_zip(image, found, |zip, found| {
        let comment = String::from_utf8_lossy(zip.comment()).into_owned();
        let version = comment.strip_prefix("hubris build archive v");
        let version = version.and_then(|version| version.parse::<u32>().ok());
        found.expect(version.is_some_and(|version| version <= 11), || format!("{comment:?}"));
    });
}

pub(crate) fn compression(image: &Image<'_>, found: &mut Findings) {
    let known = [CompressionMethod::Stored, CompressionMethod::Deflated];
    with_zip(image, found, |zip, found| {
        for n in 0..zip.len() {
            let entry = zip.by_index_raw(n).map_err(|error| error.to_string());
            let Some(entry) = found.take(entry) else { continue };
            let method = entry.compression();
            found.expect(known.contains(&method), || format!("file {n}: {method:?}"));
        }
    });
}

pub(crate) fn present(image: &Image<'_>, found: &mut Findings) {
    let names: Vec<&str> = image.archive.files().map(|file| file.0).collect();
    for name in ["app.toml", "elf/kernel", "img/final.elf"] {
        found.expect(names.contains(&name), || format!("no {name}"));
    }
    let distinct: BTreeSet<_> = names.iter().collect();
    found.expect(distinct.len() == names.len(), || "a name is there twice".into());
}

pub(crate) fn tasks(image: &Image<'_>, found: &mut Findings) {
    let in_task = |name: &str| {
        let mut parts = name.rsplit('/');
        let file = parts.next()?.to_owned();
        (parts.next() == Some("task")).then_some(file)
    };
    let files: Vec<String> = image.archive.files().filter_map(|file| in_task(file.0)).collect();
    let priority = |task: &Value| task.get("priority").and_then(Value::as_integer);
    let tasks = image.app.get("tasks").and_then(Value::as_table).into_iter().flatten();
    let mut named: Vec<_> = tasks.map(|(name, task)| (priority(task), name.clone())).collect();
    named.sort();
    let named: Vec<String> = named.into_iter().map(|(_, name)| name).collect();
    found.expect(files == named, || format!("{files:?} instead of {named:?}"));
}

pub(crate) fn texts(image: &Image<'_>, found: &mut Findings) {
    for name in ["git-rev", "image-name"] {
        let is_text = image.archive.file(name).is_none() || image.archive.text(name).is_some();
        found.expect(is_text, || format!("{name} is no text"));
    }
}

pub(crate) fn patches(image: &Image<'_>, found: &mut Findings) {
    found.expect(image.archive.file("patches.toml").is_none(), || "patches.toml is there".into());
}

pub(crate) fn chip_name(image: &Image<'_>, found: &mut Findings) {
    let chip = image.app.get("chip").and_then(Value::as_str).unwrap_or_default();
    let last = chip.rsplit('/').next().unwrap_or_default();
    let name = if last.ends_with(".toml") { last } else { "chip.toml" };
    found.expect(image.archive.file(name).is_some(), || format!("chip {chip:?} has no {name}"));
}

pub(crate) fn memory(image: &Image<'_>, found: &mut Findings) {
    let Some(text) = image.archive.text("memory.toml") else { return };
    let table = text.parse::<Table>().map_err(|error| error.to_string());
    let Some(table) = found.take(table) else { return };
    for (name, list) in &table {
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let right = !entries.is_empty() && entries.iter().all(|entry| word(entry, "address"));
        found.expect(right, || format!("{name} is no list of addresses"));
    }
}

pub(crate) fn app(image: &Image<'_>, found: &mut Findings) {
    for name in ["target", "name", "board"] {
        let is_text = image.app.get(name).is_some_and(Value::is_str);
        found.expect(is_text, || format!("{name} is no text"));
    }
    for name in ["kernel", "tasks"] {
        let is_table = image.app.get(name).is_some_and(Value::is_table);
        found.expect(is_table, || format!("{name} is no table"));
    }
    let chip = image.app.get("chip").is_none_or(Value::is_str);
    found.expect(chip, || "chip is no text".into());
    let peripherals = image.app.get("peripherals").is_none_or(Value::is_table);
    found.expect(peripherals, || "peripherals is no table".into());
}

/// Whether key `name` of `of` is a list of texts, or is not there.
fn is_list(of: &Value, name: &str) -> bool {
    let list = of.get(name).map(Value::as_array);
    list.is_none_or(|list| list.is_some_and(|list| list.iter().all(Value::is_str)))
}

pub(crate) fn lists(image: &Image<'_>, found: &mut Findings) {
    let kernel = image.app.get("kernel").is_some_and(|kernel| is_list(kernel, "features"));
    found.expect(kernel, || "the kernel's features".into());
    for (name, task) in image.app.get("tasks").and_then(Value::as_table).into_iter().flatten() {
        for key in ["features", "extern-regions", "notifications"] {
            found.expect(is_list(task, key), || format!("{key} of {name}"));
        }
    }
}

pub(crate) fn interrupts(image: &Image<'_>, found: &mut Findings) {
    for (name, task) in image.app.get("tasks").and_then(Value::as_table).into_iter().flatten() {
        let bits = task.get("notifications").and_then(Value::as_array);
        let list = task.get("interrupts").and_then(Value::as_table);
        for (interrupt, to) in list.into_iter().flatten() {
            let chips = interrupt.split_once('.').and_then(|(peripheral, which)| {
                image.chip.get(peripheral)?.get("interrupts")?.get(which)?.as_integer()
            });
            let known = interrupt.parse::<u32>().is_ok() || chips.is_some();
            found.expect(known, || format!("{name}: {interrupt} is nothing of the chip's"));
            let bit = to.is_integer() || bits.is_some_and(|bits| bits.contains(to));
            found.expect(bit, || format!("{name}: {to} is no notification"));
        }
    }
}

pub(crate) fn config(image: &Image<'_>, found: &mut Findings) {
    const KNOWN: [&str; 4] = ["net", "sensor", "i2c", "auxflash"];
    let Some(config) = image.app.get("config") else { return };
    let keys = config.as_table().into_iter().flatten().map(|(key, _)| key.as_str());
    for key in keys.filter(|key| KNOWN.contains(key)) {
        let sockets = config.get(key).and_then(|net| net.get("sockets")).and_then(Value::as_table);
        let right = key == "net"
            && sockets.is_none_or(|sockets| sockets.iter().all(|(_, socket)| is_socket(socket)));
        found.expect(right, || format!("config.{key}"));
    }
    found.expect(config.is_table(), || "config is no table".into());
}

/// A socket: kind, owner, port, and how many packets of how many bytes each way.
fn is_socket(socket: &Value) -> bool {
    let owner = socket.get("owner");
    let named = owner.and_then(|owner| owner.get("name")).is_some_and(Value::is_str);
    let bit = owner.and_then(|owner| owner.get("notification"));
    let ways = ["tx", "rx"]
        .iter()
        .all(|way| socket.get(way).is_some_and(|way| word(way, "packets") && word(way, "bytes")));
    let bit = bit.is_some_and(|bit| bit.is_str() || bit.is_integer());
    socket.get("kind").is_some_and(Value::is_str) && named && bit && word(socket, "port") && ways
}

pub(crate) fn target(image: &Image<'_>, found: &mut Findings) {
    let target = image.app.get("target").and_then(Value::as_str).unwrap_or_default();
    // Of this one Humility counts frames without floating point.
    found.expect(target != "thumbv6m-none-eabi", || target.into());
}

/// Whether key `name` of `of` is a word.
fn word(of: &Value, name: &str) -> bool {
    let value = of.get(name).and_then(Value::as_integer);
    value.is_some_and(|value| u32::try_from(value).is_ok())
}

pub(crate) fn chip(image: &Image<'_>, found: &mut Findings) {
    for (name, entry) in &image.chip {
        found.expect(word(entry, "address") && word(entry, "size"), || name.clone());
        let interrupts = entry.get("interrupts");
        let numbers = interrupts.and_then(Value::as_table).into_iter().flatten();
        let mut numbers = numbers.map(|(which, _)| which);
        let right = interrupts.is_none_or(|list| numbers.all(|which| word(list, which)));
        found.expect(right, || format!("interrupts of {name}"));
    }
}
