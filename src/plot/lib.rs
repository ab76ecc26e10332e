//! Figures of results, as SVG, PNG and PDF.
//!
//! A figure is first laid out on a page about 1600 units wide, then drawn as SVG, of which PNG and PDF are
//! conversions. All text uses the embedded font in `font/`, so that the same results give the same bytes on
//! every machine.

#![deny(clippy::wildcard_enum_match_arm)]

mod ablation;
mod axis;
mod canvas;
mod captions;
mod chart;
mod columns;
mod crosses;
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
mod print;
mod render;
mod rounding;
mod selection;
mod series;
mod size;
mod speed;
#[cfg(test)]
mod tests;
mod threshold;

pub use ablation::{AblationFigure, Against};
pub use captions::Metric;
pub use columns::{Columns, TableFigure};
pub use print::Width;
pub use render::{lacking_letters, to_pdf, to_png};
pub use selection::{Selection, axis, varying_axis};

use anyhow::Result;
use canvas::Canvas;
use curves::CurvesFigure;
use depth::DepthFigure;
use fathom_base::choice;
use fathom_record::{
    CorrelationRow, LayerRow, Provenance, RunDir, SliceRow, SweepCurves, SweepDir,
};
use lines::LinesFigure;
use lr_depth_heatmap::HeatmapFigure;
use page::{Page, Sheet};
use render::to_svg;
use speed::SpeedFigure;
use std::collections::BTreeMap;

choice! {
    /// A kind of figure. Its word is also the name of its file, without extension.
    #[derive(PartialOrd, Ord)]
    pub enum Figure {
        /// Error against iteration, as in Fig. 6 of He et al. 2015.
        Curves,
        /// Final error against depth.
        Depth,
        /// Final error against depth, one panel for each value of a key.
        Panels,
        /// Outcome of each learning rate at each depth.
        RateDepth,
        /// Final error against parameters and multiply-adds.
        Size,
        /// Standard deviations of layer responses, as in Fig. 7 of He et al. 2015.
        Responses,
        /// Norms of gradients by layer, over time.
        Gradients,
        /// Norms of gradients multiplied by those of the weights, by layer, over time.
        ScaledGradients,
        /// Relative change of layer responses by one update, over time.
        Changes,
        /// Cosine between images after each layer, over time.
        Cosines,
        /// Rise of the test error without each block.
        Lesions,
        /// Number of updates until the error is below a bar, against depth.
        Threshold,
        /// Loss along random lines through the trained weights.
        Slices,
        /// Cosine between input gradients along lines between images.
        Correlation,
        /// Images per second.
        Speed,
    }
}

/// An option that only some figures show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional {
    /// Colours that distinguish a key of the user's choice.
    Colour,
    /// Panels that distinguish a key of the user's choice.
    Facet,
    /// [`Options::group_by`].
    GroupBy,
    /// A logarithmic axis of iterations or depths.
    LogX,
    /// A logarithmic axis of the metric.
    LogY,
    /// Trailing means.
    Smooth,
    /// An upper end of the vertical axis.
    YMax,
    /// [`Options::trains_below`].
    TrainsBelow,
    /// [`Options::below`].
    Below,
}

impl Optional {
    /// The figures that show the option.
    pub fn figures(self) -> &'static [Figure] {
        match self {
            Optional::Colour => &[Figure::Curves, Figure::Depth, Figure::Panels],
            Optional::Facet | Optional::GroupBy => {
                &[Figure::Curves, Figure::Panels, Figure::RateDepth]
            }
            Optional::LogX => &[Figure::Curves, Figure::Depth, Figure::Panels, Figure::Threshold],
            Optional::LogY => &[Figure::Curves, Figure::Depth, Figure::Panels, Figure::Size],
            Optional::Smooth | Optional::YMax => &[Figure::Curves],
            Optional::TrainsBelow => &[Figure::RateDepth],
            Optional::Below => &[Figure::Threshold],
        }
    }
}

impl Figure {
    /// Whether the figure suits every sweep. The other figures are drawn without a request only if the
    /// sweep has the data that they show.
    pub fn is_general(self) -> bool {
        [Figure::Curves, Figure::Depth].contains(&self)
    }
}

/// The contents of a results directory that figures show.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Curves of all runs.
    pub curves: SweepCurves,
    /// Configuration and provenance of the runs, by run id.
    pub provenance: BTreeMap<String, Provenance>,
    /// Rows of `layers.csv`, by id of the runs that have one.
    pub layers: BTreeMap<String, Vec<LayerRow>>,
    /// Rows of `slices.csv`, by id of the runs that have one.
    pub slices: BTreeMap<String, Vec<SliceRow>>,
    /// Rows of `correlation.csv`, by id of the runs that have one.
    pub correlations: BTreeMap<String, Vec<CorrelationRow>>,
}

impl Results {
    /// Reads a results directory.
    ///
    /// # Errors
    /// When the directory has no results, or a file cannot be read.
    pub fn load(directory: &SweepDir) -> Result<Self> {
        let (curves, provenance) = (directory.load()?, directory.provenance()?);
        let layers = rows(directory, &curves, RunDir::layers)?;
        let slices = rows(directory, &curves, RunDir::slices)?;
        let correlations = rows(directory, &curves, RunDir::correlations)?;
        Ok(Self { curves, provenance, layers, slices, correlations })
    }

