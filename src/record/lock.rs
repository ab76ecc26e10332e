//! Lock files for file systems that several machines share, on which `flock` is unreliable.
//!
//! A sweep locks its results directory while it plans or supervises (`sweep.lock`), and a run its own
//! directory while it trains (`run.lock`). The file names the holder ([`Owner`]) with a random token and
//! a counter that the holder increments every few seconds.
//!
//! **Acquiring.** The file is written under a temporary name and gets its name by a hard link, which
//! fails if the name exists; without hard links, by exclusive creation.
//!
//! **Stale locks.** Clocks of two machines are never compared.
//! - Same host, boot and pid namespace: the process is looked up. If it has ended, or another process
//!   has its pid by now (with another start time), the lock is stale.
//! - Same host, other boot: the machine was rebooted, so the lock is stale. As two machines with one
//!   name would break this rule, nameless hosts and `localhost` count as other hosts; containers on
//!   several machines need different host names.
//! - Otherwise (another host, another container, whose pids have no meaning here, or an unreadable
//!   file) the file is watched for [`LockTiming::watch`] on the observer's monotonic clock. The lock is
//!   held as soon as the file changes, and stale if it does not.
//!
//! **Taking over.** The stale file is read once more, renamed to a name that only this process uses,
//! and read again. If its content is not the one that was found stale (another process was faster, or
//! the holder resumed), it is linked back. So exactly one of two processes wins.
//!
//! **Remaining risk.** The holder may have been suspended instead of ended. A renewal never restores
//! its lock: the counter is written into the file with its token, under whatever name, and no file is
//! replaced. But the holder must call [`Lock::check`] before it renames a file into place, and it can
//! be suspended again between the two: then one rename succeeds without a lock. A shared file system
//! cannot prevent this, so every file that is written under a lock is complete and correct for its
//! configuration whoever wrote it. And in the microseconds between a mistaken renaming and linking back,
//! or for longer if the process ends there, a third process finds the name free; then the renamed lock
//! is lost, which `check` reports to its holder. Two processes never pass `check` for long.

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

/// Durations of renewing and watching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockTiming {
    /// Time without a change after which the lock of another host is stale.
    pub watch: Duration,
    /// Time between two renewals; `watch` must be several times as long.
    pub beat: Duration,
}

impl Default for LockTiming {
    fn default() -> Self {
        Self { watch: Duration::from_secs(20), beat: Duration::from_secs(5) }
    }
}

/// The reason why a lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{} is held by {owner}: wait until it ends or stop it; if there is no such process \
         anywhere, remove that file",
        path.display()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it.
        owner: Box<Owner>,
    },
    /// The file system failed.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
}

/// The lock file is no longer that of the lock which was acquired: nothing more may be written under it.
#[derive(Debug, thiserror::Error)]
#[error("the lock {} is lost, nothing more is written under it: {reason}", path.display())]
pub struct LostLock {
    /// The lock file.
    pub path: PathBuf,
    reason: String,
}

/// A lock that was acquired.
#[derive(Debug)]
pub struct Acquired {
    /// The lock.
    pub lock: Lock,
    /// The owner of the stale lock that was taken over, if there was one.
    pub taken_over: Option<Owner>,
}

/// A lock that is held until it is dropped. A process that ends without dropping it leaves a stale lock,
/// which others take over.
#[derive(Debug)]
pub struct Lock {
    token: LockToken,
    /// The thread that renews the lock ends when this is dropped.
    stop: Option<Sender<()>>,
    beating: Option<JoinHandle<()>>,
}

/// The identity of a lock, with which a child process can check the lock of its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockToken {
    /// The lock file.
    pub path: PathBuf,
    /// The token that the file must have.
    pub token: String,
}

/// Number of reads after which a missing file counts as removed. A process that renamed it by mistake
/// links it back meanwhile.
const READS: u32 = 10;
const BETWEEN_READS: Duration = Duration::from_millis(30);

/// Number of attempts while the name exists and cannot be read, as with a dangling link.
const ROUNDS: u32 = 200;

