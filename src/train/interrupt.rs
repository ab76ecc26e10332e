//! Signals that ask the worker to stop.

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time after the first signal in which further signals are ignored: a batch system sends its signal
/// to every process, and the supervisor forwards the one that it received.
const ECHO: Duration = Duration::from_millis(300);

/// The stop flag of this process, which a signal sets. Clones share the flag; the default one is
/// never set.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// An evaluation ended early because of the stop flag.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub struct Stopped;

impl Interrupt {
    /// Handles SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 from now on: the first signal sets the flag, any
    /// later one ends the process immediately.
    ///
    /// # Errors
    /// If the signal handlers or their thread cannot be set up.
    pub fn on_signals() -> Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
        let flag = interrupt.0.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                let first = *first.get_or_insert_with(Instant::now);
                if flag.swap(true, Ordering::Relaxed) && first.elapsed() > ECHO {
                    // SAFETY: _exit only ends the process; files are complete at any moment, as they
                    // are renamed into place.
                    unsafe { libc::_exit(128 + signal) };
                }
            }
        })?;
        Ok(interrupt)
    }

    /// Whether a signal asked the process to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
