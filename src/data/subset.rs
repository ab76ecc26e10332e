//! Which images of a set a run uses: a fixed, class-balanced choice, independent of the order of
//! the files, where a smaller request takes a part of what a larger one takes.

use super::content_hash::HashedImages;
use super::{Images, Request};
use anyhow::{Result, ensure};
use fathom_base::random::{Purpose, Stream};

/// Indices into a set's training and test images, in the order of their keys.
pub struct Choice {
    /// Training images.
    pub train: Vec<u32>,
    /// Training images held out.
    pub validation: Vec<u32>,
    /// Test images.
    pub test: Vec<u32>,
}

/// Chooses what `request` asks for. Images held out are taken from the front of a fixed order of
/// each class and training images from its back, so that neither number moves the other's choice.
///
/// # Errors
/// When more is asked for than there is, or nothing to train or to test on.
pub fn choose(
    train: &HashedImages,
    test: &HashedImages,
    classes: usize,
    request: &Request,
) -> Result<Choice> {
    let part = |keyed, which| Part::new(keyed, classes, which);
    let (train_part, test_part) = (part(train, 0), part(test, 1));
    let (all, held) = (train.images.len(), request.validation);
    ensure!(held < all, "validation = {held}, but there are only {all} training images");
    let wanted = request.train.unwrap_or(all - held);
    ensure!(wanted > 0, "train = 0: there must be images to train on");
    ensure!(
        wanted <= all - held,
        "train = {wanted} and validation = {held}, but there are only {all} training images"
    );
    let all_tests = test.images.len();
    let tests = request.test.unwrap_or(all_tests);
    ensure!(tests > 0, "test = 0: there must be images to test on");
    ensure!(tests <= all_tests, "test = {tests}, but there are only {all_tests} test images");

    let mut choice = Choice {
        validation: train_part.take(&train_part.quotas(held, &[]), false),
        train: train_part.take(&train_part.quotas(wanted, &train_part.quotas(held, &[])), true),
        test: test_part.take(&test_part.quotas(tests, &[]), true),
    };
    train.sort(&mut choice.validation);
    train.sort(&mut choice.train);
    test.sort(&mut choice.test);
    Ok(choice)
}

/// At most `per_class` images of every class, class by class, for somebody to look at.
pub fn some_of_each(keyed: &HashedImages, classes: usize, per_class: usize) -> Vec<Images> {
    let part = Part::new(keyed, classes, 1);
    let first = |order: &Vec<u32>| keyed.images.select(&order[..per_class.min(order.len())]);
    part.orders.iter().map(first).collect()
}

/// The indices of each class in the fixed random order from which subsets are taken.
struct Part {
    orders: Vec<Vec<u32>>,
}

impl Part {
    fn new(keyed: &HashedImages, classes: usize, part: u64) -> Self {
        let mut members = vec![Vec::new(); classes];
        for (index, label) in keyed.images.labels.iter().enumerate() {
            members[usize::from(*label)].push(index as u32);
        }
        let shuffle = |(class, mut indices): (usize, Vec<u32>)| {
            keyed.sort(&mut indices);
            let mut stream = Stream::new(0, Purpose::Subset, part, class as u64);
            let order = stream.permutation(indices.len());
            order.into_iter().map(|at| indices[at as usize]).collect()
        };
        Self { orders: members.into_iter().enumerate().map(shuffle).collect() }
    }

    /// How many of each class make `n`: equally many, but no more than a class has left after
    /// `taken`; what is left over goes to the first classes that have more.
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
        let (size, path) = (None, None);
        Request {
            source: Source::Mnist,
            train,
            test,
            validation,
            size,
            colour: false,
            path,
            short_side: None,
        }
    }

    fn chosen(train: Option<usize>, validation: usize) -> Choice {
        choose(&sample(), &sample(), 4, &request(train, validation, Some(6))).unwrap()
    }

    fn per_class(indices: &[u32]) -> [usize; 4] {
        let labels = sample().images.labels;
        [0, 1, 2, 3].map(|c| indices.iter().filter(|i| labels[**i as usize] == c).count())
    }

    #[test]
    fn choices_are_balanced_as_far_as_the_classes_go() {
        let choice = chosen(Some(14), 0);
        assert_eq!(per_class(&choice.train), [4, 4, 3, 3]);
        assert_eq!(per_class(&choice.test), [2, 2, 1, 1]);
        assert_eq!(per_class(&chosen(Some(71), 0).train), [10, 20, 21, 20]);
        assert_eq!(per_class(&chosen(None, 0).train), [10, 20, 30, 40]);
    }

    #[test]
    fn held_out_images_are_disjoint_and_smaller_choices_lie_in_larger_ones() {
        let set = |indices: &[u32]| indices.iter().copied().collect::<HashSet<_>>();
        let all = chosen(None, 15);
        assert!(set(&all.train).is_disjoint(&set(&all.validation)));
        assert_eq!(all.train.len() + all.validation.len(), 100);
        let mut before = HashSet::new();
        for n in 1..=80 {
            let choice = chosen(Some(n), 20);
            let train = set(&choice.train);
            assert_eq!(train.len(), n);
            assert!(train.is_superset(&before) && train.is_disjoint(&set(&choice.validation)));
            before = train;
        }
        assert!(set(&chosen(None, 20).validation).is_superset(&set(&chosen(None, 7).validation)));
        assert_eq!(chosen(Some(12), 0).train, chosen(Some(12), 9).train);
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let reversed: Vec<u32> = (0..100).rev().collect();
        let other = HashedImages::new(sample().images.select(&reversed));
        let request = request(Some(23), 8, Some(9));
        let pixels = |keyed: &HashedImages| {
            let choice = choose(keyed, keyed, 4, &request).unwrap();
            [choice.train, choice.validation, choice.test].map(|i| keyed.images.select(&i).pixels)
        };
        assert_eq!(pixels(&sample()), pixels(&other));
    }

    #[test]
    fn asking_for_too_much_or_nothing_says_how_many_there_are() {
        let fails = |train, validation, test| {
            let request = request(train, validation, test);
            choose(&sample(), &sample(), 4, &request).err().unwrap().to_string()
        };
        assert!(fails(Some(101), 0, None).contains("only 100 training images"));
        assert!(fails(Some(90), 11, None).contains("train = 90 and validation = 11"));
        assert!(fails(None, 100, None).contains("validation = 100"));
        assert!(fails(None, 0, Some(101)).contains("only 100 test images"));
        assert!(fails(Some(0), 0, None).contains("train = 0"));
        assert!(fails(None, 0, Some(0)).contains("test = 0"));
    }
}
