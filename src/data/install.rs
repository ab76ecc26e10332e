//! Importing downloaded files into a data folder.

use super::catalogue::{SETS, Set};
use super::{files, mosaic, verify};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use std::fs::File;
use std::io::{Read, copy};
use std::path::{Path, PathBuf};

/// Limit in bytes for the contents of an archive; all known archives are smaller.
const LARGEST_ARCHIVE: u64 = 1 << 29;

/// Imports a file of any known set into its folder in `target`: the archive of a CIFAR set, an IDX file,
/// gzipped or not, or a mosaic of a file of CIFAR-10. The set is recognised by the contents of the file;
/// only mosaics are recognised by their name. Returns the set, and the path of what was written.
///
/// # Errors
/// When the file belongs to no known set or is damaged; nothing is changed then.
pub fn import(file: &Path, target: &Path) -> Result<(&'static Set, PathBuf)> {
    let opening = || format!("cannot read {}", file.display());
    let mut start = Vec::new();
    File::open(file)
        .with_context(opening)?
        .take(2)
        .read_to_end(&mut start)
        .with_context(opening)?;
    ensure!(!start.is_empty(), "{}: byte 0: the file is empty", file.display());
    let is_gzip = start == files::GZIP_MAGIC;
    let opened = File::open(file).with_context(opening)?;
    let mut head = Vec::new();
    if is_gzip {
        let head_of = GzDecoder::new(opened).take(4).read_to_end(&mut head);
        head_of.with_context(|| format!("{} is not a valid gzip file", file.display()))?;
    } else {
        opened.take(12).read_to_end(&mut head).with_context(opening)?;
    }
    match head[..] {
        _ if mosaic::is_webp(&head) => mosaic::import(file, target),
        [0, 0, 8, 1 | 3, ..] => import_idx(file, is_gzip, target),
        _ if is_gzip => import_archive(file, target),
        _ => bail!(
            "{}: byte 0: this is not an IDX file, a .tar.gz or a mosaic (WebP); known files are {}",
            file.display(),
            known_names()
        ),
    }
}

fn known_names() -> String {
    let names = SETS.iter().flat_map(|set| set.downloads).map(|download| download.name);
    // The files of MNIST and Fashion-MNIST have the same names.
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn import_idx(file: &Path, is_gzip: bool, target: &Path) -> Result<(&'static Set, PathBuf)> {
    let largest = SETS.iter().flat_map(|set| set.files).filter(|f| f.is_idx()).map(|f| f.size());
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
        if let Some(found) = set.files.iter().find(|f| f.unzipped_md5 == Some(sum.as_str())) {
            let folder = target.join(set.folders[0]);
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

fn import_archive(file: &Path, target: &Path) -> Result<(&'static Set, PathBuf)> {
    files::create_folder(target)?;
    let scratch = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(target);
    let scratch = scratch.with_context(|| format!("cannot write to {}", target.display()))?;
    let set = unpack(file, scratch.path())?;
    verify::ensure_right(set, scratch.path()).with_context(|| format!("{}", file.display()))?;
    let folder = target.join(set.folders[0]);
    files::create_folder(&folder)?;
    for data in set.files {
        let (from, to) = (scratch.path().join(data.name), folder.join(data.name));
        std::fs::rename(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok((set, folder))
}

/// Unpacks the files of the set in `archive`; other files in it are ignored.
fn unpack(archive: &Path, folder: &Path) -> Result<&'static Set> {
    let damaged = || format!("{}: the .tar.gz is damaged", archive.display());
    let opened =
        File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let mut tar = tar::Archive::new(GzDecoder::new(opened).take(LARGEST_ARCHIVE));
    let mut set: Option<&'static Set> = None;
    for entry in tar.entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let path = entry.path().with_context(damaged)?.into_owned();
        // Only the last component of the name is used, so nothing is written outside the folder.
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let has_file = |set: &&Set| set.files.iter().any(|f| f.name == name && !f.is_idx());
        let Some(owner) = set.or_else(|| SETS.iter().find(has_file)) else { continue };
        let Some(file) = owner.files.iter().find(|f| f.name == name) else { continue };
        set = Some(owner);
        let (inside, size) = (archive.join(&path), entry.size());
        files::check_length(&inside, size, file.size())?;
        let to = folder.join(name);
        let mut out =
            File::create(&to).with_context(|| format!("cannot write {}", to.display()))?;
        let copied = copy(&mut entry, &mut out).with_context(damaged)?;
        files::check_length(&inside, copied, file.size())?;
    }
    let Some(set) = set else {
        bail!("{} has no file of CIFAR-10 or CIFAR-100 in the binary version", archive.display())
    };
    Ok(set)
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
        assert!(attempt(b"hello").contains("this is not an IDX file, a .tar.gz or"));
        assert!(attempt(&[0x1f, 0x8b, 1, 2]).contains("not a valid gzip file"));
        let idx = [0, 0, 8, 1, 0, 0, 0, 1, 5];
        assert!(attempt(&zip(&idx)).contains("belongs to no known set"));
        assert!(attempt(&idx).contains("belongs to no known set"));
        let other = attempt(&zip(&tar("cifar-10-batches-py/data_batch_1", b"x")));
        assert!(other.contains("has no file of CIFAR-10 or CIFAR-100"), "{other}");
        let short = attempt(&zip(&tar("a/train.bin", b"abc")));
        assert!(short.contains("a/train.bin: byte 3: the file ends here"), "{short}");
        let mut cut = zip(&tar("a/data_batch_1.bin", &vec![0; 30_730_000]));
        cut.truncate(cut.len() / 2);
        assert!(attempt(&cut).contains("the .tar.gz is damaged"), "{}", attempt(&cut));
        let lacking = attempt(&zip(&tar("a/data_batch_1.bin", &vec![0; 30_730_000])));
        assert!(lacking.contains("data_batch_2.bin is missing in"), "{lacking}");
    }
}
