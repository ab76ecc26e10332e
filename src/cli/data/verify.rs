//! `fathom data verify`.

use super::official;
use crate::stderr::log;
use crate::table::{Format, print};
use anyhow::{Context, Result};
use fathom_data::catalogue::{SETS, Set};
use fathom_data::locate::{Found, find, image_folder, locate};
use fathom_data::verify::{Verdict, verify};
use fathom_data::{Source, stored};
use fathom_record::Table;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints one row for each file of the data sets, by default of all that were found. The exit code is
/// a failure if any file is not right.
///
/// # Errors
/// When a named data set is missing or cannot be read.
pub fn verify_sets(
    names: &[Source],
    path: Option<&Path>,
    data_dir: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    let mut table = Table::new(["set", "file", "verdict", "detail"]);
    let mut all_right = true;
    let mut sets: Vec<(&Set, PathBuf)> = Vec::new();
    for name in names {
        match name {
            Source::Images => table.row(verify_images(path, data_dir)?),
            Source::Shapes
            | Source::Cifar10
            | Source::Cifar100
            | Source::Mnist
            | Source::FashionMnist => {
                let set = official(*name)?;
                sets.push((set, locate(set, data_dir)?));
            }
        }
    }
    for set in SETS.iter().filter(|_| names.is_empty()) {
        match find(set, data_dir) {
            Found::Whole(folder) => sets.push((set, folder)),
            Found::Part(folder, missing) => {
                all_right = false;
                let lacks = format!("lacks {}", missing.join(", "));
                table.row(row(set, &folder, "wrong", &lacks));
            }
            Found::Nothing => {}
        }
    }
    for (set, folder) in sets {
        for check in verify(set, &folder)? {
            let (verdict, detail) = match &check.verdict {
                Verdict::Published => ("right", "published checksum"),
                Verdict::ContentsRight => {
                    ("right", "not the published checksum, but pixels and labels are right")
                }
                Verdict::Unclear(reason) => ("unclear", reason.as_str()),
                Verdict::Wrong(reason) => ("wrong", reason.as_str()),
            };
            all_right &= verdict == "right";
            table.row(row(set, &check.path, verdict, detail));
        }
    }
    if table.rows.is_empty() {
        log("no data set was found; fathom data list shows how to get one");
    }
    print(&table, format)?;
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(set: &Set, path: &Path, verdict: &str, detail: &str) -> [Value; 4] {
    [set.name.into(), path.display().to_string().into(), verdict.into(), detail.into()]
}

/// The row of a folder of images, all of which are decoded.
fn verify_images(path: Option<&Path>, data_dir: Option<&Path>) -> Result<[Value; 4]> {
    let root = image_folder(path.context("images: give their folder by --path DIR")?, data_dir)?;
    let whole = stored::read(&root, Some(1), None)?;
    let detail = format!(
        "{} training and {} test images of {} classes can be read",
        whole.train.images.len(),
        whole.test.images.len(),
        whole.classes.len()
    );
    let detail = [vec![detail], whole.notes].concat().join("; ");
    Ok(["images".into(), root.display().to_string().into(), "right".into(), detail.into()])
}
