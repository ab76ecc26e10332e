//! Who holds a lock, for those who only want to know.

use super::owner::Life;
use super::{Lock, Owner, file};
use std::path::Path;

/// Who made a lock that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process that runs.
    Alive(Owner),
    /// A process of another machine or container: only watching the lock would tell.
    Elsewhere(Owner),
    /// A process that is no more.
    Gone(Owner),
}

impl Lock {
    /// Who holds the lock, without waiting and without touching it; nobody where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
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
