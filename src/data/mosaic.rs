//! Mosaics: a file of CIFAR-10 as one lossless picture, of little more than half the size. Tiles of 32 × 32
//! pixels are arranged row by row in the order of the file's records. `NAME.labels`, in the same folder as
//! `NAME.webp`, has one byte for each tile.

use super::catalogue::{DataFile, Format, SETS, Set};
use super::cifar::{Record, SHAPE};
use super::locate::Home;
use super::{files, verify};
use anyhow::{Context, Result, ensure};
use image::ImageFormat;
use std::path::{Path, PathBuf};

/// Whether these are the first bytes of a WebP picture, the format of mosaics.
pub fn is_webp(head: &[u8]) -> bool {
    head.len() >= 12 && head.starts_with(b"RIFF") && &head[8..12] == b"WEBP"
}

/// Imports a mosaic into the folder of its set in `target`. As soon as all files of the set exist, they are
/// verified together.
///
/// # Errors
/// When its name is not that of a file of CIFAR-10, when pixels or labels are missing, or when the
/// complete set differs from the published one.
pub fn import(file: &Path, target: &Path) -> Result<(&'static Set, PathBuf)> {
    let (set, data) = file_of(file)?;
    let records = records(file, data)?;
    let home =
        Home { set, version: &set.versions[0], folder: target.join(set.versions[0].folders[0]) };
    let folder = &home.folder;
    files::create_folder(folder)?;
    let path = folder.join(data.name);
    fathom_base::write_atomically(&path, &records)?;
    if home.missing().is_empty() {
        verify::ensure_right(&home)?;
    }
    Ok((set, path))
}

/// The file of a set whose name the mosaic has.
fn file_of(file: &Path) -> Result<(&'static Set, &'static DataFile)> {
    let all = SETS.iter().flat_map(|set| set.versions[0].files.iter().map(move |data| (set, data)));
    let mut mosaics = all.filter(|(_, data)| data.format == Format::Cifar(Record::One));
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let names = mosaics.clone().map(|(_, data)| data.name.trim_end_matches(".bin"));
    let names = names.collect::<Vec<_>>().join(", ");
    mosaics
        .find(|(_, data)| data.name.trim_end_matches(".bin") == stem)
        .with_context(|| format!("{}: the name of a mosaic must be one of {names}", file.display()))
}

/// The records of a mosaic and its labels.
fn records(file: &Path, data: &DataFile) -> Result<Vec<u8>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let picture = image::load_from_memory_with_format(&bytes, ImageFormat::WebP)
        .with_context(|| format!("{} is a damaged WebP picture", file.display()))?
        .into_rgb8();
    let (side, width, height) = (SHAPE.width, picture.width() as usize, picture.height() as usize);
    let tiles = [width / side, height / side];
    ensure!(
        width % side == 0 && height % side == 0 && tiles[0] * tiles[1] == data.count,
        "{}: {width} x {height} pixels, expected {} images of {side} x {side}",
        file.display(),
        data.count
    );
    let labels = file.with_extension("labels");
    let labels = files::read_exactly(&labels, data.count as u64)?;
    let pixels = picture.as_raw();
    let mut records = Vec::with_capacity(data.count * Record::One.size());
    for (image, label) in labels.iter().enumerate() {
        records.push(*label);
        let (down, right) = (image / tiles[0] * side, image % tiles[0] * side);
        for channel in 0..SHAPE.channels {
            for row in 0..side {
                let start = (down + row) * width + right;
                let line = (start..start + side).map(|pixel| pixels[pixel * 3 + channel]);
                records.extend(line);
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install;
    use image::{ImageEncoder, codecs::webp::WebPEncoder};

    /// A mosaic whose pixels encode their position.
    fn mosaic(folder: &Path, name: &str, side: u32) -> PathBuf {
        let colour = |x: u32, y: u32| image::Rgb([x as u8, y as u8, (x / 32 + y / 32) as u8]);
        let picture = image::RgbImage::from_fn(side, side, colour);
        let mut bytes = Vec::new();
        let encoder = WebPEncoder::new_lossless(&mut bytes);
        encoder.write_image(&picture, side, side, image::ExtendedColorType::Rgb8).unwrap();
        assert!(is_webp(&bytes));
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_mosaic_becomes_the_records_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = mosaic(folder.path(), "data_batch_3.webp", 3200);
        let labels: Vec<u8> = (0..10_000u32).map(|image| (image % 10) as u8).collect();
        std::fs::write(folder.path().join("data_batch_3.labels"), labels).unwrap();
        let imported = install::import(&file, &folder.path().join("data")).unwrap();
        let (set, path) = imported.into_iter().next().unwrap();
        assert_eq!(set.name, "cifar10");
        let records = std::fs::read(path).unwrap();
        assert_eq!(records.len(), 30_730_000);
        // The image in the second row of tiles, third from the left.
        let record = &records[102 * 3073..103 * 3073];
        assert_eq!(record[0], 2);
        // Red encodes the column, green the row, blue the tile.
        assert_eq!((record[1], record[32], record[33]), (64, 95, 64));
        assert_eq!((record[1025], record[1025 + 32]), (32, 33));
        assert_eq!(record[2049], 3);
    }

    #[test]
    fn a_file_that_is_not_a_mosaic_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let attempt = |file: &Path| {
            let refused = install::import(file, &folder.path().join("data"));
            let left = std::fs::read_dir(folder.path().join("data")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "a refused file must leave no files");
            format!("{:#}", refused.err().unwrap())
        };
        let other = attempt(&mosaic(folder.path(), "cats.webp", 64));
        assert!(other.contains("the name of a mosaic must be one of data_batch_1, "), "{other}");
        let small = attempt(&mosaic(folder.path(), "test_batch.webp", 64));
        assert!(small.contains("64 x 64 pixels, expected 10000 images of 32 x 32"), "{small}");
        let alone = attempt(&mosaic(folder.path(), "data_batch_1.webp", 3200));
        assert!(alone.contains("data_batch_1.labels"), "{alone}");
        std::fs::write(folder.path().join("data_batch_2.webp"), b"RIFF0000WEBPVP8L").unwrap();
        let damaged = attempt(&folder.path().join("data_batch_2.webp"));
        assert!(damaged.contains("is a damaged WebP picture"), "{damaged}");
    }
}
