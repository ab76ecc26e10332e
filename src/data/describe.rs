//! What is known of a data set without reading it, and generated images in its place.

use super::{Dataset, Request, Shape, Source, Split, folder, locate, shapes};
use anyhow::{Context, Result};

/// Shape of the images that a request gives, and the number of classes, without reading the data
/// set (but for `images`, whose headers are).
///
/// # Errors
/// For `images`, when the folder is missing, or sizes differ and `size` is not given.
pub fn describe(request: &Request) -> Result<(Shape, usize)> {
    let (channels, side, classes) = match request.source {
        Source::Shapes => (if request.colour { 3 } else { 1 }, 16, shapes::CLASSES.len()),
        Source::Cifar10 => (3, 32, 10),
        Source::Cifar100 => (3, 32, 100),
        Source::Mnist | Source::FashionMnist => (1, 28, 10),
        Source::Images => {
            let path = request.path.as_deref().context("data.path is missing")?;
            let folder = locate::image_folder(path, None)?;
            // As they are stored, without a look into each of a million files.
            if let (Some(_), Some(side)) = (request.short_side, request.size) {
                let shape = Shape { channels: 3, height: side, width: side };
                return Ok((shape, folder::classes(&folder)?.len()));
            }
            return folder::describe(&folder, request.size);
        }
    };
    let side = request.size.unwrap_or(side);
    Ok((Shape { channels, height: side, width: side }, classes))
}

/// Generated images of the shape and with the number of classes that a request gives: for trying
/// an experiment without its data. Errors on them mean nothing.
///
/// # Errors
/// As for [`describe`].
pub fn stand_in(request: &Request) -> Result<Dataset> {
    let (shape, classes) = describe(request)?;
    let mut dataset = shapes::load(&Request {
        source: Source::Shapes,
        size: Some(shape.height),
        colour: shape.channels == 3,
        ..request.clone()
    })?;
    dataset.classes = (0..classes).map(|class| format!("class {class}")).collect();
    for part in [&mut dataset.train, &mut dataset.validation, &mut dataset.test] {
        if let Split::Memory(images) = part {
            for (place, label) in images.labels.iter_mut().enumerate() {
                *label = (place % classes) as u16;
            }
        }
    }
    dataset.notes = vec!["generated images stand in for the data set".into()];
    Ok(dataset)
}
