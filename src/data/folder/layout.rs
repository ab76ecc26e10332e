//! Where the training and the test images of a folder are.

use super::ImageFolder;
use super::entries::{Entries, dangling, names};
use super::labels::LabelList;
use anyhow::{Result, bail, ensure};
use std::path::{Path, PathBuf};

/// Name of the folder of the training images.
const TRAIN: &str = "train";
/// Names of the folder of the test images; the first that has labelled images is taken.
const TESTS: [&str; 4] = ["test", "val", "valid", "validation"];
/// Name of a folder inside the folder of a class, or of a part, that has the images.
pub(super) const IMAGES: &str = "images";

/// The smallest and the largest share of images that can be held out.
pub const SHARES: (f64, f64) = (0.01, 0.5);

/// The training and the test images of a folder, not yet listed.
#[derive(Debug)]
pub struct Layout {
    /// The folder that has the parts: the given one, or the only folder in it.
    pub(super) root: PathBuf,
    /// Class names.
    pub classes: Vec<String>,
    pub(super) train: Part,
    /// `None` if test images are held out of the training images.
    pub(super) test: Option<Part>,
    /// Remarks for the user.
    pub(super) notes: Vec<String>,
}

/// The training or the test images.
#[derive(Debug)]
pub(super) enum Part {
    /// A folder with one folder for each class.
    Classes(PathBuf),
    /// A folder with images of all classes, and a list of their labels.
    Listed { list: LabelList, images: PathBuf },
}

impl Layout {
    /// Finds the training and test images of a folder. Only folders and lists are read.
    ///
    /// # Errors
    /// When there are none, when classes differ or are fewer than two; the message says what was found.
    pub fn of(folder: &ImageFolder) -> Result<Self> {
        if let Some(share) = folder.test_share {
            let (least, most) = SHARES;
            ensure!(
                (least..=most).contains(&share),
                "a share of {share} of the images cannot be held out: it must be from {least} to {most}"
            );
        }
        let root = unwrapped(&folder.root)?;
        let train = match part(&root, TRAIN)? {
            Some(train) => train,
            None if root.join(TRAIN).is_dir() => {
                bail!("{}: {}", root.join(TRAIN).display(), unlabelled(&root.join(TRAIN))?)
            }
            None => undivided(&root, folder.test_share)?,
        };
        let classes = train.classes()?;
        let (found, most) = (classes.len(), usize::from(u16::MAX));
        ensure!(
            (2..=most).contains(&found),
            "{}: need from 2 to {most} classes (one folder each), found {found}",
            train.folder().display()
        );
        let (test, notes) = test_part(&root, &train, folder.test_share)?;
        if let Some(test) = &test {
            compare(&train, &classes, test)?;
        }
        Ok(Self { root, classes, train, test, notes })
    }

    /// All folders and lists on which the listing of the files depends.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let mut sources = Vec::new();
        for part in std::iter::once(&self.train).chain(&self.test) {
            sources.push(part.folder().to_owned());
            match part {
                Part::Classes(folder) => {
                    for class in &self.classes {
                        let class = folder.join(class);
                        let inner = class.join(IMAGES);
                        sources.push(class);
                        sources.extend(inner.is_dir().then_some(inner));
                    }
                }
                Part::Listed { list, .. } => sources.push(list.path.clone()),
            }
        }
        sources
    }
}

impl Part {
    fn folder(&self) -> &Path {
        match self {
            Self::Classes(folder) | Self::Listed { images: folder, .. } => folder,
        }
    }

    /// The names of the classes, sorted.
    fn classes(&self) -> Result<Vec<String>> {
        match self {
            Self::Classes(folder) => {
                let name =
                    |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
                Ok(Entries::of(folder)?.folders.iter().filter_map(name).collect())
            }
            Self::Listed { list, .. } => Ok(list.classes()),
        }
    }
}

/// The folder itself, or the only folder in it if the parts are there, as archives are often unpacked.
fn unwrapped(root: &Path) -> Result<PathBuf> {
    let is_root = |folder: &Path| folder.join(TRAIN).is_dir();
    if !is_root(root) {
        let entries = Entries::of(root)?;
        if let [only] = &entries.folders[..]
            && is_root(only)
        {
            return Ok(only.clone());
        }
    }
    Ok(root.to_owned())
}

/// The labelled images in the folder `name` of `root`, if there are any.
fn part(root: &Path, name: &str) -> Result<Option<Part>> {
    let folder = root.join(name);
    if !folder.is_dir() {
        return match dangling(&folder) {
            Some(message) => bail!(message),
            None => Ok(None),
        };
    }
    let entries = Entries::of(&folder)?;
    let inner = folder.join(IMAGES);
    if entries.folders.iter().any(|folder| *folder != inner) {
        return Ok(Some(Part::Classes(folder)));
    }
    let images = if entries.images.is_empty() && inner.is_dir() { inner } else { folder };
    let beside = Entries::of(root)?.others;
    let is_of_part = |path: &&PathBuf| {
        let name_of = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name_of.starts_with(name)
    };
    let lists = entries.others.iter().chain(beside.iter().filter(is_of_part));
    let list = LabelList::find(lists, &images)?;
    Ok(list.map(|list| Part::Listed { list, images }))
}

