//! Looks at a net that was trained, for `fathom-train look`.

use fathom_arch::Network;
use fathom_record::{CorrelationRow, SliceRow};
use fathom_spec::Config;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LandscapeJob {
    /// [`fathom_base::Program::build`] of the program that asks.
    pub build: String,
    /// Process that supervises: a worker that is left alone ends.
    pub supervisor: u32,
    /// The run's complete configuration.
    pub config: Config,
    /// Its net.
    pub network: Network,
    /// Its weights, a safetensors file.
    pub weights: PathBuf,
    /// SHA-256 of the data that it saw.
    pub data: String,
    /// Where data sets lie, when the user said so.
    pub data_dir: Option<PathBuf>,
    /// `cpu`, `cuda:0`, …
    pub device: String,
    /// Threads of one operation.
    pub threads: usize,
    /// Training images on which the loss is measured.
    pub images: usize,
    /// Slices of the loss, where these are wanted.
    pub slices: Option<Slices>,
    /// Correlation of gradients along the input, where that is wanted.
    pub correlation: Option<Correlation>,
}

/// Slices of the loss in random directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slices {
    /// Directions.
    pub directions: u64,
    /// Points of each, an odd number, so that the net itself is one of them.
    pub points: u64,
    /// How far they go in both directions; 1 is as far as the net's filters are long.
    pub reach: f64,
}

/// Gradients along lines between pairs of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// Pairs of images.
    pub pairs: usize,
    /// Points of each line.
    pub points: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Landscape {
    /// Of the loss.
    pub slices: Vec<SliceRow>,
    /// Of gradients.
    pub correlations: Vec<CorrelationRow>,
}
