//! Flags of `fathom eval` that describe a file of weights.

use super::Subject;
use crate::Usage;
use crate::choice::choice;
use crate::data::{only_for, share};
use crate::network::KeyFlags;
use anyhow::{Result, ensure};
use fathom_data::{self as data, Labels, Request, Source, Standardise};
use fathom_protocol::Part;
use fathom_record::Rename;
use std::path::PathBuf;

/// Weights, their network, and the images. Each flag conflicts with `--run` by itself: a conflict of their group would
/// name them all.
#[derive(clap::Args)]
#[command(next_help_heading = "With --weights")]
pub struct Given {
    /// Weights: a safetensors file with torchvision's names
    #[arg(long, value_name = "FILE", requires_all = ["network", "data"])]
    weights: Option<PathBuf>,
    /// Replaces the beginning of names of tensors, such as head=fc; may be given several times. `module.`,
    /// `_orig_mod.` and `model.` are removed, `linear` becomes `fc` and `shortcut` `downsample` without it
    #[arg(long, conflicts_with = "run", value_name = "OLD=NEW", requires = "weights")]
    rename: Vec<Rename>,
    /// Family (plain, residual, …) or published net (resnet50, densenet121, lenet, …)
    #[arg(long, conflicts_with = "run", requires = "weights")]
    network: Option<String>,
    /// Data set
    #[arg(long, conflicts_with = "run", value_parser = choice::<Source>())]
    data: Option<Source>,
    /// Folder of the images, for the data set `images`
    #[arg(long, conflicts_with = "run", value_name = "DIR")]
    path: Option<PathBuf>,
    /// Share of each class that is held out as test images, as data.test_share of an experiment
    #[arg(long, conflicts_with = "run", value_name = "SHARE", value_parser = share, allow_negative_numbers = true)]
    test_share: Option<f64>,
    /// Labels of CIFAR-100 [default: fine]
    #[arg(long, conflicts_with = "run", value_parser = choice::<Labels>())]
    labels: Option<Labels>,
    /// Rows and columns to which images are resized [default: not resized]
    #[arg(long, conflicts_with = "run", value_parser = clap::value_parser!(u16).range(8..=4096))]
    size: Option<u16>,
    /// Number of images, a fixed class-balanced choice [default: all]
    #[arg(long, conflicts_with = "run", value_parser = clap::value_parser!(u64).range(1..))]
    images: Option<u64>,
    /// Mean of each channel, for pixels in 0..1 [default: that of the training images]
    #[arg(long, conflicts_with = "run", value_delimiter = ',', value_name = "MEAN", requires = "std", value_parser = finite, allow_negative_numbers = true)]
    mean: Vec<f64>,
    /// Standard deviation of each channel [default: that of the training images]
    #[arg(long, conflicts_with = "run", value_delimiter = ',', value_name = "STD", requires = "mean", value_parser = finite, allow_negative_numbers = true)]
    std: Vec<f64>,
    /// Subtract the mean of every pixel over the training images, and do not divide, as 1512.03385
    #[arg(long, conflicts_with_all = ["run", "mean"])]
    per_pixel_mean: bool,
}

/// Parses a finite number.
fn finite(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("expected a finite number")
}

impl Given {
    /// The weights with their network and a part of the images.
    ///
    /// # Errors
    /// When flags are missing or contradict each other.
    pub fn subject(&self, keys: &KeyFlags, part: Part) -> Result<Subject> {
        let (Some(weights), Some(network), Some(source)) =
            (&self.weights, &self.network, self.data)
        else {
            return Err(Usage("give --run, or --weights, --network and --data".into()).into());
        };
        ensure!(part != Part::Validation, Usage("--part validation: only with --run".into()));
        let described = keys.describe(network)?;
        keys.check_effect(&described)?;
        self.check_effect(source)?;
        let data = self.request(source, part);
        ensure!(
            data.source != Source::Images || data.path.is_some(),
            Usage("--data images needs their folder: --path DIR".into())
        );
        let (shape, classes) = data::describe(&data)?;
        let network = described.build([shape.channels, shape.height, shape.width], classes)?;
        let standardise = self.standardise(shape.channels)?;
        Ok(Subject {
            weights: weights.clone(),
            renames: self.rename.clone(),
            network,
            data,
            // All training images are loaded, since pixels are standardised by their statistics.
            images: self.images.filter(|_| part == Part::Train).map(|images| images as usize),
            standardise,
        })
    }

    /// Refuses options without an effect on this data set.
    fn check_effect(&self, source: Source) -> Result<(), Usage> {
        only_for("--path", self.path.is_some(), Source::Images, &[source])?;
        only_for("--test-share", self.test_share.is_some(), Source::Images, &[source])?;
        only_for("--labels", self.labels.is_some(), Source::Cifar100, &[source])
    }

    /// The data set, with all training images and the test images that `data.test` of an experiment would choose.
    fn request(&self, source: Source, part: Part) -> Request {
        Request {
            test: self.images.filter(|_| part == Part::Test).map(|images| images as usize),
            size: self.size.map(usize::from),
            colour: true,
            test_share: self.test_share,
            labels: self.labels.unwrap_or(Labels::Fine),
            ..Request::all(source, self.path.clone())
        }
    }

    /// How pixels are standardised, for images with this number of channels.
    fn standardise(&self, channels: usize) -> Result<Standardise, Usage> {
        if self.per_pixel_mean {
            return Ok(Standardise::PerPixelMean);
        }
        let (mean, std) = (self.mean.clone(), self.std.clone());
        if mean.is_empty() {
            return Ok(Standardise::Channel);
        }
        if mean.len() != channels || std.len() != channels {
            return Err(Usage(format!(
                "--mean has {} values and --std {}; the images have {channels} channels",
                mean.len(),
                std.len()
            )));
        }
        if let Some(std) = std.iter().find(|std| **std <= 0.0) {
            return Err(Usage(format!("--std {std}: must be above zero")));
        }
        Ok(Standardise::Given { mean, std })
    }
}
