//! Signals to `fathom run` become words to its [`Shutdown`].

use super::{Shutdown, SignalEffect};
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::sync::Arc;

/// Listens from now on, in a thread of its own; `tell` hears what each signal came to. One that is
/// ignored stays ignored: `nohup` and shells in scripts mean it so.
///
/// # Errors
/// When the system refuses.
pub fn listen(control: Arc<Shutdown>, tell: impl Fn(SignalEffect) + Send + 'static) -> Result<()> {
    let ours = [SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP];
    let mut signals = Signals::new(ours.into_iter().filter(|signal| !is_ignored(*signal)))
        .context("cannot listen to signals")?;
    let pass_on = move || {
        for signal in signals.forever() {
            let told = control.signal(signal);
            if told == SignalEffect::Leave {
                std::process::exit(128 + signal);
            }
            tell(told);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(pass_on)?;
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: with no new action, sigaction only writes the present one into `old`, for which all
    // zeros are valid.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}
