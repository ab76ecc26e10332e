//! The shape of a data set without reading it, and generated images that replace it.

use super::folder::Layout;
use super::load::image_folder;
use super::{Dataset, Labels, Request, Shape, Source, Split, folder, shapes};
use anyhow::Result;

/// Shape of the images of a request, and the number of classes. The data set is not read, except for the
/// headers of `images`.
///
/// # Errors
/// For `images`, when the folder is missing, or sizes differ and `size` is `None`.
pub fn describe(request: &Request) -> Result<(Shape, usize)> {
    let (channels, side, classes) = match request.source {
        Source::Shapes => (if request.colour { 3 } else { 1 }, 16, shapes::CLASSES.len()),
        Source::Cifar10 => (3, 32, 10),
        Source::Cifar100 => match request.labels {
            Labels::Fine => (3, 32, 100),
            Labels::Coarse => (3, 32, 20),
        },
        Source::Svhn => (3, 32, 10),
        Source::Mnist | Source::FashionMnist => (1, 28, 10),
        Source::Images => {
            let folder = image_folder(request, None)?;
            // The shape is that of the crops, so a million headers need not be read.
            if let (Some(_), Some(side)) = (request.short_side, request.size) {
                let shape = Shape { channels: 3, height: side, width: side };
                return Ok((shape, Layout::of(&folder)?.classes.len()));
            }
            return folder::describe(&folder, request.size);
        }
    };
    let side = request.size.unwrap_or(side);
    Ok((Shape { channels, height: side, width: side }, classes))
}

/// Generated images with the shape and the number of classes of a request, for a trial of an experiment
/// without its data. Error rates on them have no meaning.
///
/// # Errors
/// The errors of [`describe`].
pub fn stand_in(request: &Request) -> Result<Dataset> {
    let (shape, classes) = describe(request)?;
    let mut dataset = shapes::load(&Request {
        source: Source::Shapes,
        size: Some(shape.height),
        colour: shape.channels == 3,
        ..request.clone()
    })?;
    dataset.classes = (0..classes).map(|class| format!("class {class}")).collect();
    for split in [&mut dataset.train, &mut dataset.validation, &mut dataset.test] {
        if let Split::Memory(images) = split {
            for (index, label) in images.labels.iter_mut().enumerate() {
                *label = (index % classes) as u16;
            }
        }
    }
    dataset.notes = vec!["generated images replace the data set".into()];
    Ok(dataset)
}
