//! Drawing of pictures that are laid out, as SVG, PNG and PDF.

use super::canvas::{Canvas, FONT_FILE};
use super::{Backend, Picture, rounding};
use ab_glyph::{Font, FontRef};
use anyhow::{Context, Result, anyhow};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder};
use plotters::prelude::*;
use std::collections::BTreeSet;
use svg2pdf::usvg;

/// Units of an SVG in an inch, as CSS defines them.
const DOTS_PER_INCH: f32 = 96.0;

fn pixels((width, height): (f64, f64), scale: f64) -> (u32, u32) {
    [width, height].map(|units| rounding::pixel(units * scale).unsigned_abs()).into()
}

/// Draws a picture as SVG; one for print has its size in millimetres.
pub(super) fn to_svg(picture: &impl Picture) -> Result<String> {
    let page = picture.page();
    let (width, height) = pixels(page.size(), 1.0);
    let mut text = String::new();
    {
        let backend = SVGBackend::with_string(&mut text, (width, height));
        draw_on(picture, backend.into_drawing_area(), 1.0)?;
    }
    let Some(paper) = page.paper else { return Ok(text) };
    let millimetres = |units: u32| {
        (f64::from(units) * paper.millimetres() / f64::from(width) * 100.0).round() / 100.0
    };
    let size = |width: &str, height: &str| format!("<svg width=\"{width}\" height=\"{height}\"");
    let [across, down] = [width, height].map(|units| format!("{}mm", millimetres(units)));
    Ok(text.replacen(&size(&width.to_string(), &height.to_string()), &size(&across, &down), 1))
}

/// Draws at twice the size and averages down, as plotters draws jagged edges.
pub(super) fn to_png(picture: &impl Picture) -> Result<Vec<u8>> {
    let page = picture.page();
    let scale = 2.0 * page.paper.map_or(1.0, |paper| paper.pixels_per_unit());
    let (width, height) = pixels(page.size(), scale);
    let mut buffer = vec![255; width as usize * height as usize * 3];
    {
        let backend = BitMapBackend::with_buffer(&mut buffer, (width, height));
        draw_on(picture, backend.into_drawing_area(), scale)?;
    }
    let large = image::RgbImage::from_raw(width, height, buffer)
        .ok_or_else(|| anyhow!("the buffer does not match the size of the figure"))?;
    let small = resize(&large, width / 2, height / 2, FilterType::Triangle);
    let mut bytes = Vec::new();
    // The fastest compression makes files half as large again.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, PngFilter::Adaptive)
        .write_image(&small, small.width(), small.height(), ExtendedColorType::Rgb8)
        .context("cannot encode the PNG")?;
    Ok(bytes)
}

/// Converts an SVG of this crate to a PDF of one page, whose text can be selected and has the embedded font.
///
/// # Errors
/// When the text is not such an SVG.
pub fn to_pdf(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options { dpi: DOTS_PER_INCH, ..usvg::Options::default() };
    // Of this font only: fonts of the machine would give other bytes on every machine.
    options.fontdb_mut().load_font_data(FONT_FILE.to_vec());
    let tree = usvg::Tree::from_str(svg, &options).context("cannot read the SVG")?;
    let page = svg2pdf::PageOptions { dpi: DOTS_PER_INCH };
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

fn draw_on<DB: Backend>(
    picture: &impl Picture,
    area: DrawingArea<DB, plotters::coord::Shift>,
    scale: f64,
) -> Result<()> {
    area.fill(&WHITE)?;
    let canvas = Canvas { area, scale };
    picture.page().draw(&canvas)?;
    picture.draw_panels(&canvas)?;
    canvas.area.present()?;
    Ok(())
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
