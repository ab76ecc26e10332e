//! The number of training images of a request, without reading them.

use super::catalogue::Set;
use super::load::image_folder;
use super::{Request, Source, folder, shapes};
use anyhow::Result;

/// Number of images that training uses. For a folder of images, the names of its files are read.
///
/// # Errors
/// For `images`, when the folder is missing.
pub fn train_images(request: &Request) -> Result<usize> {
    if let Some(train) = request.train {
        return Ok(train);
    }
    let all = match request.source {
        // Their validation images are further ones.
        Source::Shapes => return Ok(shapes::DEFAULT_TRAIN),
        Source::Cifar10
        | Source::Cifar100
        | Source::Mnist
        | Source::FashionMnist
        | Source::Svhn => Set::of(request.source).map_or(0, |set| set.count(true)),
        Source::Images => folder::list(&image_folder(request, None)?)?.train.len(),
    };
    Ok(all.saturating_sub(request.validation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_images_and_subsets_are_subtracted() {
        let request =
            |source, train, validation| Request { train, validation, ..Request::all(source, None) };
        let count =
            |source, train, validation| train_images(&request(source, train, validation)).ok();
        assert_eq!(count(Source::Cifar10, None, 5000), Some(45_000));
        assert_eq!(count(Source::Mnist, Some(100), 5000), Some(100));
        assert_eq!(
            count(Source::Shapes, None, 100),
            Some(shapes::load(&request(Source::Shapes, None, 1)).unwrap().train.len())
        );
        assert_eq!(count(Source::Images, None, 0), None);
    }
}
