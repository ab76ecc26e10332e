//! Checking an official set on disk against the published sums of its files and, where those differ,
//! against the known contents of its images and labels.

use super::catalogue::{DataFile, Set};
use super::locate::{Home, path_of};
use super::{Labels, files, official};
use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::path::Path;

/// Result of checking one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sum is the published one.
    Published,
    /// The sum is another one, but images and labels are right.
    ContentsRight,
    /// The sum is another one, and the contents of its split are wrong, but another file of the split may
    /// be the cause. The text says so.
    Unclear(String),
    /// The file is wrong for this reason.
    Wrong(String),
}

/// One file and its verdict.
#[derive(Clone, Debug)]
pub struct Check {
    /// Path of the file.
    pub path: std::path::PathBuf,
    /// Its verdict.
    pub verdict: Verdict,
}

/// Checks every file of a set.
///
/// # Errors
/// When a file is missing. All other errors are verdicts.
pub fn verify(home: &Home) -> Result<Vec<Check>> {
    let Home { set, version, folder } = home;
    let paths = version.files.iter().map(|file| {
        let path = path_of(file, folder);
        path.with_context(|| format!("{} is missing in {}", file.name, folder.display()))
    });
    let paths = paths.collect::<Result<Vec<_>>>()?;
    let verdicts: Vec<Verdict> = version
        .files
        .par_iter()
        .zip(&paths)
        .map(|(file, path)| check_file(set, file, path))
        .collect();
    let mut checks: Vec<Check> =
        paths.into_iter().zip(verdicts).map(|(path, verdict)| Check { path, verdict }).collect();
    check_contents(home, &mut checks);
    Ok(checks)
}

fn check_file(set: &Set, file: &DataFile, path: &Path) -> Verdict {
    let attempt = || -> Result<Verdict> {
        let found = official::md5_of(path)?;
        if found == file.md5 {
            return Ok(Verdict::Published);
        }
        official::read_file(set, file, path, Labels::Fine, &mut official::no_images())?;
        let differs = |found: &str, expected: &str| {
            format!("the MD5 is {found}, but the published one is {expected}")
        };
        let Some(unzipped) = file.unzipped_md5 else {
            let reason = differs(&found, file.md5);
            let known = set.content.is_some();
            return Ok(if known { Verdict::Unclear(reason) } else { Verdict::Wrong(reason) });
        };
        let found = hex::encode(Md5::digest(files::read_exactly(path, file.size())?));
        Ok(if found == unzipped {
            Verdict::ContentsRight
        } else {
            Verdict::Wrong(differs(&found, unzipped))
        })
    };
    attempt().unwrap_or_else(|error| Verdict::Wrong(format!("{error:#}")))
}

/// Decides the unclear verdicts. The records of CIFAR-10 may have another order, which changes the sum of
/// every file, so the images of a split are checked together. If they are wrong and several sums differ,
/// it remains unclear which file is the cause.
fn check_contents(home: &Home, checks: &mut [Check]) {
    let Some(content) = &home.set.content else { return };
    for (train, expected) in [(true, content.sha256[0]), (false, content.sha256[1])] {
        let split =
            || home.version.files.iter().zip(0..).filter(|(f, _)| f.train == train).map(|(_, i)| i);
        let has_wrong = split().any(|i| matches!(checks[i].verdict, Verdict::Wrong(_)));
        let unclear: Vec<usize> =
            split().filter(|i| matches!(checks[*i].verdict, Verdict::Unclear(_))).collect();
        let is_right = !unclear.is_empty()
            && !has_wrong
            && official::read_split(home, train, Labels::Fine)
                .is_ok_and(|s| s.sha256() == expected);
        for index in &unclear {
            let Verdict::Unclear(reason) = &checks[*index].verdict else { continue };
            checks[*index].verdict = if is_right {
                Verdict::ContentsRight
            } else if unclear.len() == 1 && !has_wrong {
                Verdict::Wrong(reason.clone())
            } else {
                let file = if train { "training" } else { "test" };
                Verdict::Unclear(format!(
                    "not the published sum; the {file} images are wrong, and the cause is this or \
                     another of their files"
                ))
            };
        }
    }
}

/// Checks that a set is right, and returns a one-line summary.
///
/// # Errors
/// When files are missing or wrong, naming each.
pub fn ensure_right(home: &Home) -> Result<&'static str> {
    let checks = verify(home)?;
    let wrong: Vec<String> = checks
        .iter()
        .filter_map(|check| match &check.verdict {
            Verdict::Wrong(reason) | Verdict::Unclear(reason) => {
                let path = check.path.display().to_string();
                // The message of a `FileError` starts with the path.
                let reason = reason.strip_prefix(&format!("{path}: ")).unwrap_or(reason);
                Some(format!("\n  {path}: {reason}"))
            }
            Verdict::Published | Verdict::ContentsRight => None,
        })
        .collect();
    ensure!(
        wrong.is_empty(),
        "{} differs from the published data set:{}",
        home.set.title,
        wrong.concat()
    );
    Ok(if checks.iter().all(|check| check.verdict == Verdict::Published) {
        "all sums are the published ones"
    } else {
        "sums of files differ from the published ones; pixels and labels are right"
    })
}
