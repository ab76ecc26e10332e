//! fathom
pub mod arch;
pub mod cli;
pub mod data;
pub mod key;
pub mod plot;
pub mod random;
pub mod record;
pub mod stats;
#[cfg(feature = "train")]
pub mod train;
