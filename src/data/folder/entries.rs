//! The entries of a folder, without those of operating systems.

use super::EXTENSIONS;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names that operating systems leave in folders and archives. Hidden names are ignored as well.
const SYSTEM: [&str; 3] = ["__MACOSX", "Thumbs.db", "desktop.ini"];

/// The visible entries of a folder, each sorted by name.
pub(super) struct Entries {
    pub(super) folders: Vec<PathBuf>,
    pub(super) images: Vec<PathBuf>,
    /// Files that are not images.
    pub(super) others: Vec<PathBuf>,
}

impl Entries {
    /// Reads a folder.
    ///
    /// # Errors
    /// When it cannot be read, when a name is not UTF-8, or when an entry is a link that leads nowhere.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let reading = || format!("cannot read the folder {}", folder.display());
        let mut found = Self { folders: Vec::new(), images: Vec::new(), others: Vec::new() };
        for entry in std::fs::read_dir(folder).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let path = entry.path();
            let name = path.file_name().unwrap_or_default().to_str();
            let Some(name) = name else { bail!("the name of {} is not UTF-8", path.display()) };
            if name.starts_with('.') || SYSTEM.contains(&name) {
                continue;
            }
            let kind = entry.file_type().with_context(reading)?;
            if let (true, Some(message)) = (kind.is_symlink(), dangling(&path)) {
                bail!(message);
            }
            let is_folder = if kind.is_symlink() { path.is_dir() } else { kind.is_dir() };
            let kind = if is_folder {
                &mut found.folders
            } else if is_image(&path) {
                &mut found.images
            } else {
                &mut found.others
            };
            kind.push(path);
        }
        for kind in [&mut found.folders, &mut found.images, &mut found.others] {
            kind.sort();
        }
        Ok(found)
    }
}

/// What is wrong with a link that leads nowhere; `None` for everything else.
pub fn dangling(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok().filter(|_| !path.exists())?;
    let (path, target) = (path.display(), target.display());
    Some(format!("{path} is a link to {target}, which does not exist"))
}

fn is_image(path: &Path) -> bool {
    EXTENSIONS.contains(&ending(path).as_str())
}

/// The extension of a file in small letters.
fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase()
}

/// The names of some paths, of which the first ones are shown.
pub(super) fn names(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
    let mut names: Vec<String> = paths.iter().take(SHOWN).map(name).collect();
    if paths.len() > SHOWN {
        names.push(format!("... ({} in all)", paths.len()));
    }
    names.join(", ")
}

/// Numbers of ignored files by extension, and of ignored folders.
#[derive(Default)]
pub(super) struct Ignored(BTreeMap<String, usize>);

impl Ignored {
    /// Counts what is not an image.
    pub(super) fn add(&mut self, entries: &Entries) {
        for file in &entries.others {
            let kind = match ending(file).as_str() {
                "" => "without an extension".to_owned(),
                ending => format!(".{ending}"),
            };
            *self.0.entry(kind).or_default() += 1;
        }
        if !entries.folders.is_empty() {
            *self.0.entry("folders".to_owned()).or_default() += entries.folders.len();
        }
    }

    /// Counts images beside the folders of classes, which have no label.
    pub(super) fn add_loose(&mut self, entries: &Entries) {
        if !entries.images.is_empty() {
            *self.0.entry("images outside of classes".to_owned()).or_default() +=
                entries.images.len();
        }
    }

    /// A remark on what was ignored, if anything was.
    pub(super) fn note(&self) -> Option<String> {
        let counts: Vec<String> = self.0.iter().map(|(kind, n)| format!("{kind} ({n})")).collect();
        let counts = counts.join(", ");
        (!self.0.is_empty()).then(|| {
            format!("ignored, since only {} of classes are read: {counts}", super::endings())
        })
    }
}