impl Lock {
    /// Acquires the lock. It waits only to find out whether the lock of another host is stale. `activity`
    /// is shown to processes that are refused, such as `fathom run`.
    ///
    /// # Errors
    /// [`LockError::Held`] if any process holds it, including this one.
    pub fn acquire(
        path: &Path,
        activity: &str,
        timing: &LockTiming,
    ) -> Result<Acquired, LockError> {
        Self::acquire_with(path, activity, timing, &mut |_| {})
    }

    /// [`Lock::acquire`] with a callback that gets the owner of a lock before it is watched.
    ///
    /// # Errors
    /// The errors of [`Lock::acquire`].
    pub fn acquire_with(
        path: &Path,
        activity: &str,
        timing: &LockTiming,
        waiting: &mut dyn FnMut(&Owner),
    ) -> Result<Acquired, LockError> {
        let failed = |source| LockError::Io { path: path.into(), source };
        let me = Owner::here(activity).map_err(failed)?;
        let mut taken_over = None;
        for _ in 0..ROUNDS {
            if file::place(path, &me).map_err(failed)? {
                let token = LockToken { path: path.into(), token: me.token.clone() };
                let lock = Self::beating(token, me, timing.beat).map_err(failed)?;
                return Ok(Acquired { lock, taken_over });
            }
            let Some(seen) = file::look(path).map_err(failed)? else {
                // It was removed in the meantime, or is about to be linked back.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            wait_until_stale(path, &seen, &me, timing, waiting)?;
            match file::withdraw(path, &me.token, |found| found == seen).map_err(failed)? {
                Withdrawn::Yes => taken_over = Some(Owner::read(&seen)),
                Withdrawn::No => {}
            }
        }
        Err(failed(std::io::Error::other("the file exists and cannot be read, as a dangling link")))
    }

    /// Starts the thread that renews a lock whose file was created.
    fn beating(token: LockToken, mut me: Owner, every: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let watched = token.clone();
        let beat = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                me.beat += 1;
                // The lock is not lost while the disk is full or unavailable.
                let renewed = file::renew(&watched.path, &me);
                if matches!(renewed, Ok(false)) && watched.check().is_err() {
                    break;
                }
            }
        };
        // If the thread cannot be started, the lock is dropped, which removes its file.
        let mut lock = Self { token, stop: Some(stop), beating: None };
        lock.beating = Some(std::thread::Builder::new().name("lock".into()).spawn(beat)?);
        Ok(lock)
    }

    /// Checks that the lock is still held. To be called before every rename into place.
    ///
    /// # Errors
    /// When the lock was taken over or removed, or its file cannot be read.
    pub fn check(&self) -> Result<(), LostLock> {
        self.token.check()
    }

    /// The token with which a child process can check this lock.
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
        // The file is removed only if it has this token. A failure leaves a stale lock.
        let ours = |found: &[u8]| Owner::read(found).token == self.token.token;
        let _ = file::withdraw(&self.token.path, &self.token.token, ours);
    }
}

impl LockToken {
    /// Checks that the lock is still held.
    ///
    /// # Errors
    /// When the lock was taken over or removed, or its file cannot be read.
    pub fn check(&self) -> Result<(), LostLock> {
        let lost = |reason: String| LostLock { path: self.path.clone(), reason };
        for read in 0..READS {
            if read > 0 {
                std::thread::sleep(BETWEEN_READS);
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

/// Returns when the lock with the content `seen` is stale.
fn wait_until_stale(
    path: &Path,
    seen: &[u8],
    me: &Owner,
    timing: &LockTiming,
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
    while since.elapsed() < timing.watch {
        std::thread::sleep((timing.watch / 40).min(Duration::from_millis(500)));
        match file::look(path).map_err(|source| LockError::Io { path: path.into(), source })? {
            Some(found) if found == seen => {}
            // The owner renewed it, so it runs.
            Some(found) => return held(Owner::read(&found)),
            // It was released. Its content cannot be withdrawn any more, so the caller tries again.
            None => return Ok(()),
        }
    }
    Ok(())
}
