//! Reading an archive.

use crate::{COMMENT, Error, VERSION, names};
use addr::Virt;
use object::elf::EM_ARM;
use object::read::elf::{ElfFile32, FileHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol};
use std::fmt;
use std::io::{Cursor, Read};
use std::path::Path;
use zip::ZipArchive;

/// Most bytes of a file in an archive: ten times what one of this project has.
const LARGEST: u64 = 256 << 20;

/// The number by which an image knows itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ImageId(pub u64);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A task in an archive.
#[derive(Copy, Clone, Debug)]
pub struct Task<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its ELF file.
    pub elf: &'a [u8],
}

/// An archive that was read: every file in it is whole, and every ELF file is
/// one of the target.
#[derive(Debug)]
pub struct Archive {
    bytes: Vec<u8>,
    files: Vec<File>,
    id: ImageId,
    id_address: Virt,
}

#[derive(Debug)]
struct File {
    name: String,
    bytes: Vec<u8>,
}

impl Archive {
    /// Reads the archive in the file at `path`.
    ///
    /// # Errors
    /// When there is no such file, or it is no archive.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|error| Error::File(path.to_owned(), error))?;
        Self::read(bytes)
    }

    /// Reads the archive that `bytes` are.
    ///
    /// # Errors
    /// When they are none.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Error> {
        let mut zip = ZipArchive::new(Cursor::new(bytes.as_slice()))
            .map_err(|error| Error::NotZip(error.to_string()))?;
        check_comment(zip.comment())?;
        let files = (0..zip.len()).map(|n| file(&mut zip, n)).collect::<Result<Vec<_>, _>>()?;
        let mut archive = Self { bytes, files, id: ImageId(0), id_address: Virt(0) };
        for name in [names::APP, names::KERNEL, names::IMAGE] {
            archive.required(name)?;
        }
        archive.text(names::APP).ok_or_else(|| Error::NotText(names::APP.into()))?;
        if archive.tasks().next().is_none() {
            return Err(Error::NoTask);
        }
        for file in archive.files.iter().filter(|file| is_elf(&file.name)) {
            elf(&file.bytes).ok_or_else(|| Error::NotElf(file.name.clone()))?;
        }
        let kernel = elf(archive.kernel()).and_then(|kernel| image_id(&kernel));
        (archive.id, archive.id_address) = kernel.ok_or(Error::NoImageId)?;
        Ok(archive)
    }

    /// The whole zip file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Names and contents of all files, in their order.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice()))
    }

    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files().find(|file| file.0 == name).map(|file| file.1)
    }

    /// The file of this name, if it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.file(name)?).ok()
    }

    /// The image's app.toml.
    #[must_use]
    pub fn app(&self) -> &str {
        self.text(names::APP).unwrap_or_default()
    }

    /// The kernel's ELF file.
    #[must_use]
    pub fn kernel(&self) -> &[u8] {
        self.file(names::KERNEL).unwrap_or_default()
    }

    /// What is loaded, as an ELF file with a section for each piece.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        self.file(names::IMAGE).unwrap_or_default()
    }

    /// The tasks, in the order of their indices.
    pub fn tasks(&self) -> impl Iterator<Item = Task<'_>> {
        self.below(names::TASKS)
    }

    /// What core 1 runs, if anything.
    pub fn core1(&self) -> impl Iterator<Item = Task<'_>> {
        self.below(names::CORE1)
    }

    /// The number by which the image knows itself.
    #[must_use]
    pub fn image_id(&self) -> ImageId {
        self.id
    }

    /// Where in memory that number is, as 8 bytes in little-endian order.
    #[must_use]
    pub fn image_id_address(&self) -> Virt {
        self.id_address
    }

    /// The image's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text(names::IMAGE_NAME)
    }

    /// The commit that the image was built from.
    #[must_use]
    pub fn git_rev(&self) -> Option<&str> {
        self.text(names::GIT_REV)
    }

    fn below(&self, folder: &'static str) -> impl Iterator<Item = Task<'_>> {
        self.files().filter_map(move |(name, elf)| {
            let name = name.strip_prefix(folder).filter(|name| !name.is_empty())?;
            Some(Task { name, elf })
        })
    }

    fn required(&self, name: &'static str) -> Result<&[u8], Error> {
        self.file(name).ok_or(Error::Missing(name))
    }
}

fn check_comment(comment: &[u8]) -> Result<(), Error> {
    let comment = String::from_utf8_lossy(comment);
    let version = comment.strip_prefix(COMMENT).and_then(|version| version.parse().ok());
    match version {
        None => Err(Error::NotArchive(comment.into_owned())),
        Some(version) if version > VERSION => Err(Error::Newer(version)),
        Some(_) => Ok(()),
    }
}

/// File number `n` of a zip file, checked against its sum.
fn file(zip: &mut ZipArchive<Cursor<&[u8]>>, n: usize) -> Result<File, Error> {
    let name = zip.name_for_index(n).and_then(|name| name.ok());
    let name = name.map_or_else(|| format!("file {n}"), |name| name.into_owned());
    let damaged = |why: String| Error::Damaged(name.clone(), why);
    let entry = zip.by_index(n).map_err(|error| damaged(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = entry.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| damaged(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::TooLarge(name));
    }
    Ok(File { name, bytes })
}

fn is_elf(name: &str) -> bool {
    name == names::IMAGE || name.starts_with("elf/") && !name.ends_with('/')
}

/// `bytes` as an ELF file of a 32-bit little-endian ARM.
fn elf(bytes: &[u8]) -> Option<ElfFile32<'_, LittleEndian>> {
    let file = ElfFile32::<LittleEndian>::parse(bytes).ok()?;
    (file.elf_header().e_machine(LittleEndian) == EM_ARM).then_some(file)
}

/// The identity that the kernel carries, and its address.
fn image_id(kernel: &ElfFile32<'_, LittleEndian>) -> Option<(ImageId, Virt)> {
    let symbol = kernel.symbols().find(|symbol| symbol.name() == Ok("HUBRIS_IMAGE_ID"))?;
    let section = kernel.section_by_index(symbol.section_index()?).ok()?;
    let bytes = section.data_range(symbol.address(), symbol.size()).ok()??;
    let id = u64::from_le_bytes(bytes.try_into().ok()?);
    Some((ImageId(id), Virt(symbol.address())))
}