/// What a folder has instead of labelled images, and what to do.
fn unlabelled(folder: &Path) -> Result<String> {
    let entries = Entries::of(folder)?;
    let inner = folder.join(IMAGES);
    let images = match inner.is_dir() {
        true => entries.images.len() + Entries::of(&inner)?.images.len(),
        false => entries.images.len(),
    };
    Ok(match images {
        0 => format!("there are no folders of classes and no images ({})", super::endings()),
        n => format!(
            "images without labels lie there ({n}): move each into a folder named after its class, or put \
             a list beside them (.csv, .tsv or .txt) with the name of a file and its class on each line"
        ),
    })
}

/// The classes of a folder that is not divided into training and test images.
fn undivided(root: &Path, share: Option<f64>) -> Result<Part> {
    let entries = Entries::of(root)?;
    let with_images = |folder: &&PathBuf| {
        let has = |folder: &Path| Entries::of(folder).is_ok_and(|inner| !inner.images.is_empty());
        has(folder) || has(&folder.join(IMAGES))
    };
    let classes = entries.folders.iter().filter(with_images).count();
    let is_undivided = classes > 1 && classes == entries.folders.len();
    if is_undivided && share.is_some() {
        return Ok(Part::Classes(root.to_owned()));
    }
    let found = match (&entries.folders[..], entries.images.len()) {
        ([], 0) => "nothing was found there".to_owned(),
        ([], images) => format!("found {images} images without folders of classes"),
        (folders, _) => format!("found the folders {}", names(folders)),
    };
    let hint = match (is_undivided, entries.folders.is_empty(), share) {
        (true, ..) => {
            "; if these are the classes, data.test_share = 0.2 holds a fixed fifth of each out as test \
             images"
        }
        (false, false, Some(_)) => "; data.test_share needs one folder of images for each class",
        _ => "",
    };
    bail!(
        "cannot read the folder {}: images are expected in train/CLASS/ and test/CLASS/ of {}; {found}{hint}",
        root.join(TRAIN).display(),
        root.display()
    )
}

/// The test images, with remarks: those of the first labelled part, or `None` if a share of the training
/// images is held out.
fn test_part(root: &Path, train: &Part, share: Option<f64>) -> Result<(Option<Part>, Vec<String>)> {
    // The folder itself has the classes, one of which may be called `test`.
    let is_divided = train.folder() != root;
    let mut notes = Vec::new();
    let mut unlabelled_parts = Vec::new();
    for name in TESTS.iter().filter(|_| is_divided) {
        let folder = root.join(name);
        match part(root, name)? {
            Some(test) => {
                ensure!(
                    share.is_none(),
                    "data.test_share is for a folder without test images, but {} has some: remove the key",
                    folder.display()
                );
                if *name != TESTS[0] {
                    notes.push(format!("the images of {name}/ are the test images"));
                }
                return Ok((Some(test), notes));
            }
            None if folder.is_dir() => {
                let reason = unlabelled(&folder)?;
                notes.push(format!("{name}/ is not used: {reason}"));
                unlabelled_parts.push(format!("{}: {reason}", folder.display()));
            }
            None => {}
        }
    }
    if let Some(share) = share {
        notes.push(format!(
            "data.test_share = {share}: this share of each class is held out as test images, chosen by a \
             hash of the files' names"
        ));
        return Ok((None, notes));
    }
    ensure!(unlabelled_parts.is_empty(), unlabelled_parts.join("\n  "));
    bail!(
        "cannot read the folder {}: test images are expected in test/CLASS/ or val/CLASS/ of {}; \
         data.test_share = 0.2 holds a fixed fifth of each class of train/ out instead",
        root.join(TESTS[0]).display(),
        root.display()
    )
}

/// Checks that training and test images have the same classes.
fn compare(train: &Part, classes: &[String], test: &Part) -> Result<()> {
    let missing = |of: &[String], other: &[String]| of.iter().find(|c| !other.contains(c)).cloned();
    let tested = test.classes()?;
    let name = |part: &Part| part.folder().display().to_string();
    let (train, test) = (name(train), name(test));
    if let Some(class) = missing(classes, &tested) {
        bail!("class `{class}` of {train} has no images in {test}");
    }
    if let Some(class) = missing(&tested, classes) {
        bail!("class `{class}` of {test} has no images in {train}");
    }
    Ok(())
}
