//! Figures from CSV: SVG and PNG, one file per figure.
//!
//! A figure is first laid out in units of a sheet (about 1600 wide), then drawn once for each
//! backend by the same code. All text uses the font under `font/`, which is part of the program:
//! the same CSV gives the same bytes on every machine.

mod axis;
mod canvas;
mod chart;
mod curves;
mod depth;
#[cfg(test)]
mod fixture;
mod palette;
mod panels;
mod series;
mod sheet;
#[cfg(test)]
mod tests;
mod words;

pub use words::Metric;

use crate::record::SweepCurves;
use anyhow::{Context, Result, anyhow};
use canvas::Canvas;
use curves::CurvesFigure;
use depth::DepthFigure;
use image::imageops::{FilterType, resize};
use plotters::prelude::*;

/// The figures there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Error against iteration, as in Fig. 6 of He et al. 2015.
    Curves,
    /// Final error against depth.
    Depth,
}

impl Figure {
    /// All figures.
    pub const ALL: [Figure; 2] = [Figure::Curves, Figure::Depth];

    /// Its file name without the ending.
    pub fn name(self) -> &'static str {
        match self {
            Figure::Curves => "curves",
            Figure::Depth => "depth",
        }
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
    /// The file that the numbers come from, for the caption.
    pub source: String,
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
pub fn svg(curves: &SweepCurves, figure: Figure, options: &Options) -> Result<String> {
    canvas::load_font()?;
    match figure {
        Figure::Curves => to_svg(&CurvesFigure::new(curves, options)?),
        Figure::Depth => to_svg(&DepthFigure::new(curves, options)?),
    }
}

/// Draws a figure as PNG.
///
/// # Errors
/// When there is nothing to draw, saying why.
pub fn png(curves: &SweepCurves, figure: Figure, options: &Options) -> Result<Vec<u8>> {
    canvas::load_font()?;
    match figure {
        Figure::Curves => to_png(&CurvesFigure::new(curves, options)?),
        Figure::Depth => to_png(&DepthFigure::new(curves, options)?),
    }
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

/// Drawn at twice the size and averaged down, as plotters' own edges are jagged.
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
    let mut bytes = std::io::Cursor::new(Vec::new());
    small.write_to(&mut bytes, image::ImageFormat::Png).context("cannot encode the PNG")?;
    Ok(bytes.into_inner())
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
