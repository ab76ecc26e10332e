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

/// More images of a split are requested than there are.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {wanted}: {set} has {all} {split} images{others}")]
pub struct TooMany {
    /// Key of the number.
    pub key: &'static str,
    wanted: usize,
    set: Source,
    all: usize,
    split: &'static str,
    others: String,
}

/// Checks numbers of images against those of a set whose size is known without its files.
///
/// # Errors
/// When there are not so many.
pub fn check_counts(request: &Request) -> Result<(), TooMany> {
    let Some(known) = Set::of(request.source) else { return Ok(()) };
    let [train, test] = [true, false].map(|is_train| known.count(is_train));
    let held_out = request.validation;
    let others = match held_out {
        0 => String::new(),
        _ => format!(", of which data.validation = {held_out} are held out"),
    };
    let checks = [
        ("data.validation", held_out, train.saturating_sub(1), "training", String::new()),
        (
            "data.train",
            request.train.unwrap_or(0),
            train.saturating_sub(held_out),
            "training",
            others,
        ),
        ("data.test", request.test.unwrap_or(0), test, "test", String::new()),
    ];
    for (key, wanted, most, split, others) in checks {
        if wanted > most {
            let all = if split == "test" { test } else { train };
            return Err(TooMany { key, wanted, set: request.source, all, split, others });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_images_than_a_known_set_has_are_refused_with_the_number_it_has() {
        let said = |request: Request| check_counts(&request).err().map(|fault| fault.to_string());
        let mnist = || Request::all(Source::Mnist, None);
        assert_eq!(
            said(Request { train: Some(70_000), ..mnist() }).as_deref(),
            Some("data.train = 70000: mnist has 60000 training images")
        );
        assert_eq!(
            said(Request { train: Some(60_000), validation: 5000, ..mnist() }).as_deref(),
            Some(
                "data.train = 60000: mnist has 60000 training images, of which data.validation = 5000 are held out"
            )
        );
        assert_eq!(
            said(Request { validation: 60_000, ..mnist() }).as_deref(),
            Some("data.validation = 60000: mnist has 60000 training images")
        );
        assert_eq!(
            said(Request { test: Some(10_001), ..mnist() }).as_deref(),
            Some("data.test = 10001: mnist has 10000 test images")
        );
        assert_eq!(said(Request { train: Some(55_000), validation: 5000, ..mnist() }), None);
        let generated = Request { train: Some(70_000), ..Request::all(Source::Shapes, None) };
        assert_eq!(said(generated), None);
    }

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
