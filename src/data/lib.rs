//! Data sets as arrays of bytes, and the batches that training takes from them. Nothing here knows
//! libtorch.
//!
//! | module | contents |
//! |---|---|
//! | `images`, `dataset` | the types: [`Images`], [`Shape`], [`Request`], [`Dataset`], [`Source`] |
//! | `load`, `describe`, `count` | from a [`Request`] to a [`Dataset`], or to its shape or size alone |
//! | `catalogue`, `official`, `verify` | the official sets, reading their files, checking their sums |
//! | `cifar`, `pickle`, `idx`, `mat`, `files`, `file_error` | the formats of their files, and what is wrong with a file |
//! | `locate`, `fetch`, `install`, `mosaic` | where sets are searched, and how they are downloaded or imported |
//! | `folder`, `decode`, `complete` | folders of images: listing them, decoding one file, files that are cut |
//! | `stored` | the store of decoded images in the cache folder, and crops of them |
//! | `shapes` | the built-in data set |
//! | `content_hash`, `subset` | hashes that order images, and class-balanced subsets of them |
//! | `split`, `resize`, `pixels` | images in memory or in the store, resizing, layouts of pixels |
//! | `sampler`, `batch` | order of the images, augmentation and standardisation of batches |
//! | `contact` | contact sheets of a data set |

// A new source, augmentation or standardisation must be handled everywhere before the crate is accepted.
#![deny(clippy::wildcard_enum_match_arm)]

mod batch;
pub mod catalogue;
mod catalogue_names;
pub mod cifar;
mod complete;
pub mod contact;
pub mod content_hash;
mod count;
mod dataset;
mod decode;
mod describe;
pub mod fetch;
pub mod file_error;
pub mod files;
pub mod folder;
pub mod idx;
mod images;
pub mod install;
mod load;
pub mod locate;
mod mat;
mod mosaic;
pub mod official;
mod pickle;
mod pixels;
mod resize;
mod sampler;
pub mod shapes;
mod split;
pub mod stored;
pub mod subset;
pub mod verify;

pub use batch::{Augment, Crop, Standardise, Standardiser, balanced, fill_bytes};
pub use content_hash::{FullDataset, HashedImages};
pub use count::{TooMany, check_counts, train_images};
pub use dataset::{Dataset, Labels, Request, Source};
pub use describe::{describe, stand_in};
pub use images::{Images, Shape};
pub use load::{load, prepare, read_full};
pub use locate::{Missing, locate, search_folders};
pub use resize::resize;
pub use sampler::{Sample, Sampler};
pub use split::Split;
