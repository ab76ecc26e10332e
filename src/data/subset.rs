//! Selection of a subset of a data set: fixed, class-balanced, and independent of the order of the files.
//! The images of a smaller request are among those of a larger one.

use super::{HashedImages, Images, Request};
use anyhow::{Result, ensure};
use fathom_base::random::{Purpose, Stream};

/// Indices of the selected training and test images, in the order of their keys.
pub struct Subset {
    /// Training images.
    pub train: Vec<u32>,
    /// Training images that are held out for validation.
    pub validation: Vec<u32>,
    /// Test images.
    pub test: Vec<u32>,
}

impl Subset {
    /// Selects the images of a request. Validation images are taken from the front of a fixed order of
    /// each class and training images from its back, so that neither number changes the other selection.
    ///
    /// # Errors
    /// When more images are requested than exist, or no training or test images.
    pub fn select(
        train: &HashedImages,
        test: &HashedImages,
        classes: usize,
        request: &Request,
    ) -> Result<Self> {
        let (all, held_out) = (train.images.len(), request.validation);
        ensure!(
            held_out < all,
            "validation = {held_out}, but there are only {all} training images"
        );
        let wanted = request.train.unwrap_or(all - held_out);
        ensure!(wanted > 0, "train = 0: at least one training image is needed");
        ensure!(
            wanted <= all - held_out,
            "train = {wanted} and validation = {held_out}, but there are only {all} training images"
        );
        let all_tests = test.images.len();
        let tests = request.test.unwrap_or(all_tests);
        ensure!(tests > 0, "test = 0: at least one test image is needed");
        ensure!(tests <= all_tests, "test = {tests}, but there are only {all_tests} test images");

        let train_order = ClassOrders::new(train, classes, 0);
        let test_order = ClassOrders::new(test, classes, 1);
        let held_quotas = train_order.quotas(held_out, &[]);
        let mut subset = Self {
            validation: train_order.take(&held_quotas, false),
            train: train_order.take(&train_order.quotas(wanted, &held_quotas), true),
            test: test_order.take(&test_order.quotas(tests, &[]), true),
        };
        train.sort(&mut subset.validation);
        train.sort(&mut subset.train);
        test.sort(&mut subset.test);
        Ok(subset)
    }
}

/// At most `per_class` images of every class, class by class, for a contact sheet.
pub fn some_of_each(hashed: &HashedImages, classes: usize, per_class: usize) -> Vec<Images> {
    let first = |order: &Vec<u32>| hashed.images.select(&order[..per_class.min(order.len())]);
    ClassOrders::new(hashed, classes, 1).orders.iter().map(first).collect()
}

/// The indices of the images of each class in a fixed random order.
struct ClassOrders {
    orders: Vec<Vec<u32>>,
}

impl ClassOrders {
    /// The orders of the training (`split` 0) or test (1) images.
    fn new(hashed: &HashedImages, classes: usize, split: u64) -> Self {
        let mut members = vec![Vec::new(); classes];
        for (index, label) in hashed.images.labels.iter().enumerate() {
            members[usize::from(*label)].push(index as u32);
        }
        let shuffle = |(class, mut indices): (usize, Vec<u32>)| {
            hashed.sort(&mut indices);
            let mut stream = Stream::new(0, Purpose::Subset, split, class as u64);
            let order = stream.permutation(indices.len());
            order.into_iter().map(|at| indices[at as usize]).collect()
        };
        Self { orders: members.into_iter().enumerate().map(shuffle).collect() }
    }

    /// Numbers of images of each class with the sum `n`: equal numbers, but at most what a class has left
    /// after `taken`. The remainder goes to the first classes that have more.
    fn quotas(&self, n: usize, taken: &[usize]) -> Vec<usize> {
        let taken = taken.iter().copied().chain(std::iter::repeat(0));
        let left: Vec<usize> = self.orders.iter().zip(taken).map(|(o, t)| o.len() - t).collect();
        let filled_to = |level: usize| left.iter().map(|l| level.min(*l)).sum::<usize>();
        let highest = left.iter().copied().max().unwrap_or(0);
        // The highest level that fits; `filled_to` grows with the level.
        let level = (0..=highest).collect::<Vec<_>>().partition_point(|l| filled_to(*l) <= n);
        let level = level.saturating_sub(1);
        let mut quotas: Vec<usize> = left.iter().map(|l| level.min(*l)).collect();
        let mut over = n - filled_to(level);
        for (quota, left) in quotas.iter_mut().zip(&left) {
            if over > 0 && *quota < *left {
                *quota += 1;
                over -= 1;
            }
        }
        quotas
    }

