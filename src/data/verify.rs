//! Checks a set on disk: against the published sums of its files, and where those differ, against
//! what the images and labels should be.

use super::catalogue::{DataFile, Set};
use super::content_hash::hex;
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
    /// Its sum is another and its part of the set is not right, but the fault may lie in another
    /// file of that part; says so.
    Unclear(String),
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
        set.files.par_iter().zip(&paths).map(|(file, path)| check_file(set, file, path)).collect();
    let mut checks: Vec<Check> =
        paths.into_iter().zip(verdicts).map(|(path, verdict)| Check { path, verdict }).collect();
    check_contents(set, folder, &mut checks);
    Ok(checks)
}

fn check_file(set: &Set, file: &DataFile, path: &Path) -> Verdict {
    let attempt = || -> Result<Verdict> {
        let found = official::md5_of(path)?;
        if found == file.md5 {
            return Ok(Verdict::Published);
        }
        official::read_file(set, file, path, &mut official::nothing())?;
        let differs = |found: &str, expected: &str| {
            format!("its MD5 is {found}, but {expected} belongs to it")
        };
        let Some(unzipped) = file.unzipped_md5 else {
            let reason = differs(&found, file.md5);
            let known = set.content.is_some();
            return Ok(if known { Verdict::Unclear(reason) } else { Verdict::Wrong(reason) });
        };
        let found = hex(&Md5::digest(files::read_exactly(path, file.size())?));
        Ok(if found == unzipped {
            Verdict::ContentsRight
        } else {
            Verdict::Wrong(differs(&found, unzipped))
        })
    };
    attempt().unwrap_or_else(|error| Verdict::Wrong(format!("{error:#}")))
}

/// The records of CIFAR-10 may lie in another order, which changes every file's sum: what counts
/// is whether those of a part are right together. If not, and several sums differ, it cannot be
/// told which file is at fault.
fn check_contents(set: &Set, folder: &Path, checks: &mut [Check]) {
    let Some(content) = &set.content else { return };
    for (train, expected) in [(true, content.sha256[0]), (false, content.sha256[1])] {
        let part = || set.files.iter().zip(0..).filter(|(f, _)| f.train == train).map(|(_, i)| i);
        let unclear: Vec<usize> =
            part().filter(|i| matches!(checks[*i].verdict, Verdict::Unclear(_))).collect();
        let others_wrong = part().any(|i| matches!(checks[i].verdict, Verdict::Wrong(_)));
        if unclear.is_empty() {
            continue;
        }
        let right = !others_wrong
            && official::read_part(set, folder, train).is_ok_and(|p| p.sha256() == expected);
        for index in &unclear {
            let verdict = &mut checks[*index].verdict;
            match verdict {
                _ if right => *verdict = Verdict::ContentsRight,
                Verdict::Unclear(reason) if unclear.len() == 1 && !others_wrong => {
                    *verdict = Verdict::Wrong(std::mem::take(reason));
                }
                Verdict::Unclear(reason) => {
                    *reason = "not the published sum; the images of this part together are not \
                               right, and the fault may lie here or in another file of it"
                        .to_owned();
                }
                _ => {}
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
            Verdict::Wrong(reason) | Verdict::Unclear(reason) => {
                let path = check.path.display().to_string();
                // A fault of a file begins with its path.
                let reason = reason.strip_prefix(&format!("{path}: ")).unwrap_or(reason);
                Some(format!("\n  {path}: {reason}"))
            }
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
