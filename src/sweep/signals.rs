//! Signal handling of `fathom run`: every signal is passed to a [`Shutdown`].

use super::{Shutdown, SignalEffect};
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::sync::Arc;

/// Passes signals to `shutdown` from now on, in a thread of its own, and calls `on_signal` with the
/// effect of each. A signal that is ignored stays ignored, as `nohup` and shells in scripts intend.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn listen(
    shutdown: Arc<Shutdown>,
    on_signal: impl Fn(SignalEffect) + Send + 'static,
) -> Result<()> {
    let ours = [SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP];
    let mut signals = Signals::new(ours.into_iter().filter(|signal| !is_ignored(*signal)))
        .context("cannot listen to signals")?;
    let forward = move || {
        for signal in signals.forever() {
            let effect = shutdown.signal(signal);
            if effect == SignalEffect::Leave {
                std::process::exit(128 + signal);
            }
            on_signal(effect);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(forward)?;
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: without a new action, sigaction only writes the current one into `old`, for which all
    // zeros are valid.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}
