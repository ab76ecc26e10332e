//! Request and answer of `fathom-train look`: the loss landscape around a trained net.

use fathom_arch::Network;
use fathom_record::{CorrelationRow, SliceRow};
use fathom_spec::Config;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Request to measure the loss landscape of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LandscapeJob {
    /// [`fathom_base::Program::build`] of the calling program; a worker of another build refuses.
    pub build: String,
    /// Process id of the supervisor; the worker exits when that process is gone.
    pub supervisor: u32,
    /// Complete configuration of the run.
    pub config: Config,
    /// Network of the run.
    pub network: Network,
    /// Safetensors file with the weights.
    pub weights: PathBuf,
    /// SHA-256 of the data set that the run was trained on.
    pub data: String,
    /// Folder of data sets, if the user gave one.
    pub data_dir: Option<PathBuf>,
    /// Device: `cpu`, `cuda:0`, …
    pub device: String,
    /// Number of threads of one operation.
    pub threads: usize,
    /// Number of training images for the loss.
    pub images: usize,
    /// Which slices of the loss to measure, if any.
    pub slices: Option<Slices>,
    /// Which correlations of input gradients to measure, if any.
    pub correlation: Option<Correlation>,
}

/// Slices of the loss in random directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slices {
    /// Number of random directions.
    pub directions: u64,
    /// Number of points per direction; odd, so that the net itself is one of them.
    pub points: u64,
    /// Distance of the outermost points in units of the norms of the net's filters.
    pub reach: f64,
}

/// Correlation of gradients with respect to the input, along lines between pairs of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// Number of pairs of images.
    pub pairs: usize,
    /// Number of points on each line.
    pub points: usize,
}

/// The measured landscape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Landscape {
    /// Slices of the loss; empty if none were requested.
    pub slices: Vec<SliceRow>,
    /// Correlations of gradients; empty if none were requested.
    pub correlations: Vec<CorrelationRow>,
}
