//! Drawing of pictures that are laid out, as SVG, and conversion of the SVG to PNG and PDF.

use super::canvas::{Canvas, FONT_FILE};
use super::{Picture, rounding};
use ab_glyph::{Font, FontRef};
use anyhow::{Context, Result, anyhow};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::*;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg;
use std::collections::BTreeSet;

/// Units of an SVG in an inch, as CSS defines them.
const DOTS_PER_INCH: f32 = 96.0;
/// Pixels in an inch of a PNG for print.
const PRINTED_DOTS_PER_INCH: f32 = 300.0;

/// Draws a picture as SVG; one for print has its size in millimetres.
pub(super) fn to_svg(picture: &impl Picture) -> Result<String> {
    let page = picture.page();
    let (width, height) = page.size();
    let [width, height] = [width, height].map(|units| rounding::pixel(units).unsigned_abs());
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let canvas = Canvas { area };
    page.draw(&canvas)?;
    picture.draw_panels(&canvas)?;
    canvas.area.present()?;
    // The text is complete when the backend is dropped.
    drop(canvas);
    let Some(paper) = page.paper else { return Ok(text) };
    let millimetres = |units: u32| {
        (f64::from(units) * paper.millimetres() / f64::from(width) * 100.0).round() / 100.0
    };
    let size = |width: &str, height: &str| format!("<svg width=\"{width}\" height=\"{height}\"");
    let [across, down] = [width, height].map(|units| format!("{}mm", millimetres(units)));
    Ok(text.replacen(&size(&width.to_string(), &height.to_string()), &size(&across, &down), 1))
}

/// Reads an SVG of this crate, whose lengths on paper become this many units for each inch.
fn read(svg: &str, dots_per_inch: f32) -> Result<usvg::Tree> {
    let mut options = usvg::Options { dpi: dots_per_inch, ..usvg::Options::default() };
    // Of this font only: fonts of the machine would give other bytes on every machine.
    options.fontdb_mut().load_font_data(FONT_FILE.to_vec());
    usvg::Tree::from_str(svg, &options).context("cannot read the SVG")
}

/// Converts an SVG of this crate to a PNG: of one pixel for each unit, or of 300 pixels for each inch if the size of
/// the SVG is in millimetres.
///
/// # Errors
/// When the text is not such an SVG.
pub fn to_png(svg: &str) -> Result<Vec<u8>> {
    let tree = read(svg, PRINTED_DOTS_PER_INCH)?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width(), size.height());
    let mut pixels = Pixmap::new(width, height).context("the figure has no area")?;
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    // Every pixel is opaque, as the ground is.
    let colours: Vec<u8> =
        pixels.data().chunks_exact(4).flat_map(|rgba| &rgba[..3]).copied().collect();
    let mut bytes = Vec::new();
    // The fastest compression makes files half as large again.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(&colours, width, height, ExtendedColorType::Rgb8)
        .context("cannot encode the PNG")?;
    Ok(bytes)
}

/// Converts an SVG of this crate to a PDF of one page, whose text can be selected and has the embedded font.
///
/// # Errors
/// When the text is not such an SVG.
pub fn to_pdf(svg: &str) -> Result<Vec<u8>> {
    let page = svg2pdf::PageOptions { dpi: DOTS_PER_INCH };
    let tree = read(svg, DOTS_PER_INCH)?;
    let pdf = svg2pdf::to_pdf(&tree, svg2pdf::ConversionOptions::default(), page);
    Ok(in_order(&pdf.map_err(|error| anyhow!("cannot convert the SVG: {error}"))?))
}

/// Letters of an SVG of this crate that the embedded font lacks.
///
/// # Errors
/// When the embedded font cannot be read, which means a damaged build.
pub fn lacking_letters(svg: &str) -> Result<BTreeSet<char>> {
    let font = FontRef::try_from_slice(FONT_FILE).context("the embedded font is damaged")?;
    // What is no text is ASCII, which the font has.
    let letters = svg.chars().filter(|letter| !letter.is_ascii());
    Ok(letters.filter(|letter| font.glyph_id(*letter).0 == 0).collect())
}

/// Sorts the entries of each dictionary of resources, such as `/gs0 7 0 R`, which svg2pdf writes one a line and in an
/// order that differs each time. Nothing changes its place in the file otherwise.
fn in_order(pdf: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = pdf.split(|byte| *byte == b'\n').collect();
    for entries in lines.chunk_by_mut(|a, b| is_entry(a) && is_entry(b)) {
        if is_entry(entries[0]) {
            entries.sort_unstable();
        }
    }
    lines.join(&b'\n')
}

/// Whether a line is an entry of a dictionary of resources.
fn is_entry(line: &[u8]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let entry = std::str::from_utf8(line).ok().and_then(|line| line.trim_start().strip_prefix('/'));
    let parts = entry.and_then(|entry| entry.strip_suffix(" 0 R")?.split_once(' '));
    parts.is_some_and(|(name, object)| {
        is_number(name.trim_start_matches(|letter: char| letter.is_ascii_lowercase()))
            && is_number(object)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_the_font_lacks_are_found() {
        let lacking = lacking_letters("<text>\nÜnï ∂ 中文中 ± 10 × 10\n</text>").unwrap();
        assert_eq!(lacking, ['中', '文'].into());
    }
}