    /// Chance level of a metric on the data of these runs, in the unit of its column (per cent or nats);
    /// `None` if the number of classes is not known.
    pub fn chance(&self, metric: &str) -> Option<f64> {
        self.provenance.values().find_map(|run| run.manifest.as_ref()?.chance(metric))
    }
}

/// Rows of a file, by id of the runs that have it.
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

/// Options of figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Training metric, with the test metric of the same unit.
    pub metric: Metric,
    /// Whether the axis of iterations or depths is logarithmic.
    pub log_x: bool,
    /// Whether the axis of the metric is logarithmic.
    pub log_y: bool,
    /// Number of evaluations in the trailing mean of curves; 0 and 1 do not average.
    pub smooth: usize,
    /// Upper end of the vertical axis of curves. Without it, the steep start of training may be cut off.
    pub y_max: Option<f64>,
    /// Text above the figure.
    pub note: Option<String>,
    /// Key that colours distinguish in [`Figure::Curves`] and panels in [`Figure::Panels`]; key in the
    /// place of depth in [`Figure::RateDepth`].
    pub group_by: Option<String>,
    /// Key that colours distinguish in the figures of [`Optional::Colour`].
    pub colour: Option<String>,
    /// Key that panels distinguish before all others in the figures of [`Optional::Facet`].
    pub facet: Option<String>,
    /// Width on paper; without it, a figure is for the screen.
    pub width: Option<Width>,
    /// Share of the chance level below which a net trains in [`Figure::RateDepth`]; 0.8 if absent.
    pub trains_below: Option<f64>,
    /// Bar of [`Figure::Threshold`], in the unit of the metric.
    pub below: Option<f64>,
    /// File of the curves, for the caption.
    pub source: String,
}

impl Options {
    fn sheet(&self) -> Sheet<'_> {
        Sheet { note: self.note.as_deref(), width: self.width, ..Sheet::default() }
    }

    /// File of the layers, for the caption.
    fn layers_source(&self) -> String {
        self.source.replace("curve.csv", "layers.csv")
    }
}

/// A figure that is laid out on a page and draws its panels.
trait Picture {
    /// The page with its texts and the places of the panels.
    fn page(&self) -> &Page;

    /// Draws what the panels show.
    ///
    /// # Errors
    /// When plotters fails.
    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()>;
}

/// Draws a figure as SVG.
///
/// # Errors
/// When the results lack what the figure shows; the error says what is missing.
pub fn svg(results: &Results, figure: Figure, options: &Options) -> Result<String> {
    to_svg(&lay_out(results, figure, options)?)
}

/// A figure that is laid out.
enum LaidOut {
    Curves(CurvesFigure),
    Depth(DepthFigure),
    Heatmap(HeatmapFigure),
    Speed(SpeedFigure),
    /// All figures that consist of lines and marks only.
    Lines(LinesFigure),
}

impl Picture for LaidOut {
    fn page(&self) -> &Page {
        match self {
            LaidOut::Curves(figure) => figure.page(),
            LaidOut::Depth(figure) => figure.page(),
            LaidOut::Heatmap(figure) => figure.page(),
            LaidOut::Speed(figure) => figure.page(),
            LaidOut::Lines(figure) => figure.page(),
        }
    }

    fn draw_panels(&self, canvas: &Canvas<'_>) -> Result<()> {
        match self {
            LaidOut::Curves(figure) => figure.draw_panels(canvas),
            LaidOut::Depth(figure) => figure.draw_panels(canvas),
            LaidOut::Heatmap(figure) => figure.draw_panels(canvas),
            LaidOut::Speed(figure) => figure.draw_panels(canvas),
            LaidOut::Lines(figure) => figure.draw_panels(canvas),
        }
    }
}

fn lay_out(results: &Results, figure: Figure, options: &Options) -> Result<LaidOut> {
    options.metric.check(&results.curves)?;
    // Texts are measured with the font.
    canvas::load_font()?;
    let over_time = |what| layerwise::over_time(results, options, what);
    Ok(match figure {
        Figure::Curves => LaidOut::Curves(CurvesFigure::new(&results.curves, options)?),
        Figure::Depth => LaidOut::Depth(DepthFigure::new(results, options)?),
        Figure::RateDepth => LaidOut::Heatmap(HeatmapFigure::new(results, options)?),
        Figure::Speed => LaidOut::Speed(SpeedFigure::new(results, options)?),
        Figure::Panels => LaidOut::Lines(facets::figure(results, options)?),
        Figure::Size => LaidOut::Lines(size::figure(results, options)?),
        Figure::Responses => LaidOut::Lines(layerwise::responses(results, options)?),
        Figure::Changes => LaidOut::Lines(over_time(&layerwise::CHANGES)?),
        Figure::Cosines => LaidOut::Lines(over_time(&layerwise::COSINES)?),
        Figure::Lesions => LaidOut::Lines(layerwise::lesions(results, options)?),
        Figure::Gradients => LaidOut::Lines(over_time(&layerwise::GRADIENTS)?),
        Figure::ScaledGradients => LaidOut::Lines(over_time(&layerwise::SCALED_GRADIENTS)?),
        Figure::Threshold => LaidOut::Lines(threshold::figure(results, options)?),
        Figure::Slices => LaidOut::Lines(landscape::slices(results, options)?),
        Figure::Correlation => LaidOut::Lines(landscape::correlation(results, options)?),
    })
}
