//! Being told to stop.

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a signal asked this process to stop at the next checkpoint.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Work was left at a point from which it can go on.
#[derive(Debug)]
pub struct Stopped;

impl Stop {
    /// Listens to SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 from now on. The first one is noted; any
    /// further one ends the process at once.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
            // In this order: what the first signal sets is what the second one finds.
            flag::register_conditional_shutdown(signal, 128 + signal, stop.0.clone())?;
            flag::register(signal, stop.0.clone())?;
        }
        Ok(stop)
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
