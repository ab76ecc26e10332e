//! Reading the holder of a lock without taking it.

use super::owner::Life;
use super::{Lock, Owner, file};
use std::path::Path;

/// The process that made an existing lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The process runs.
    Alive(Owner),
    /// The process is on another machine or in another container. Whether it runs could only be found
    /// out by watching the lock.
    Elsewhere(Owner),
    /// The process has ended.
    Gone(Owner),
}

impl Lock {
    /// The holder of a lock, without waiting and without changing the file; `None` if there is no lock.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn peek(path: &Path) -> std::io::Result<Option<Holder>> {
        let Some(seen) = file::look(path)? else { return Ok(None) };
        let owner = Owner::read(&seen);
        let me = Owner::here("")?;
        Ok(Some(match owner.life(&me) {
            Life::Lasts => Holder::Alive(owner),
            Life::Over => Holder::Gone(owner),
            Life::Unknown => Holder::Elsewhere(owner),
        }))
    }
}
