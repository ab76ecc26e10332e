//! Hashes of images, which order them independently of their files. The same data set is distributed in
//! several orders; runs on each of them see the same batches.

use super::Images;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Images with keys, by which they are ordered.
#[derive(Clone, Debug)]
pub struct HashedImages {
    /// The images, in any order.
    pub images: Images,
    /// One key per image, from its label and bytes.
    pub keys: Vec<u64>,
}

/// All images of a data set at their own size, before a subset is selected.
pub struct FullDataset {
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// Training images.
    pub train: HashedImages,
    /// Test images.
    pub test: HashedImages,
    /// Remarks for readers of the results.
    pub notes: Vec<String>,
}

impl HashedImages {
    /// Computes the key of the label and pixels of every image, see [`key`].
    pub fn new(images: Images) -> Self {
        let size = images.shape.len().max(1);
        let keys = images
            .pixels
            .par_chunks_exact(size)
            .zip(&images.labels)
            .map(|(pixels, label)| key(*label, pixels))
            .collect();
        Self { images, keys }
    }

    /// The wrapping sum of all keys. It does not depend on the order of the images, and a different pixel
    /// or label changes it except with probability 2⁻⁶⁴. It detects damage, not manipulation.
    pub fn sum(&self) -> u64 {
        self.keys.iter().fold(0, |sum, key| sum.wrapping_add(*key))
    }

    /// Sorts `indices` by key, then pixels, then label.
    pub fn sort(&self, indices: &mut [u32]) {
        indices.par_sort_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            self.keys[a]
                .cmp(&self.keys[b])
                .then_with(|| self.images.image(a).cmp(self.images.image(b)))
                .then_with(|| self.images.labels[a].cmp(&self.images.labels[b]))
        });
    }

    /// SHA-256 (hexadecimal) of all images in the order of their keys, see [`digest`].
    pub fn sha256(&self) -> String {
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        self.sort(&mut order);
        digest(&[&self.images.select(&order)])
    }
}

/// A 64-bit hash of a label and bytes, which mixes words as the finaliser of SplitMix64 does. It
/// determines which images form a subset and must not change.
pub fn key(label: u16, bytes: &[u8]) -> u64 {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ (x >> 29)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = mix((bytes.len() as u64) << 16 | u64::from(label));
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(state ^ u64::from_le_bytes(last)).wrapping_mul(0x94d0_49bb_1331_11eb))
}

/// SHA-256 (hexadecimal) over shapes, pixels and labels of `parts`, in this order. It is computed over
/// the digests of blocks of 1024 images, in parallel.
pub fn digest(parts: &[&Images]) -> String {
    let mut whole = Sha256::new();
    for part in parts {
        let shape = part.shape;
        for number in [part.len(), shape.channels, shape.height, shape.width] {
            whole.update((number as u64).to_le_bytes());
        }
        let blocks: Vec<_> = part
            .labels
            .par_chunks(1024)
            .zip(part.pixels.par_chunks(1024 * shape.len().max(1)))
            .map(|(labels, pixels)| {
                let mut block = Sha256::new();
                block.update(pixels);
                let labels: Vec<u8> = labels.iter().flat_map(|l| l.to_le_bytes()).collect();
                block.update(&labels);
                block.finalize()
            })
            .collect();
        blocks.iter().for_each(|block| whole.update(block));
    }
    hex::encode(whole.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn sample() -> Images {
        let shape = Shape { channels: 1, height: 3, width: 3 };
        let pixels = (0..9 * 40).map(|i| (i * 31 % 251) as u8).collect();
        Images { shape, pixels, labels: (0..40).map(|i| i % 4).collect() }
    }

    #[test]
    fn sums_depend_on_every_byte_but_not_on_the_order() {
        let images = sample();
        let reversed: Vec<u32> = (0..40).rev().collect();
        let [a, b] = [images.clone(), images.select(&reversed)].map(HashedImages::new);
        assert_eq!((a.sum(), a.sha256()), (b.sum(), b.sha256()));
        let mut other = images.clone();
        other.pixels[77] ^= 1;
        assert_ne!(HashedImages::new(other).sum(), a.sum());
        let mut swapped = images;
        swapped.labels.swap(0, 1);
        let swapped = HashedImages::new(swapped);
        assert!(swapped.sum() != a.sum() && swapped.sha256() != a.sha256());
    }

    #[test]
    fn keys_and_digests_are_frozen() {
        assert_eq!(key(3, b"0123456789"), FROZEN_KEY);
        assert_eq!(digest(&[&sample()]), FROZEN_DIGEST);
    }

    // Frozen: a change would give the same experiment other subsets.
    const FROZEN_KEY: u64 = 6_453_385_352_168_521_179;
    const FROZEN_DIGEST: &str = "4d9fb751fa8d92e34a8d43b181e4f1357d7d2a7f96004a9471b29bb7ba8b6c62";
}
