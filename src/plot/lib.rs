//! Figures from CSV: SVG and PNG, one file per figure.
//!
//! A figure is first laid out in units of a sheet (about 1600 wide), then drawn once for each
//! backend by the same code. All text uses the font under `font/`, which is part of the program:
//! the same CSV gives the same bytes on every machine.

#![deny(clippy::wildcard_enum_match_arm)]

mod axis;
mod canvas;
mod captions;
mod chart;
mod columns;
mod curves;
mod depth;
mod facets;
#[cfg(test)]
mod fixture;
mod landscape;
mod layerwise;
mod lines;
mod lr_depth_heatmap;
mod page;
mod palette;
mod panels;
mod series;
mod size;
mod speed;
#[cfg(test)]
mod tests;

pub use captions::Metric;
pub use columns::Columns;

use anyhow::{Context, Result, anyhow};
use canvas::Canvas;
use curves::CurvesFigure;
use depth::DepthFigure;
use fathom_base::choice;
use fathom_record::{
    CorrelationRow, LayerRow, Provenance, RunDir, SliceRow, SweepCurves, SweepDir,
};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder};
use lines::LinesFigure;
use lr_depth_heatmap::MapFigure;
use plotters::prelude::*;
use speed::SpeedFigure;
use std::collections::BTreeMap;

choice! {
    /// The figures there are. A word is also the file's name without its ending.
    #[derive(PartialOrd, Ord)]
    pub enum Figure {
        /// Error against iteration, as in Fig. 6 of He et al. 2015.
        Curves,
        /// Final error against depth.
        Depth,
        /// Final error against depth, one panel for each value of a key.
        Panels,
        /// What became of each learning rate at each depth.
        RateDepth,
        /// Final error against parameters and multiply-adds.
        Size,
        /// Deviations of layers' responses, as in Fig. 7 of He et al. 2015.
        Responses,
        /// Norms of gradients by layer over time.
        Gradients,
        /// By how much one update changes what layers put out, over time.
        Changes,
        /// How alike two images are behind each layer, over time.
        Cosines,
        /// The loss along random lines through the trained weights.
        Slices,
        /// How alike gradients are along the input.
        Correlation,
        /// Images per second.
        Speed,
    }
}

impl Figure {
    /// Whether it is of interest in any sweep; the others are drawn by themselves only where a sweep
    /// has what they show.
    pub fn is_general(self) -> bool {
        matches!(self, Figure::Curves | Figure::Depth)
    }
}

/// What figures are drawn from.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Curves of all runs.
    pub curves: SweepCurves,
    /// What is known of them besides, by run id.
    pub facts: BTreeMap<String, Provenance>,
    /// What happened inside the nets of runs that have a `layers.csv`, by run id.
    pub layers: BTreeMap<String, Vec<LayerRow>>,
    /// Slices of the loss through trained nets, of runs that were looked at.
    pub slices: BTreeMap<String, Vec<SliceRow>>,
    /// How alike gradients are along the input, likewise.
    pub correlations: BTreeMap<String, Vec<CorrelationRow>>,
}

impl Results {
    /// Reads a results directory.
    ///
    /// # Errors
    /// When it is none, or damaged.
    pub fn load(directory: &SweepDir) -> Result<Self> {
        let (curves, facts) = (directory.load()?, directory.facts()?);
        let layers = rows(directory, &curves, RunDir::layers)?;
        let slices = rows(directory, &curves, RunDir::slices)?;
        let correlations = rows(directory, &curves, RunDir::correlations)?;
        Ok(Self { curves, facts, layers, slices, correlations })
    }

    /// What guessing gives in these runs' data, where that is known: an error in per cent or a loss
    /// in nats, as the column is.
    pub fn chance(&self, metric: &str) -> Option<f64> {
        self.facts.values().find_map(|facts| facts.manifest.as_ref()?.chance(metric))
    }
}

/// The rows of a file of those runs that have it.
fn rows<R>(
    directory: &SweepDir,
    curves: &SweepCurves,
    read: fn(&RunDir) -> Result<Vec<R>>,
) -> Result<BTreeMap<String, Vec<R>>> {
    let mut all = BTreeMap::new();
    for run in &curves.runs {
        let rows = read(&directory.run(&run.id))?;
        if !rows.is_empty() {
            all.insert(run.id.clone(), rows);
        }
    }
    Ok(all)
}

impl From<SweepCurves> for Results {
    fn from(curves: SweepCurves) -> Self {
        Self { curves, ..Self::default() }
    }
}

/// How figures are drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The training metric; the test metric follows from it.
    pub metric: Metric,
    /// Logarithmic iterations or depths.
    pub log_x: bool,
    /// Logarithmic errors.
    pub log_y: bool,
    /// Evaluations over which curves are averaged; 0 and 1 leave them as they are.
    pub smooth: usize,
    /// Upper end of the vertical axis of curves; without it, the first steep fall may be cut off.
    pub y_max: Option<f64>,
    /// A line above the figure.
    pub note: Option<String>,
    /// The key told apart by colour in curves, and by panels in [`Figure::Panels`].
    pub group_by: Option<String>,
    /// The file that the numbers come from, for the caption.
    pub source: String,
}

