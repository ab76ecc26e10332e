//! Importing downloaded files into a data folder.

use super::catalogue::{DataFile, Format, SETS, Set, Version};
use super::locate::{Home, path_of};
use super::{files, mosaic, official, verify};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use std::fs::File;
use std::io::{Read, copy};
use std::path::{Path, PathBuf};

/// Limit in bytes for the contents of an archive; all known archives are smaller.
const LARGEST_ARCHIVE: u64 = 1 << 29;

/// Bytes at the start of a file that show what it is.
const HEAD: u64 = 512;

/// Imports a file of any known set into its folder in `target`: the archive of a CIFAR set, compressed or
/// not, an IDX file, gzipped or not, a mosaic of a file of CIFAR-10, or a folder with the files of a set. The set
/// is recognised by the contents; only mosaics and the files of CIFAR are recognised by their names.
///
/// # Errors
/// When the file belongs to no known set or is damaged; nothing is changed then. Of a folder, the sets before
/// the damaged one are imported.
pub fn import(file: &Path, target: &Path) -> Result<Vec<Imported>> {
    if file.is_dir() { import_folder(file, target) } else { Ok(vec![import_file(file, target)?]) }
}

/// A set, and the path of what was written for it.
pub type Imported = (&'static Set, PathBuf);

fn import_file(file: &Path, target: &Path) -> Result<Imported> {
    let opening = || format!("cannot read {}", file.display());
    let mut head = Vec::new();
    let opened = File::open(file).with_context(opening)?;
    opened.take(HEAD).read_to_end(&mut head).with_context(opening)?;
    ensure!(!head.is_empty(), "{}: byte 0: the file is empty", file.display());
    let is_gzip = head.starts_with(&files::GZIP_MAGIC);
    if is_gzip {
        head.clear();
        let head_of = GzDecoder::new(File::open(file).with_context(opening)?).take(HEAD);
        let outcome = { head_of }.read_to_end(&mut head);
        // A file of which only the end is damaged has a valid head.
        let is_readable = outcome.is_ok() || head.len() >= 4;
        ensure!(is_readable, "{} is not a valid gzip file", file.display());
    }
    match head[..] {
        _ if mosaic::is_webp(&head) => mosaic::import(file, target),
        [0, 0, 8, 1 | 3, ..] => import_idx(file, is_gzip, target),
        _ if head.starts_with(b"MATLAB 5.0") => import_mat(file, target),
        _ if is_gzip || is_tar(&head) => import_archive(file, is_gzip, target),
        _ if files::is_html(&head) => bail!(
            "{}: this is an HTML page, not a data set: the server or a portal sent it instead of the file; \
             sign in there and download the file again, or use fathom data fetch",
            file.display()
        ),
        [b'P', b'K', 3, 4, ..] => {
            let folder = file.with_extension("");
            bail!(
                "{0}: this is a ZIP archive: unpack it, and import the folder: unzip {0} -d {1} && fathom \
                 data import {1}",
                file.display(),
                folder.display()
            )
        }
        _ => bail!(
            "{}: byte 0: this is not an IDX file, a .tar.gz, a .tar or a mosaic (WebP); known files are {}",
            file.display(),
            known_names()
        ),
    }
}

/// Whether these are the first bytes of a tar archive.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262).is_some_and(|magic| magic == b"ustar")
}

