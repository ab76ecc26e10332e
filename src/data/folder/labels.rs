//! Lists of labels: each line has the name of an image and its class, separated by a tab, a comma, a
//! semicolon or spaces; further fields are ignored. `val_annotations.txt` of Tiny ImageNet is one, and so are
//! the tables of competitions.

use super::LabelledFile;
use super::entries::Entries;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Extensions of lists.
const LISTS: [&str; 3] = ["csv", "tsv", "txt"];

/// A list of labels.
#[derive(Debug)]
pub(super) struct LabelList {
    /// The file.
    pub(super) path: PathBuf,
    /// Line number, name of an image and class of each line.
    rows: Vec<(usize, String, String)>,
}

impl LabelList {
    /// The list among some files that names images of the folder `images`; `None` if there is none.
    ///
    /// # Errors
    /// When several lists do, or a list cannot be read.
    pub(super) fn find<'a>(
        files: impl Iterator<Item = &'a PathBuf>,
        images: &Path,
    ) -> Result<Option<Self>> {
        let names = Names::of(images)?;
        let mut found: Option<Self> = None;
        for path in files {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if names.0.is_empty() || !LISTS.contains(&ending.to_lowercase().as_str()) {
                continue;
            }
            let mut list = Self::read(path)?;
            let is_row = |(_, name, _): &(usize, String, String)| names.find(name).is_some();
            // The first line may be a header.
            if list.rows.first().is_some_and(|row| !is_row(row)) {
                list.rows.remove(0);
            }
            // A text may happen to begin a line with the name of an image.
            if list.rows.iter().filter(|row| is_row(row)).count() * 2 <= list.rows.len() {
                continue;
            }
            if let Some(other) = &found {
                bail!(
                    "{} and {} both have labels of the images in {}: remove one of them",
                    other.path.display(),
                    path.display(),
                    images.display()
                );
            }
            found = Some(list);
        }
        Ok(found)
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        let row = |(at, line): (usize, &str)| {
            let separator =
                ['\t', ',', ';'].into_iter().find(|separator| line.contains(*separator));
            let field = |text: &str| text.trim().trim_matches('"').to_owned();
            let fields: Vec<String> = match separator {
                Some(separator) => line.split(separator).take(2).map(field).collect(),
                None => line.split_whitespace().take(2).map(field).collect(),
            };
            match <[String; 2]>::try_from(fields) {
                Ok([name, class]) => Some((at + 1, name, class)),
                Err(_) => None,
            }
        };
        Ok(Self { path: path.to_owned(), rows: text.lines().enumerate().filter_map(row).collect() })
    }

    /// The classes of the list, sorted.
    pub(super) fn classes(&self) -> Vec<String> {
        let classes: BTreeSet<&String> = self.rows.iter().map(|(.., class)| class).collect();
        classes.into_iter().cloned().collect()
    }

    /// The files of `images` with their labels, ordered by class.
    ///
    /// # Errors
    /// When a line names no image or the same as another line, naming it, or an image is on no line.
    pub(super) fn files(&self, images: &Path, classes: &[String]) -> Result<Vec<LabelledFile>> {
        let names = Names::of(images)?;
        let mut lines: BTreeMap<&Path, usize> = BTreeMap::new();
        let mut files = Vec::new();
        for (line, name, class) in &self.rows {
            let place = || format!("{}: line {line}", self.path.display());
            let path = names.find(name);
            let path = path.with_context(|| {
                format!("{}: no image `{name}` in {}", place(), images.display())
            })?;
            let label = classes.iter().position(|one| one == class);
            let label = label.with_context(|| format!("{}: `{class}` is not a class", place()))?;
            if let Some(earlier) = lines.insert(path, *line) {
                bail!("{}: `{name}` is on line {earlier} as well", place());
            }
            files.push((path.to_owned(), label as u16));
        }
        let missing = names.paths().find(|path| !lines.contains_key(*path));
        if let Some(path) = missing {
            bail!("{} has no line in {}", path.display(), self.path.display());
        }
        files.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        ensure!(!files.is_empty(), "{} has no images", images.display());
        Ok(files)
    }
}

/// The images of a folder by name, and by name without extension.
struct Names(BTreeMap<String, PathBuf>);

impl Names {
    fn of(folder: &Path) -> Result<Self> {
        let name = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .map(|name| (name.to_owned(), path.clone()))
        };
        Ok(Self(Entries::of(folder)?.images.iter().filter_map(name).collect()))
    }

    /// The image of a name in a list, which may be a path, and may lack the extension if that leaves no doubt.
    fn find(&self, name: &str) -> Option<&Path> {
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        if let Some(path) = self.0.get(name) {
            return Some(path);
        }
        let start = format!("{name}.");
        let mut longer =
            self.0.range(start.clone()..).take_while(|(known, _)| known.starts_with(&start));
        let only = longer.next().filter(|_| !name.is_empty());
        only.filter(|_| longer.next().is_none()).map(|(_, path)| path.as_path())
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.values().map(PathBuf::as_path)
    }
}
