//! `fathom data`.

mod fetch;
mod list;
mod show;
mod verify;

use super::Usage;
use super::choice::{choice, choice_among};
use super::stdout;
use super::table::Format;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use fathom_data::catalogue::Set;
use fathom_data::folder::SHARES;
use fathom_data::locate::target_folder;
use fathom_data::{Source, install};
use std::path::PathBuf;
use std::process::ExitCode;

/// List, download, import, verify and show data sets
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the data sets [default: $FATHOM_DATA, $XDG_CACHE_HOME/fathom or ~/.cache/fathom]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all data sets, and where they were found
    List {
        /// Format of the table
        #[arg(long, value_parser = choice::<Format>(), default_value_t)]
        format: Format,
    },
    /// Download data sets from their official sources; an interrupted download is resumed
    Fetch {
        /// Data sets to download
        #[arg(required = true, value_parser = choice_among(Source::OFFICIAL))]
        sets: Vec<Source>,
        /// Download from this address instead; the name of the file is appended
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// Import files that you have: cifar-10-binary.tar.gz, cifar-100-python.tar.gz, also unpacked as .tar,
    /// *-ubyte.gz, SVHN's *_32x32.mat, a folder with the files of a set, or mosaics of CIFAR-10's files
    /// (data_batch_1.webp beside data_batch_1.labels: 10,000 images as one lossless picture)
    Import {
        /// Files or folders to import
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Verify data sets: published checksums, images and labels
    Verify {
        /// Data sets to verify [default: all official ones that were found]
        #[arg(value_parser = choice_among(Source::WITH_FILES))]
        sets: Vec<Source>,
        #[command(flatten)]
        images: ImagesFlags,
        /// Format of the table
        #[arg(long, value_parser = choice::<Format>(), default_value_t)]
        format: Format,
    },
    /// Write a contact sheet with some images of every class
    Show(show::Args),
}

/// Refuses an option that has an effect on one data set alone, if that is not among the `chosen` ones.
///
/// # Errors
/// Names the option and its data set.
pub fn only_for(option: &str, is_given: bool, set: Source, chosen: &[Source]) -> Result<(), Usage> {
    if is_given && !chosen.contains(&set) {
        return Err(Usage(format!("{option}: only for the data set {set}")));
    }
    Ok(())
}

/// Parses a share of the images of each class, as `data.test_share` has it.
///
/// # Errors
/// When it is outside of the valid range.
pub fn share(text: &str) -> Result<f64, String> {
    let (low, high) = SHARES;
    let share = text.parse().ok().filter(|share| (low..=high).contains(share));
    share.ok_or_else(|| format!("expected a number from {low} to {high}"))
}

/// The folder of the data set `images`.
#[derive(clap::Args)]
struct ImagesFlags {
    /// Folder of the images, for the data set `images`
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Share of each class that is held out as test images, as data.test_share of an experiment
    #[arg(long, value_name = "SHARE", value_parser = share, allow_negative_numbers = true)]
    test_share: Option<f64>,
}

impl ImagesFlags {
    /// Refuses these flags if `images` is not among the chosen data sets.
    fn check_effect(&self, chosen: &[Source]) -> Result<(), Usage> {
        only_for("--path", self.path.is_some(), Source::Images, chosen)?;
        only_for("--test-share", self.test_share.is_some(), Source::Images, chosen)
    }
}

/// The official files of a data set.
///
/// # Errors
/// When the data set has none.
fn official(source: Source) -> Result<&'static Set> {
    match source {
        Source::Shapes => bail!("shapes are built in: there are no files"),
        Source::Images => bail!("images are a folder of your own: there are no official files"),
        Source::Cifar10
        | Source::Cifar100
        | Source::Mnist
        | Source::FashionMnist
        | Source::Svhn => {
            Set::of(source).with_context(|| format!("{source} is not in the catalogue"))
        }
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let data_dir = args.data_dir.as_deref();
    match &args.action {
        Action::List { format } => list::list(data_dir, *format)?,
        Action::Fetch { sets, from } => fetch::fetch_sets(sets, from.as_deref(), data_dir)?,
        Action::Import { files } => {
            let target = target_folder(data_dir)?;
            for file in files {
                for (set, path) in install::import(file, &target)? {
                    stdout::write_line(format_args!("{}: {}", set.name, path.display()))?;
                }
            }
        }
        Action::Verify { sets, images, format } => {
            return verify::verify_sets(sets, images, data_dir, *format);
        }
        Action::Show(show) => show::write_sheet(show, data_dir)?,
    }
    Ok(ExitCode::SUCCESS)
}
