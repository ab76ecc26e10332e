//! Folders in which data sets are searched, and to which they are downloaded.

use super::catalogue::{DataFile, Set, Version};
use super::folder::dangling;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder that [`prefer`] was called with.
static PREFERRED: OnceLock<PathBuf> = OnceLock::new();

/// Makes a folder one that is searched wherever no folder is given; a program calls this with `--data-dir`
/// before it reads an experiment, whose folder of images may be there. Later calls have no effect.
pub fn prefer(folder: &Path) {
    PREFERRED.get_or_init(|| folder.to_owned());
}

/// The folder that `FATHOM_DATA` names; an empty value stands for none.
pub fn from_environment() -> Option<PathBuf> {
    let folder = std::env::var_os("FATHOM_DATA").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
}

/// The folders that are searched, in this order: `data_dir`, the one of [`prefer`], `FATHOM_DATA`, and the
/// cache folder.
pub fn search_folders(data_dir: Option<&Path>) -> Vec<PathBuf> {
    let given = data_dir.map(Path::to_owned);
    let mut folders: Vec<PathBuf> = Vec::new();
    let all = [given, PREFERRED.get().cloned(), from_environment(), cache_folder()];
    for folder in all.into_iter().flatten() {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// `$XDG_CACHE_HOME/fathom`, or `~/.cache/fathom`; `None` without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    // The XDG specification requires that relative paths are ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("fathom"))
}

/// The folder for downloads and imports: the first of the folders that are searched.
///
/// # Errors
/// When no folder is given and there is no home folder.
pub fn target_folder(data_dir: Option<&Path>) -> Result<PathBuf> {
    match search_folders(data_dir).into_iter().next() {
        Some(folder) => Ok(folder),
        None => bail!(
            "there is no folder for data sets: give --data-dir DIR, or set FATHOM_DATA or HOME"
        ),
    }
}

/// A set in a folder.
#[derive(Clone)]
pub struct Home {
    /// The set.
    pub set: &'static Set,
    /// The form in which it is there.
    pub version: &'static Version,
    /// The folder.
    pub folder: PathBuf,
}

impl Home {
    /// The folders below `parent` in which a set is searched; its files may be in `parent` itself.
    pub fn candidates(set: &'static Set, parent: &Path) -> Vec<Self> {
        let of_version = |version: &'static Version| {
            let inside = version.folders.iter().map(|name| parent.join(name));
            let folders = inside.chain([parent.to_owned()]);
            folders.map(move |folder| Self { set, version, folder })
        };
        set.versions.iter().flat_map(of_version).collect()
    }

    /// Names of the files that are not there.
    pub fn missing(&self) -> Vec<&'static str> {
        let is_missing = |file: &&DataFile| path_of(file, &self.folder).is_none();
        self.version.files.iter().filter(is_missing).map(|file| file.name).collect()
    }
}

