//! `fathom data verify`.

use super::{ImagesFlags, official};
use crate::table::{Format, print};
use anyhow::{Context, Result, bail};
use fathom_data::catalogue::{SETS, Set};
use fathom_data::folder::ImageFolder;
use fathom_data::locate::{Found, Home, find, image_folder, locate, searched};
use fathom_data::verify::{Verdict, verify};
use fathom_data::{Source, stored};
use fathom_record::Table;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

/// Prints one row for each file of the data sets, by default of all that were found. The exit code is
/// a failure if any file is not right.
///
/// # Errors
/// When a named data set is missing or cannot be read, or none was found.
pub fn verify_sets(
    names: &[Source],
    images: &ImagesFlags,
    data_dir: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    images.check_effect(names)?;
    let mut table = Table::new(["set", "file", "verdict", "detail"]);
    let mut all_right = true;
    let mut homes: Vec<Home> = Vec::new();
    for name in names {
        match name {
            Source::Images => {
                for row in verify_images(images, data_dir)? {
                    all_right &= row[2] == "right";
                    table.row(row);
                }
            }
            Source::Shapes
            | Source::Cifar10
            | Source::Cifar100
            | Source::Mnist
            | Source::FashionMnist
            | Source::Svhn => homes.push(locate(official(*name)?, data_dir)?),
        }
    }
    for set in SETS.iter().filter(|_| names.is_empty()) {
        match find(set, data_dir) {
            Found::Whole(home) => homes.push(home),
            Found::Part(home, missing) => {
                all_right = false;
                let lacks = format!("lacks {}", missing.join(", "));
                table.row(row(set, &home.folder, "wrong", &lacks));
            }
            Found::Nothing => {}
        }
    }
    for home in homes {
        for check in verify(&home)? {
            let (verdict, detail) = match &check.verdict {
                Verdict::Published => ("right", "published checksum"),
                Verdict::ContentsRight => {
                    ("right", "not the published checksum, but pixels and labels are right")
                }
                Verdict::Unclear(reason) => ("unclear", reason.as_str()),
                Verdict::Wrong(reason) => ("wrong", reason.as_str()),
            };
            all_right &= verdict == "right";
            table.row(row(home.set, &check.path, verdict, detail));
        }
    }
    if table.rows.is_empty() {
        bail!(
            "no data set was found\n  searched: {}\n  to see all data sets:        fathom data list\n  \
             to download one:             fathom data fetch cifar10\n  \
             to verify your own images:   fathom data verify images --path DIR",
            searched(data_dir)
        );
    }
    print(&table, format)?;
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(set: &Set, path: &Path, verdict: &str, detail: &str) -> [Value; 4] {
    [set.name.into(), path.display().to_string().into(), verdict.into(), detail.into()]
}

/// The rows of a folder of images, all of which are decoded: one for the folder, or one for each file that
/// is wrong.
fn verify_images(flags: &ImagesFlags, data_dir: Option<&Path>) -> Result<Vec<[Value; 4]>> {
    let path = flags.path.as_deref().context("images: give their folder by --path DIR")?;
    let (root, test_share) = (image_folder(path, data_dir)?, flags.test_share);
    let checked = stored::check(&ImageFolder { root: root.clone(), test_share })?;
    let row = |path: &Path, verdict: &str, detail: String| {
        ["images".into(), path.display().to_string().into(), verdict.into(), detail.into()]
    };
    if !checked.damaged.is_empty() {
        let rows = checked.damaged.into_iter().map(|(path, reason)| row(&path, "wrong", reason));
        return Ok(rows.collect());
    }
    let [train, test] = checked.counts;
    let detail = format!(
        "{train} training and {test} test images of {} classes can be read",
        checked.classes.len()
    );
    let detail = [vec![detail], checked.notes].concat().join("; ");
    Ok(vec![row(&root, "right", detail)])
}