/// Imports all sets whose files are in a folder, or in the subfolders in which they are searched.
fn import_folder(folder: &Path, target: &Path) -> Result<Vec<Imported>> {
    let mut imported = Vec::new();
    for set in &SETS {
        let mut homes = Home::candidates(set, folder).into_iter();
        let Some(home) = homes.find(|home| home.missing().is_empty()) else { continue };
        if home.version.archive.is_some() {
            imported.push(copy_home(&home, target)?);
            continue;
        }
        // Sets with the same names of files are told apart by their contents.
        for file in home.version.files {
            let path = path_of(file, &home.folder).context("a file has vanished")?;
            imported.push(import_file(&path, target)?);
        }
    }
    imported.sort_by(|a, b| a.1.cmp(&b.1));
    imported.dedup_by(|a, b| a.1 == b.1);
    if imported.is_empty() {
        let first =
            |(_, version): (_, &'static Version)| version.files.first().map(|file| file.name);
        let mut examples: Vec<&str> = versions().filter_map(first).collect();
        examples.dedup();
        bail!(
            "{}: no folder with all files of a known set, which begin with {}; a folder of images needs no \
             import: data.source = \"images\" and data.path",
            folder.display(),
            examples.join(", ")
        )
    }
    Ok(imported)
}

/// Copies a set that is right.
fn copy_home(home: &Home, target: &Path) -> Result<Imported> {
    verify::ensure_right(home)?;
    install(target, |scratch| {
        for file in home.version.files {
            let from = home.folder.join(file.name);
            std::fs::copy(&from, scratch.join(file.name))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok((home.set, home.version))
    })
}

fn known_names() -> String {
    let archives = SETS.iter().flat_map(|set| set.versions).filter_map(|version| version.archive);
    let names =
        SETS.iter().flat_map(|set| set.downloads).map(|download| download.name).chain(archives);
    // The files of MNIST and Fashion-MNIST have the same names.
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn import_idx(file: &Path, is_gzip: bool, target: &Path) -> Result<Imported> {
    let largest =
        SETS.iter().flat_map(|set| set.versions[0].files).filter(|f| f.is_idx()).map(|f| f.size());
    let largest = largest.max().unwrap_or(0);
    let size = std::fs::metadata(file)?.len();
    ensure!(size <= 2 * largest, "{}: the file is larger than all known IDX files", file.display());
    let raw = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let sum = if is_gzip {
        hex::encode(Md5::digest(files::gunzip(file, &raw, largest)?))
    } else {
        hex::encode(Md5::digest(&raw))
    };
    for set in &SETS {
        let version = &set.versions[0];
        let is_found = |f: &&DataFile| f.unzipped_md5 == Some(sum.as_str());
        if let Some(found) = version.files.iter().find(is_found) {
            let folder = target.join(version.folders[0]);
            files::create_folder(&folder)?;
            let path = folder.join(format!("{}{}", found.name, if is_gzip { ".gz" } else { "" }));
            fathom_base::write_atomically(&path, &raw)?;
            return Ok((set, path));
        }
    }
    bail!(
        "{}: this IDX file belongs to no known set or is damaged (MD5 after decompression: {sum})",
        file.display()
    )
}

/// Imports a MATLAB file, which is recognised by its sum.
fn import_mat(file: &Path, target: &Path) -> Result<Imported> {
    let sum = official::md5_of(file)?;
    for (set, version) in versions() {
        if let Some(found) = version.files.iter().find(|f| f.format == Format::Mat && f.md5 == sum)
        {
            let folder = target.join(version.folders[0]);
            files::create_folder(&folder)?;
            let path = folder.join(found.name);
            let bytes =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            fathom_base::write_atomically(&path, &bytes)?;
            return Ok((set, path));
        }
    }
    bail!(
        "{}: this MATLAB file is none of SVHN's cropped digits (train_32x32.mat, test_32x32.mat) or is \
         damaged (MD5: {sum})",
        file.display()
    )
}

/// All versions of all sets.
fn versions() -> impl Iterator<Item = (&'static Set, &'static Version)> {
    SETS.iter().flat_map(|set| set.versions.iter().map(move |version| (set, version)))
}

fn import_archive(file: &Path, is_gzip: bool, target: &Path) -> Result<Imported> {
    install(target, |scratch| {
        let (set, version) = unpack(file, is_gzip, scratch)?;
        let home = Home { set, version, folder: scratch.to_owned() };
        verify::ensure_right(&home).with_context(|| format!("{}", file.display()))?;
        Ok((set, version))
    })
}

/// Moves the files that `collect` writes to a temporary folder into the folder of their set.
fn install(
    target: &Path,
    collect: impl FnOnce(&Path) -> Result<(&'static Set, &'static Version)>,
) -> Result<Imported> {
    files::create_folder(target)?;
    let scratch = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(target);
    let scratch = scratch.with_context(|| format!("cannot write to {}", target.display()))?;
    let (set, version) = collect(scratch.path())?;
    let folder = target.join(version.folders[0]);
    files::create_folder(&folder)?;
    for data in version.files {
        let (from, to) = (scratch.path().join(data.name), folder.join(data.name));
        std::fs::rename(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok((set, folder))
}

/// Unpacks the files of the set in `archive`; other files in it are ignored.
fn unpack(
    archive: &Path,
    is_gzip: bool,
    folder: &Path,
) -> Result<(&'static Set, &'static Version)> {
    let damaged = || format!("{}: the archive is damaged", archive.display());
    let opened =
        File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let contents: Box<dyn Read> =
        if is_gzip { Box::new(GzDecoder::new(opened)) } else { Box::new(opened) };
    let mut tar = tar::Archive::new(contents.take(LARGEST_ARCHIVE));
    let mut found: Option<(&'static Set, &'static Version)> = None;
    for entry in tar.entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let path = entry.path().with_context(damaged)?.into_owned();
        // Only the last component of the name is used, so nothing is written outside the folder.
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(owner) = found.or_else(|| owner(&path, name)) else { continue };
        let Some(file) = owner.1.files.iter().find(|f| f.name == name) else { continue };
        found = Some(owner);
        let (inside, size) = (archive.join(&path), entry.size());
        let check = |length: u64| match file.format {
            // The length of a pickle depends on the names of files in it.
            Format::Pickle(_) => files::check_length(&inside, length, length.min(file.size())),
            Format::Cifar(_) | Format::Mat | Format::IdxImages | Format::IdxLabels => {
                files::check_length(&inside, length, file.size())
            }
        };
        check(size)?;
        let to = folder.join(name);
        let mut out =
            File::create(&to).with_context(|| format!("cannot write {}", to.display()))?;
        let copied = copy(&mut entry, &mut out).with_context(damaged)?;
        check(copied)?;
    }
    found.with_context(|| format!("{} has no file of CIFAR-10 or CIFAR-100", archive.display()))
}

/// The set, and the version of it, that an entry of an archive belongs to. Names without an extension, such
/// as `train`, count only in the folder of their version.
fn owner(path: &Path, name: &str) -> Option<(&'static Set, &'static Version)> {
    let parent = path.parent().and_then(|parent| parent.file_name()).and_then(|name| name.to_str());
    let mut archives = versions().filter(|(_, version)| version.archive.is_some());
    archives.find(|(_, version)| {
        let is_there = parent.is_some_and(|parent| version.folders.contains(&parent));
        version.files.iter().any(|file| file.name == name) && (name.contains('.') || is_there)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn attempt(contents: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given.gz");
        std::fs::write(&file, contents).unwrap();
        let message = format!("{:#}", import(&file, &folder.path().join("data")).err().unwrap());
        let left = std::fs::read_dir(folder.path().join("data")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a refused file must leave no files");
        message
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn an_unknown_file_is_refused_with_a_reason() {
        assert!(attempt(b"").contains("byte 0: the file is empty"));
        assert!(attempt(b"hello").contains("this is not an IDX file, a .tar.gz, a .tar or"));
        let page = attempt(b"<!DOCTYPE html><html>Sign in");
        assert!(page.contains("this is an HTML page, not a data set"), "{page}");
        let zipped = attempt(b"PK\x03\x04....");
        assert!(zipped.contains("unpack it, and import the folder: unzip"), "{zipped}");
        assert!(attempt(&[0x1f, 0x8b, 1, 2]).contains("not a valid gzip file"));
        let idx = [0, 0, 8, 1, 0, 0, 0, 1, 5];
        assert!(attempt(&zip(&idx)).contains("belongs to no known set"));
        assert!(attempt(&idx).contains("belongs to no known set"));
        let other = attempt(&zip(&tar("photos/train", b"x")));
        assert!(other.contains("has no file of CIFAR-10 or CIFAR-100"), "{other}");
        let short = attempt(&zip(&tar("a/train.bin", b"abc")));
        assert!(short.contains("a/train.bin: byte 3: the file ends here"), "{short}");
        let plain = attempt(&tar("a/train.bin", b"abc"));
        assert!(plain.contains("a/train.bin: byte 3: the file ends here"), "{plain}");
        let pickles = attempt(&zip(&tar("cifar-10-batches-py/data_batch_1", b"x")));
        assert!(pickles.contains("data_batch_2 is missing in"), "{pickles}");
        let mut cut = zip(&tar("a/data_batch_1.bin", &vec![0; 30_730_000]));
        cut.truncate(cut.len() / 2);
        assert!(attempt(&cut).contains("the archive is damaged"), "{}", attempt(&cut));
        let lacking = attempt(&zip(&tar("a/data_batch_1.bin", &vec![0; 30_730_000])));
        assert!(lacking.contains("data_batch_2.bin is missing in"), "{lacking}");
    }
}