    /// The first (or last) images of each order, as many as its quota.
    fn take(&self, quotas: &[usize], from_the_back: bool) -> Vec<u32> {
        let slice = |(order, quota): (&Vec<u32>, &usize)| {
            let start = if from_the_back { order.len() - quota } else { 0 };
            order[start..start + quota].to_vec()
        };
        self.orders.iter().zip(quotas).flat_map(slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shape, Source};
    use std::collections::HashSet;

    /// 4 classes with 10, 20, 30 and 40 images, each image of its own bytes.
    fn sample() -> HashedImages {
        let labels: Vec<u16> =
            (0..100u16).map(|i| [3, 3, 3, 3, 2, 2, 2, 1, 1, 0][i as usize % 10]).collect();
        let shape = Shape { channels: 1, height: 1, width: 2 };
        let pixels = (0..100u8).flat_map(|i| [i, 7]).collect();
        HashedImages::new(Images { shape, pixels, labels })
    }

    fn request(train: Option<usize>, validation: usize, test: Option<usize>) -> Request {
        Request { train, test, validation, ..Request::all(Source::Mnist, None) }
    }

    fn subset(train: Option<usize>, validation: usize) -> Subset {
        Subset::select(&sample(), &sample(), 4, &request(train, validation, Some(6))).unwrap()
    }

    fn per_class(indices: &[u32]) -> [usize; 4] {
        let labels = sample().images.labels;
        [0, 1, 2, 3].map(|c| indices.iter().filter(|i| labels[**i as usize] == c).count())
    }

    #[test]
    fn subsets_are_balanced_as_far_as_the_classes_suffice() {
        let chosen = subset(Some(14), 0);
        assert_eq!(per_class(&chosen.train), [4, 4, 3, 3]);
        assert_eq!(per_class(&chosen.test), [2, 2, 1, 1]);
        assert_eq!(per_class(&subset(Some(71), 0).train), [10, 20, 21, 20]);
        assert_eq!(per_class(&subset(None, 0).train), [10, 20, 30, 40]);
    }

    #[test]
    fn held_out_images_are_disjoint_and_smaller_subsets_are_in_larger_ones() {
        let set = |indices: &[u32]| indices.iter().copied().collect::<HashSet<_>>();
        let all = subset(None, 15);
        assert!(set(&all.train).is_disjoint(&set(&all.validation)));
        assert_eq!(all.train.len() + all.validation.len(), 100);
        let mut before = HashSet::new();
        for n in 1..=80 {
            let chosen = subset(Some(n), 20);
            let train = set(&chosen.train);
            assert_eq!(train.len(), n);
            assert!(train.is_superset(&before) && train.is_disjoint(&set(&chosen.validation)));
            before = train;
        }
        assert!(set(&subset(None, 20).validation).is_superset(&set(&subset(None, 7).validation)));
        assert_eq!(subset(Some(12), 0).train, subset(Some(12), 9).train);
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let reversed: Vec<u32> = (0..100).rev().collect();
        let other = HashedImages::new(sample().images.select(&reversed));
        let request = request(Some(23), 8, Some(9));
        let pixels = |hashed: &HashedImages| {
            let chosen = Subset::select(hashed, hashed, 4, &request).unwrap();
            [chosen.train, chosen.validation, chosen.test].map(|i| hashed.images.select(&i).pixels)
        };
        assert_eq!(pixels(&sample()), pixels(&other));
    }

    #[test]
    fn a_request_of_too_many_images_or_none_is_refused_with_their_number() {
        let fails = |train, validation, test| {
            let request = request(train, validation, test);
            Subset::select(&sample(), &sample(), 4, &request).err().unwrap().to_string()
        };
        assert!(fails(Some(101), 0, None).contains("only 100 training images"));
        assert!(fails(Some(90), 11, None).contains("train = 90 and validation = 11"));
        assert!(fails(None, 100, None).contains("validation = 100"));
        assert!(fails(None, 0, Some(101)).contains("only 100 test images"));
        assert!(fails(Some(0), 0, None).contains("train = 0"));
        assert!(fails(None, 0, Some(0)).contains("test = 0"));
    }
}
