//! Being told to stop.

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Signals that follow the first one so closely are its echo: a batch system sends its own to every
/// process, and the supervisor passes on the one that it got.
const ECHO: Duration = Duration::from_millis(300);

/// Whether a signal asked this process to stop at the next checkpoint.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// Work was left at a point from which it can go on.
#[derive(Debug)]
pub struct Stopped;

impl Interrupt {
    /// Listens to SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 from now on. The first one is noted; any
    /// later one ends the process at once.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
        let asked = stop.0.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                let first = *first.get_or_insert_with(Instant::now);
                if asked.swap(true, Ordering::Relaxed) && first.elapsed() > ECHO {
                    // SAFETY: it only ends the process; what is on the disk is whole at any moment.
                    unsafe { libc::_exit(128 + signal) };
                }
            }
        })?;
        Ok(stop)
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
