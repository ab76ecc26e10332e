//! `fathom data show`.

use super::{ImagesFlags, only_for};
use crate::Usage;
use crate::choice::choice;
use crate::stdout;
use anyhow::{Context, Result, ensure};
use fathom_data::content_hash::HashedImages;
use fathom_data::{self as data, Labels, Request, Source, contact, subset};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Data set to show
    #[arg(value_parser = choice::<Source>())]
    set: Source,
    /// PNG file to write [default: SET.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    images: ImagesFlags,
    /// Labels of CIFAR-100 [default: fine]
    #[arg(long, value_parser = choice::<Labels>())]
    labels: Option<Labels>,
    /// Number of images of each class, up to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    per_class: u16,
    /// Show test images instead of training images
    #[arg(long)]
    test: bool,
    /// Resize to N rows and columns, as an experiment would, from 8 to 4096
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=4096))]
    size: Option<u16>,
    /// Draw `shapes` in colour
    #[arg(long)]
    colour: bool,
}

/// Writes the contact sheet and prints its path.
///
/// # Errors
/// When the data set is missing or damaged, or the file cannot be written.
pub fn write_sheet(args: &Args, data_dir: Option<&Path>) -> Result<()> {
    let chosen = [args.set];
    args.images.check_effect(&chosen)?;
    only_for("--labels", args.labels.is_some(), Source::Cifar100, &chosen)?;
    only_for("--colour", args.colour, Source::Shapes, &chosen)?;
    ensure!(
        args.set != Source::Images || args.images.path.is_some(),
        Usage("images: give their folder by --path DIR".into())
    );
    let (size, per_class) = (args.size.map(usize::from), usize::from(args.per_class));
    // Shapes are drawn on demand; of all other data sets, everything is read.
    let count = (args.set == Source::Shapes).then_some(per_class * 10);
    let request = Request {
        train: count,
        test: count,
        size,
        colour: args.colour,
        test_share: args.images.test_share,
        labels: args.labels.unwrap_or(Labels::Fine),
        ..Request::all(args.set, args.images.path.clone())
    };
    let (classes, images) = if args.set == Source::Shapes {
        let set = data::load(&request, data_dir)?;
        let part = if args.test { &set.test } else { &set.train };
        let images = part.in_memory().context("shapes are drawn in memory")?;
        (set.classes, HashedImages::new(images.clone()))
    } else {
        let set = data::read_full(&request, data_dir)?;
        (set.classes, if args.test { set.test } else { set.train })
    };
    let mut rows = subset::some_of_each(&images, classes.len(), per_class);
    if let Some(size) = size {
        rows = rows.into_iter().map(|row| data::resize(row, size)).collect();
    }
    let mut png = std::io::Cursor::new(Vec::new());
    contact::sheet(&classes, &rows)?.write_to(&mut png, image::ImageFormat::Png)?;
    let out = args.out.clone().unwrap_or_else(|| format!("{}.png", args.set).into());
    fathom_base::write_atomically(&out, &png.into_inner())?;
    stdout::write_line(out.display())?;
    Ok(())
}
