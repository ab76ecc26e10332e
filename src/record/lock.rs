//! A lock file that works where `flock` does not: on file systems shared between machines.
//!
//! Locked are a results directory while a sweep plans or supervises (`sweep.lock`) and a run's
//! directory while it trains (`run.lock`). The file says who holds it ([`Owner`]), under a random
//! token and with a counter that the holder moves every few seconds.
//!
//! **Taking.** The file is written under a temporary name and appears by `link`, which fails where
//! the name exists; where links are not to be had, by exclusive creation.
//!
//! **Stale locks.** Clocks of two machines are never compared.
//! - Same host, boot and pid namespace: the process is looked up. Gone, or another process by now
//!   under the same pid (by its start time): stale at once.
//! - Same host, other boot: the machine was started anew, stale at once. Two machines that share a
//!   name would fool this, so nameless ones and `localhost` count as other hosts; containers on
//!   several machines need names of their own.
//! - Else (another host; another container, whose pids mean nothing here; a file that cannot be
//!   read) the file is watched for [`LockTiming::watch`] on the observer's monotonic clock: stale
//!   when nothing in it moves, held as soon as anything does.
//!
//! **Taking over.** The stale file is read once more, renamed to a name that only this taker uses,
//! and read there. If what was renamed away is not what was seen to be stale (another taker was
//! faster, or the holder woke up), it is linked back. So of two takers exactly one wins.
//!
//! **What remains.** The holder may have been suspended, not dead. Renewing never brings its lock
//! back: the counter is written into the file that has its token, wherever that file was moved to,
//! and no file is put in the place of another. But it must ask [`Lock::check`] before it renames
//! anything into place, and between that question and the rename it can be suspended again: then
//! one rename gets through. A shared file system has nothing that could forbid this, so whatever
//! is written under a lock should be whole and true of its configuration whoever wrote it. And
//! between a mistaken renaming and its linking back, microseconds unless the taker dies there, a
//! third process finds the name free; then the lock that was moved is lost, and its holder is told
//! by `check`. Never do two processes pass `check` for long.

mod file;
mod holder;
mod owner;
#[cfg(test)]
mod tests;

pub use holder::Holder;
pub use owner::Owner;

use file::Withdrawn;
use owner::Life;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long things take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockTiming {
    /// Time for which a lock of another host must stand still to be stale.
    pub watch: Duration,
    /// Time between two renewals of a lock that is held; several must fit into `watch`.
    pub beat: Duration,
}

impl Default for LockTiming {
    fn default() -> Self {
        Self { watch: Duration::from_secs(20), beat: Duration::from_secs(5) }
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "{} is held by {owner}: wait until it ends or stop it; if there is no such process \
         anywhere, remove that file",
        path.display()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who.
        owner: Box<Owner>,
    },
    /// The file system refuses.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The lock is not, or no longer, the one that was taken: nothing more may be written under it.
#[derive(Debug, thiserror::Error)]
#[error("the lock {} is lost, nothing more is written under it: {why}", path.display())]
pub struct LostLock {
    /// The lock file.
    pub path: PathBuf,
    why: String,
}

/// A lock just taken.
#[derive(Debug)]
pub struct Acquired {
    /// It.
    pub lock: Lock,
    /// Whose stale lock was in its place.
    pub taken_over: Option<Owner>,
}

/// A lock that is held until it is dropped. A process that ends without dropping it leaves a stale
/// file behind, which does no harm.
#[derive(Debug)]
pub struct Lock {
    token: LockToken,
    /// The renewing thread ends when this is dropped.
    stop: Option<Sender<()>>,
    beating: Option<JoinHandle<()>>,
}

/// Names a lock that some process holds, for others that work under it: it can be sent to a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockToken {
    /// The lock file.
    pub path: PathBuf,
    /// What must stand in it.
    pub token: String,
}

/// A missing file is looked for this often before it counts as gone: a taker that moved it by
/// mistake is about to put it back.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

/// Rounds of finding the name neither free nor anybody's, as where it is a dangling link.
const ROUNDS: u32 = 200;

impl Lock {
    /// Takes the lock, waiting only as long as it takes to see whether another host's is stale.
    /// `what` is what is being done, for those who are refused: `fathom run`.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody has it, also this very process.
    pub fn acquire(path: &Path, what: &str, patience: &LockTiming) -> Result<Acquired, LockError> {
        Self::acquire_telling(path, what, patience, &mut |_| {})
    }

