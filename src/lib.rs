//! fathom
pub mod arch;
pub mod cli;
pub mod data;
pub mod key;
pub mod plot;
pub mod protocol;
pub mod random;
pub mod record;
pub mod spec;
pub mod stats;
pub mod sweep;
