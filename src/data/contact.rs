//! Contact sheets: one row of images for every class, for inspection before training.

use super::Images;
use anyhow::{Result, ensure};
use font8x8::UnicodeFonts;
use image::{Rgb, RgbImage};

/// Pixels between images.
const GAP: u32 = 4;
/// Side of a letter in pixels.
const LETTER: u32 = 8;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([30, 30, 30]);
/// Number of letters to which names are truncated.
const LONGEST_NAME: usize = 24;

/// Largest number of pixels of a sheet, which take 0.8 GB.
const LARGEST: u64 = 1 << 28;

/// Draws a row for each class: its name, then its images. Small images are enlarged by an integer factor
/// without interpolation.
///
/// # Errors
/// When the sheet would have more than 2²⁸ pixels.
pub fn sheet(classes: &[String], rows: &[Images]) -> Result<RgbImage> {
    let largest = rows.iter().map(|row| row.shape.height.max(row.shape.width)).max().unwrap_or(1);
    let zoom = (56 / largest.max(1) as u32).max(1);
    let cell = |side: fn(&Images) -> usize| {
        rows.iter().map(|row| side(row) as u32 * zoom).max().unwrap_or(1)
    };
    let (height, width) = (cell(|r| r.shape.height), cell(|r| r.shape.width));
    let longest = classes.iter().map(|name| name.chars().count().min(LONGEST_NAME)).max();
    let letters = if height >= 2 * LETTER { 2 } else { 1 };
    let margin = longest.unwrap_or(0) as u32 * LETTER * letters + 3 * GAP;
    let columns = rows.iter().map(Images::len).max().unwrap_or(0) as u32;
    let row_height = height.max(LETTER * letters) + GAP;
    let size = (margin + columns * (width + GAP) + GAP, rows.len() as u32 * row_height + GAP);
    ensure!(
        u64::from(size.0) * u64::from(size.1) <= LARGEST,
        "the sheet would have {}×{} pixels: show fewer images of each class, or smaller ones",
        size.0,
        size.1
    );
    let mut sheet = RgbImage::from_pixel(size.0, size.1, PAPER);
    for (index, (name, row)) in classes.iter().zip(rows).enumerate() {
        let top = GAP + index as u32 * row_height;
        let middle = top + (row_height - GAP - LETTER * letters) / 2;
        write(&mut sheet, name, (GAP, middle), letters);
        for at in 0..row.len() {
            draw(&mut sheet, row, at, (margin + at as u32 * (width + GAP), top), zoom);
        }
    }
    Ok(sheet)
}

fn draw(sheet: &mut RgbImage, images: &Images, at: usize, corner: (u32, u32), zoom: u32) {
    let shape = images.shape;
    let (plane, pixels) = (shape.height * shape.width, images.image(at));
    for y in 0..shape.height as u32 * zoom {
        for x in 0..shape.width as u32 * zoom {
            let place = (y / zoom) as usize * shape.width + (x / zoom) as usize;
            let colour = [0, 1, 2].map(|channel| pixels[channel % shape.channels * plane + place]);
            sheet.put_pixel(corner.0 + x, corner.1 + y, Rgb(colour));
        }
    }
}

fn write(sheet: &mut RgbImage, text: &str, corner: (u32, u32), zoom: u32) {
    for (place, letter) in text.chars().take(LONGEST_NAME).enumerate() {
        let glyph = font8x8::BASIC_FONTS.get(letter);
        let Some(glyph) = glyph.or_else(|| font8x8::LATIN_FONTS.get(letter)) else { continue };
        for (y, line) in glyph.iter().enumerate() {
            for x in (0..LETTER).filter(|x| line >> x & 1 == 1) {
                let left = corner.0 + (place as u32 * LETTER + x) * zoom;
                let top = corner.1 + y as u32 * zoom;
                for (dx, dy) in (0..zoom).flat_map(|dx| (0..zoom).map(move |dy| (dx, dy))) {
                    sheet.put_pixel(left + dx, top + dy, INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn grey_and_colour_rows_of_unequal_length_are_drawn() {
        let shape = Shape { channels: 3, height: 8, width: 8 };
        let mut pixels = vec![0; 64];
        pixels.extend([200; 64]);
        pixels.extend([9; 64]);
        let full = Images { shape, pixels, labels: vec![0] };
        let empty = Images { shape, pixels: Vec::new(), labels: Vec::new() };
        let names = ["a name that is far too long for a sheet".into(), "ö/β".into()];
        let sheet = sheet(&names, &[full, empty]).unwrap();
        let corner = sheet.width() - 2 * GAP - 1;
        assert_eq!(*sheet.get_pixel(corner, GAP), Rgb([0, 200, 9]));
        assert!(sheet.pixels().any(|pixel| *pixel == INK));
    }

    #[test]
    fn a_sheet_without_an_end_is_refused() {
        let shape = Shape { channels: 1, height: 56, width: 60_000 };
        let row = Images { shape, pixels: Vec::new(), labels: vec![0; 100] };
        let refused = sheet(&["one".into()], &[row]).unwrap_err().to_string();
        assert!(refused.contains("show fewer images of each class"), "{refused}");
    }
}