impl Options {
    /// The files that numbers of layers come from.
    fn layers_source(&self) -> String {
        self.source.replace("curve.csv", "layers.csv")
    }
}

/// A figure that knows its size and draws itself on any backend.
trait Picture {
    /// Width and height in units of the sheet.
    fn size(&self) -> (f64, f64);

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Result<()>
    where
        DB::ErrorType: 'static;
}

/// Draws a figure as SVG.
///
/// # Errors
/// When there is nothing to draw, saying why.
pub fn svg(results: &Results, figure: Figure, options: &Options) -> Result<String> {
    canvas::load_font()?;
    Ok(match lay_out(results, figure, options)? {
        LaidOut::Curves(figure) => to_svg(&figure)?,
        LaidOut::Depth(figure) => to_svg(&figure)?,
        LaidOut::Map(figure) => to_svg(&figure)?,
        LaidOut::Speed(figure) => to_svg(&figure)?,
        LaidOut::Lines(figure) => to_svg(&figure)?,
    })
}

/// Draws a figure as PNG.
///
/// # Errors
/// When there is nothing to draw, saying why.
pub fn png(results: &Results, figure: Figure, options: &Options) -> Result<Vec<u8>> {
    canvas::load_font()?;
    Ok(match lay_out(results, figure, options)? {
        LaidOut::Curves(figure) => to_png(&figure)?,
        LaidOut::Depth(figure) => to_png(&figure)?,
        LaidOut::Map(figure) => to_png(&figure)?,
        LaidOut::Speed(figure) => to_png(&figure)?,
        LaidOut::Lines(figure) => to_png(&figure)?,
    })
}

/// A figure that is laid out and not drawn yet.
enum LaidOut {
    Curves(CurvesFigure),
    Depth(DepthFigure),
    Map(MapFigure),
    Speed(SpeedFigure),
    /// A figure of lines and marks alone.
    Lines(LinesFigure),
}

fn lay_out(results: &Results, figure: Figure, options: &Options) -> Result<LaidOut> {
    options.metric.check(&results.curves)?;
    let over_time = |what| layerwise::over_time(results, options, what);
    Ok(match figure {
        Figure::Curves => LaidOut::Curves(CurvesFigure::new(&results.curves, options)?),
        Figure::Depth => LaidOut::Depth(DepthFigure::new(results, options)?),
        Figure::RateDepth => LaidOut::Map(MapFigure::new(results, options)?),
        Figure::Speed => LaidOut::Speed(SpeedFigure::new(results, options)?),
        Figure::Panels => LaidOut::Lines(facets::figure(results, options)?),
        Figure::Size => LaidOut::Lines(size::figure(results, options)?),
        Figure::Responses => LaidOut::Lines(layerwise::responses(results, options)?),
        Figure::Changes => LaidOut::Lines(over_time(&layerwise::CHANGES)?),
        Figure::Cosines => LaidOut::Lines(over_time(&layerwise::COSINES)?),
        Figure::Gradients => LaidOut::Lines(over_time(&layerwise::GRADIENTS)?),
        Figure::Slices => LaidOut::Lines(landscape::slices(results, options)?),
        Figure::Correlation => LaidOut::Lines(landscape::correlation(results, options)?),
    })
}

fn pixels((width, height): (f64, f64), scale: f64) -> (u32, u32) {
    ((width * scale).round() as u32, (height * scale).round() as u32)
}

fn to_svg(picture: &impl Picture) -> Result<String> {
    let mut text = String::new();
    {
        let backend = SVGBackend::with_string(&mut text, pixels(picture.size(), 1.0));
        draw_on(picture, backend.into_drawing_area(), 1.0)?;
    }
    Ok(text)
}

/// LaidOut at twice the size and averaged down, as plotters' own edges are jagged.
fn to_png(picture: &impl Picture) -> Result<Vec<u8>> {
    let (width, height) = pixels(picture.size(), 2.0);
    let mut buffer = vec![255; width as usize * height as usize * 3];
    {
        let backend = BitMapBackend::with_buffer(&mut buffer, (width, height));
        draw_on(picture, backend.into_drawing_area(), 2.0)?;
    }
    let large = image::RgbImage::from_raw(width, height, buffer)
        .ok_or_else(|| anyhow!("the picture has the wrong size"))?;
    let small = resize(&large, width / 2, height / 2, FilterType::Triangle);
    let mut bytes = Vec::new();
    // The fastest compression would make them half as large again.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, PngFilter::Adaptive)
        .write_image(&small, small.width(), small.height(), ExtendedColorType::Rgb8)
        .context("cannot encode the PNG")?;
    Ok(bytes)
}

fn draw_on<DB: DrawingBackend>(
    picture: &impl Picture,
    area: DrawingArea<DB, plotters::coord::Shift>,
    scale: f64,
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    let canvas = Canvas { area, scale };
    picture.draw(&canvas)?;
    canvas.area.present()?;
    Ok(())
}
