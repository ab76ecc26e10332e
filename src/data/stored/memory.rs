//! Folders of images that are read into memory, with the store as a cache of the decoded images.

use super::key::store_name;
use super::shard::{self, Picture, Shard};
use crate::content_hash::HashedImages;
use crate::decode::{Decoded, Target, decode};
use crate::folder::{self, ImageFolder, LabelledFile, Listing};
use crate::pixels::{interleaved, write_planes};
use crate::{FullDataset, Images, Shape, files};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Reads a folder of images at `size` rows and columns, or at their own size if that is the same for
/// all. Decoded images are kept in a store below `cache` and used again until a file changes. Damaged
/// shards are written again.
///
/// Images are grey if all files are, otherwise red, green and blue; transparency is dropped.
///
/// # Errors
/// The errors of [`folder::list`]; when a file cannot be decoded, or sizes differ and `size` is `None`. A store
/// that cannot be written is a note, not an error.
pub fn read(
    images: &ImageFolder,
    size: Option<usize>,
    cache: Option<&Path>,
) -> Result<FullDataset> {
    let mut listing = folder::list(images)?;
    let mut notes = std::mem::take(&mut listing.notes);
    let mut store = match cache {
        Some(cache) => Some(cache.join(store_name(&listing, images.test_share, &form(size))?)),
        None => None,
    };
    if let Some(folder) = &store
        && let Err(error) = files::create_folder(folder)
    {
        notes.push(unstored(&error));
        store = None;
    }
    let shape = match store.as_deref().and_then(|folder| stored_shape(folder, &listing)) {
        Some(shape) => shape,
        None => folder::shape(&listing, size)?,
    };
    let mut reader = Reader { target: Target { shape, resize: size }, store, failure: None };
    let (train, test) =
        (reader.split("train", &listing.train)?, reader.split("test", &listing.test)?);
    notes.extend(reader.failure.as_ref().map(unstored));
    Ok(FullDataset { classes: listing.classes, train, test, notes })
}

/// The form of the stored images: part of the name of the store.
fn form(size: Option<usize>) -> String {
    size.map_or_else(|| "own size".to_owned(), |size| format!("size {size}"))
}

fn unstored(error: &anyhow::Error) -> String {
    format!(
        "the decoded images could not be stored, so the next start decodes them again: {error:#}"
    )
}

/// Shape of all images of the listing, from the first shard. A store belongs to exactly one listing,
/// whose headers were read before it was written.
fn stored_shape(folder: &Path, listing: &Listing) -> Option<Shape> {
    let count = listing.train.len().min(shard::IMAGES);
    Shard::open(&folder.join(shard::name("train", 0)), count).ok()??.shape()
}

struct Reader {
    target: Target,
    /// Folder of the store; `None` if there is no cache folder.
    store: Option<PathBuf>,
    /// The first error of writing to the store, after which nothing more is written.
    failure: Option<anyhow::Error>,
}

impl Reader {
    /// Reads or decodes the images of a split, one shard after the other. Besides the result, memory
    /// holds the decoded images of one shard.
    fn split(&mut self, split: &str, files: &[LabelledFile]) -> Result<HashedImages> {
        let shape = self.target.shape;
        let mut pixels = vec![0; files.len() * shape.len()];
        let mut keys = Vec::with_capacity(files.len());
        let parts = files.chunks(shard::IMAGES).zip(pixels.chunks_mut(shard::IMAGES * shape.len()));
        for (number, (files, pixels)) in parts.enumerate() {
            let path = self.store.as_ref().map(|folder| folder.join(shard::name(split, number)));
            let stored = path.as_deref().and_then(|path| self.open(path, files.len()));
            match stored {
                Some(shard) => {
                    let targets = pixels.par_chunks_exact_mut(shape.len()).enumerate();
                    targets.for_each(|(index, target)| {
                        write_planes(shard.image(index), shape.channels, target);
                    });
                    keys.extend((0..files.len()).map(|index| shard.entry(index).key));
                }
                None => {
                    let decoded = self.decode(files)?;
                    for (image, target) in decoded.iter().zip(pixels.chunks_exact_mut(shape.len()))
                    {
                        target.copy_from_slice(&image.pixels);
                    }
                    keys.extend(decoded.iter().map(|image| image.key));
                    if let Some(path) = path.filter(|_| self.failure.is_none()) {
                        self.failure = write(&path, shape.channels, decoded).err();
                    }
                }
            }
        }
        let labels = files.iter().map(|(_, label)| *label).collect();
        Ok(HashedImages { images: Images { shape, pixels, labels }, keys })
    }

    /// A complete and undamaged shard of this shape.
    fn open(&self, path: &Path, count: usize) -> Option<Shard> {
        let shard = Shard::open(path, count).ok()??;
        (shard.shape() == Some(self.target.shape) && shard.is_intact()).then_some(shard)
    }

    /// Decodes files in parallel. Keys come from the bytes of the files, so that a subset has the same
    /// images at every size.
    fn decode(&self, files: &[LabelledFile]) -> Result<Vec<Decoded>> {
        files.par_iter().map(|(path, label)| decode(path, *label, self.target)).collect()
    }
}

fn write(path: &Path, channels: usize, decoded: Vec<Decoded>) -> Result<()> {
    let picture = |image: Decoded| -> Result<Picture> {
        let side = |side: usize| u16::try_from(side).context("images are too large to be stored");
        let (height, width) = (side(image.sides.height)?, side(image.sides.width)?);
        Ok(Picture { key: image.key, height, width, pixels: interleaved(&image.pixels, channels) })
    };
    let pictures = decoded.into_par_iter().map(picture).collect::<Result<Vec<_>>>()?;
    shard::write(path, channels, &pictures)
}

#[cfg(test)]
mod tests;
