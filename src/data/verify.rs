//! Checks a set on disk: against the published sums of its files, and where those differ, against
//! what the images and labels should be.

use super::catalogue::{DataFile, Set};
use super::keyed::hex;
use super::{files, locate, official};
use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use rayon::prelude::*;
use std::path::Path;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its sum is the published one.
    Published,
    /// Its sum is another, but its images and labels are right.
    ContentsRight,
    /// It is wrong; says how.
    Wrong(String),
}

/// One file and its verdict.
#[derive(Clone, Debug)]
pub struct Check {
    /// The file's path.
    pub path: std::path::PathBuf,
    /// The verdict.
    pub verdict: Verdict,
}

/// Checks every file of `set` in `folder`.
///
/// # Errors
/// Only when a file is missing; what is wrong with a file is in its verdict.
pub fn verify(set: &Set, folder: &Path) -> Result<Vec<Check>> {
    let paths = set.files.iter().map(|file| {
        let path = locate::path_of(file, folder);
        path.with_context(|| format!("{} lacks {}", folder.display(), file.name))
    });
    let paths = paths.collect::<Result<Vec<_>>>()?;
    let verdicts: Vec<Verdict> =
        set.files.par_iter().zip(&paths).map(|(file, path)| check_file(file, path)).collect();
    let mut checks: Vec<Check> =
        paths.into_iter().zip(verdicts).map(|(path, verdict)| Check { path, verdict }).collect();
    if set.content.is_some() {
        check_contents(set, folder, &mut checks);
    }
    Ok(checks)
}

fn check_file(file: &DataFile, path: &Path) -> Verdict {
    let attempt = || -> Result<Verdict> {
        let found = official::md5_of(path)?;
        if found == file.md5 {
            return Ok(Verdict::Published);
        }
        let bytes = files::read_exactly(path, file.size())?;
        let Some(unzipped) = file.unzipped_md5 else {
            return Ok(differs(&found, file.md5));
        };
        let found = hex(&Md5::digest(&bytes));
        Ok(if found == unzipped { Verdict::ContentsRight } else { differs(&found, unzipped) })
    };
    attempt().unwrap_or_else(|error| Verdict::Wrong(format!("{error:#}")))
}

fn differs(found: &str, expected: &str) -> Verdict {
    Verdict::Wrong(format!("its MD5 is {found}, but {expected} belongs to it"))
}

/// The records of CIFAR-10 may lie in another order, which changes every file's sum: what counts
/// is whether those of a part are right together.
fn check_contents(set: &Set, folder: &Path, checks: &mut [Check]) {
    let Some(content) = &set.content else { return };
    for (train, expected) in [(true, content.sha256[0]), (false, content.sha256[1])] {
        let of_part = |check: &(&DataFile, &mut Check)| {
            check.0.train == train && matches!(check.1.verdict, Verdict::Wrong(_))
        };
        let mut wrong: Vec<_> =
            set.files.iter().zip(checks.iter_mut()).filter(of_part).map(|(_, c)| c).collect();
        if wrong.is_empty() {
            continue;
        }
        match official::read_part(set, folder, train) {
            Ok(part) if part.sha256() == expected => {
                wrong.iter_mut().for_each(|check| check.verdict = Verdict::ContentsRight);
            }
            // The verdicts stand; a file that cannot be read has its reason already.
            Ok(_) => {}
            Err(error) => {
                let reason = format!("{error:#}");
                for check in wrong {
                    if reason.contains(&check.path.display().to_string()) {
                        check.verdict = Verdict::Wrong(reason.clone());
                    }
                }
            }
        }
    }
}

/// Checks a set and says in one line what came out, for a set that is right.
///
/// # Errors
/// When a file is missing or wrong, naming each.
pub fn ensure_right(set: &Set, folder: &Path) -> Result<&'static str> {
    let checks = verify(set, folder)?;
    let wrong: Vec<String> = checks
        .iter()
        .filter_map(|check| match &check.verdict {
            Verdict::Wrong(reason) => Some(format!("\n  {}: {reason}", check.path.display())),
            _ => None,
        })
        .collect();
    ensure!(wrong.is_empty(), "{} is not as published:{}", set.title, wrong.concat());
    let all = checks.iter().all(|check| check.verdict == Verdict::Published);
    Ok(if all {
        "all sums are the published ones"
    } else {
        "file sums differ from the published ones; pixels and labels are right"
    })
}