/// Result of the search for a set.
pub enum Found {
    /// All files are here.
    Whole(Home),
    /// Some files are here; those with these names are missing.
    Part(Home, Vec<&'static str>),
    /// No folder has a file of the set.
    Nothing,
}

/// Searches the files of `set`. A folder with all files takes precedence over a folder with some.
pub fn find(set: &'static Set, data_dir: Option<&Path>) -> Found {
    let mut part = None;
    for folder in search_folders(data_dir) {
        for home in Home::candidates(set, &folder) {
            let missing = home.missing();
            if missing.is_empty() {
                return Found::Whole(home);
            }
            if missing.len() < home.version.files.len() && part.is_none() {
                part = Some((home, missing));
            }
        }
    }
    part.map_or(Found::Nothing, |(home, missing)| Found::Part(home, missing))
}

/// Path of a file in `folder`: uncompressed if it exists, otherwise gzipped. IDX files are also distributed
/// with a dot in their names, and each in a folder of its own name.
pub fn path_of(file: &DataFile, folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(file.name);
    if !file.is_idx() {
        return Some(plain).filter(|path| path.is_file());
    }
    let dotted = folder.join(file.name.replace("-idx", ".idx"));
    let gzipped = |path: &PathBuf| path.with_file_name(format!("{}.gz", name_of(path)));
    let inner = |path: &PathBuf| path.join(name_of(path));
    let names = [plain, dotted];
    let mut paths =
        names.iter().cloned().chain(names.iter().map(gzipped)).chain(names.iter().map(inner));
    paths.find(|path| path.is_file())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

/// The folder with all files of `set`.
///
/// # Errors
/// [`Missing`] if there is none: names the missing files, the folders that were searched, what else was found
/// there, and the commands to get the set.
pub fn locate(set: &'static Set, data_dir: Option<&Path>) -> Result<Home> {
    let what = match find(set, data_dir) {
        Found::Whole(home) => return Ok(home),
        Found::Part(home, missing) => {
            let (folder, missing) = (home.folder.display(), missing.join(", "));
            format!("{} is incomplete: {missing} missing in {folder}", set.title)
        }
        Found::Nothing => format!("{} was not found", set.title),
    };
    let files: Vec<_> = set.downloads.iter().map(|d| d.name).collect();
    let message = format!(
        "{what}\n  searched: {}{}\n  to download it:    fathom data fetch {}\n  \
         if you have it:    fathom data import {}\n  \
         if it is unpacked: give its folder with --data-dir or FATHOM_DATA",
        searched(data_dir),
        in_hand(set, data_dir),
        set.name,
        files.join(" ")
    );
    Err(Missing(message).into())
}

/// The folders that are searched, for messages.
pub fn searched(data_dir: Option<&Path>) -> String {
    let searched = search_folders(data_dir);
    if searched.is_empty() {
        return "no folder, since there is no home folder".to_owned();
    }
    searched.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Links that lead nowhere and archives that are not unpacked, in the places where `set` is searched.
fn in_hand(set: &'static Set, data_dir: Option<&Path>) -> String {
    let mut found: Vec<String> = Vec::new();
    for folder in search_folders(data_dir) {
        for home in Home::candidates(set, &folder) {
            found.extend(dangling(&home.folder));
            found.extend(
                home.version.files.iter().filter_map(|f| dangling(&home.folder.join(f.name))),
            );
            let archives = home.version.archive.into_iter();
            let archives = archives.flat_map(|name| [name, name.trim_end_matches(".gz")]);
            for path in archives.map(|name| home.folder.join(name)).filter(|path| path.is_file()) {
                let path = path.display();
                found.push(format!("{path} is not unpacked: fathom data import {path}"));
            }
        }
    }
    found.sort();
    found.dedup();
    found.iter().map(|what| format!("\n  found: {what}")).collect()
}

/// A data set is missing or incomplete. Other errors concern the contents of its files.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

/// The folder of `images`: `path` itself, or `path` in one of the folders that are searched.
///
/// # Errors
/// When it does not exist; the message names the paths that were tried.
pub fn image_folder(path: &Path, data_dir: Option<&Path>) -> Result<PathBuf> {
    let mut candidates = vec![path.to_owned()];
    if path.is_relative() {
        candidates.extend(search_folders(data_dir).into_iter().map(|folder| folder.join(path)));
    }
    if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
        return Ok(folder.clone());
    }
    if let Some(message) = candidates.iter().find_map(|path| dangling(path)) {
        bail!(message);
    }
    let names: Vec<_> = candidates.iter().map(|f| f.display().to_string()).collect();
    let names = names.join(", ");
    match candidates.iter().find(|path| path.is_file()) {
        Some(file) => bail!(
            "{} is a file, but a folder of images is expected: unpack it, and give the folder",
            file.display()
        ),
        None => bail!(
            "the folder of images was not found: tried {names}; give the folder that has it with \
             --data-dir or FATHOM_DATA"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_set_names_folders_and_commands() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::named("cifar10").unwrap();
        let message = locate(set, Some(folder.path())).err().unwrap().to_string();
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        assert!(message.contains("fathom data fetch cifar10"), "{message}");
        assert!(message.contains("fathom data import cifar-10-binary.tar.gz"), "{message}");
    }

    #[test]
    fn sets_are_found_in_every_layout_and_gaps_are_named() {
        let set = Set::named("mnist").unwrap();
        for (inside, ending) in [("mnist", ".gz"), ("MNIST/raw", ""), ("", "")] {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().join(inside);
            std::fs::create_dir_all(&at).unwrap();
            let files = set.versions[0].files;
            for file in &files[1..] {
                std::fs::write(at.join(format!("{}{ending}", file.name)), "").unwrap();
            }
            let message = locate(set, Some(folder.path())).err().unwrap().to_string();
            assert!(
                message.contains("incomplete: train-images-idx3-ubyte missing in"),
                "{message}"
            );
            std::fs::write(at.join(files[0].name), "").unwrap();
            assert_eq!(
                locate(set, Some(folder.path())).unwrap().folder,
                at.components().collect::<PathBuf>()
            );
        }
    }
    #[test]
    fn files_with_dots_in_their_names_and_in_folders_of_their_own_are_found() {
        let set = Set::named("mnist").unwrap();
        for of in [
            |name: &str| name.to_owned(),
            |name: &str| format!("{name}.gz"),
            |name: &str| format!("{name}/{name}"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in set.versions[0].files {
                let path = folder.path().join(of(&file.name.replace("-idx", ".idx")));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            assert_eq!(locate(set, Some(folder.path())).unwrap().folder, folder.path());
        }
    }

    #[test]
    fn what_is_in_hand_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let set = Set::named("cifar10").unwrap();
        let archive = folder.path().join("cifar-10-python.tar");
        std::fs::write(&archive, "").unwrap();
        std::os::unix::fs::symlink("/gone", folder.path().join("cifar-10-batches-bin")).unwrap();
        let message = locate(set, Some(folder.path())).err().unwrap().to_string();
        let remedy =
            format!("found: {0} is not unpacked: fathom data import {0}", archive.display());
        assert!(message.contains(&remedy), "{message}");
        assert!(
            message.contains("batches-bin is a link to /gone, which does not exist"),
            "{message}"
        );
    }
}