    /// The same; `waiting` is told, once, whose lock is being watched.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub fn acquire_telling(
        path: &Path,
        what: &str,
        patience: &LockTiming,
        waiting: &mut dyn FnMut(&Owner),
    ) -> Result<Acquired, LockError> {
        let failed = |source| LockError::Io { path: path.into(), source };
        let me = Owner::here(what).map_err(failed)?;
        let mut taken_over = None;
        for _ in 0..ROUNDS {
            if file::place(path, &me).map_err(failed)? {
                let token = LockToken { path: path.into(), token: me.token.clone() };
                let lock = Self::beating(token, me, patience.beat).map_err(failed)?;
                return Ok(Acquired { lock, taken_over });
            }
            let Some(seen) = file::look(path).map_err(failed)? else {
                // Gone since, or about to be put back.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            judge(path, &seen, &me, patience, waiting)?;
            match file::withdraw(path, &me.token, |found| found == seen).map_err(failed)? {
                Withdrawn::Yes => taken_over = Some(Owner::read(&seen)),
                Withdrawn::No => {}
            }
        }
        Err(failed(std::io::Error::other("it is there and cannot be read, as a dangling link")))
    }

    /// Starts to renew a lock that was placed.
    fn beating(token: LockToken, mut me: Owner, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let watched = token.clone();
        let beat = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                me.beat += 1;
                // A disk that is full or away for a while is no loss of the lock.
                let renewed = file::renew(&watched.path, &me);
                if matches!(renewed, Ok(false)) && watched.check().is_err() {
                    break;
                }
            }
        };
        // A lock without its thread is dropped, and removed with that.
        let mut lock = Self { token, stop: Some(stop), beating: None };
        lock.beating = Some(std::thread::Builder::new().name("lock".into()).spawn(beat)?);
        Ok(lock)
    }

    /// Whether the lock is still this one: to be asked before every rename into place.
    ///
    /// # Errors
    /// When it was taken over, removed, or cannot be read.
    pub fn check(&self) -> Result<(), LostLock> {
        self.token.check()
    }

    /// What a child needs in order to check this lock.
    pub fn token(&self) -> &LockToken {
        &self.token
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beating) = self.beating.take() {
            let _ = beating.join();
        }
        // Only reading tells whether it is ours to remove; what goes wrong leaves a stale lock.
        let ours = |found: &[u8]| Owner::read(found).token == self.token.token;
        let _ = file::withdraw(&self.token.path, &self.token.token, ours);
    }
}

impl LockToken {
    /// Whether this lock still stands.
    ///
    /// # Errors
    /// When it was taken over, removed, or cannot be read.
    pub fn check(&self) -> Result<(), LostLock> {
        let lost = |why: String| LostLock { path: self.path.clone(), why };
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            match file::look(&self.path) {
                Ok(Some(found)) => {
                    let owner = Owner::read(&found);
                    if owner.token == self.token {
                        return Ok(());
                    }
                    if owner.is_known() {
                        return Err(lost(format!("taken over by {owner}")));
                    }
                }
                Ok(None) => {}
                Err(error) => return Err(lost(format!("it cannot be read: {error}"))),
            }
        }
        Err(lost("it was removed or damaged".into()))
    }
}

/// Returns when what was seen is stale.
fn judge(
    path: &Path,
    seen: &[u8],
    me: &Owner,
    patience: &LockTiming,
    waiting: &mut dyn FnMut(&Owner),
) -> Result<(), LockError> {
    let owner = Owner::read(seen);
    let held = |owner| Err(LockError::Held { path: path.into(), owner: Box::new(owner) });
    match owner.life(me) {
        Life::Over => return Ok(()),
        Life::Lasts => return held(owner),
        Life::Unknown => waiting(&owner),
    }
    let since = Instant::now();
    while since.elapsed() < patience.watch {
        std::thread::sleep((patience.watch / 40).min(Duration::from_millis(500)));
        match file::look(path).map_err(|source| LockError::Io { path: path.into(), source })? {
            Some(found) if found == seen => {}
            // Whoever moved it is alive.
            Some(found) => return held(Owner::read(&found)),
            // Released; what stood there cannot be withdrawn any more, so the caller tries anew.
            None => return Ok(()),
        }
    }
    Ok(())
}
