//! Stopping a sweep: one state that all slots and workers share.
//!
//! The first signal asks every worker to finish its step and write a checkpoint; the second one kills
//! the workers. Signals that follow the first one at once are ignored: a terminal that closes, a shell
//! and a batch system each send their own.

use super::locked;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Signals this soon after the first one count as the same.
const ECHO: Duration = Duration::from_millis(300);

/// Whether and how a sweep stops. Shared by its slots, its workers and the signal handler.
#[derive(Debug, Default)]
pub struct Shutdown(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether no further run begins and the workers were asked to stop.
    stopping: bool,
    /// Time of the first signal.
    first: Option<Instant>,
    /// The signal upon which the workers were killed.
    killed_by: Option<i32>,
    /// Process ids of the workers.
    children: BTreeSet<u32>,
}

/// Effect of a signal on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEffect {
    /// The first signal: this many workers were asked to stop.
    Stop(usize),
    /// A signal right after the first one: no effect.
    Echo,
    /// The second signal: this many workers were killed.
    Kill(usize),
    /// A further signal: the program exits at once.
    Leave,
}

impl Shutdown {
    /// A sweep that is not stopping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles a signal and returns its effect.
    pub fn signal(&self, signal: i32) -> SignalEffect {
        self.signal_at(signal, Instant::now())
    }

    pub(super) fn signal_at(&self, signal: i32, now: Instant) -> SignalEffect {
        let mut inner = locked(&self.0);
        let Some(first) = inner.first else {
            inner.first = Some(now);
            inner.stop();
            return SignalEffect::Stop(inner.children.len());
        };
        if now.saturating_duration_since(first) < ECHO {
            return SignalEffect::Echo;
        }
        if inner.killed_by.is_some() {
            return SignalEffect::Leave;
        }
        inner.killed_by = Some(signal);
        inner.children.iter().for_each(|child| send(*child, libc::SIGKILL));
        SignalEffect::Kill(inner.children.len())
    }

    /// Stops the sweep without a signal, as the first signal would.
    pub fn stop(&self) {
        locked(&self.0).stop();
    }

    /// Stops the sweep after this time, and calls `on_stop` when it does.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stop_after(
        self: &Arc<Self>,
        time: Duration,
        on_stop: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let shutdown = Arc::clone(self);
        std::thread::Builder::new().name("time-limit".into()).spawn(move || {
            std::thread::sleep(time);
            on_stop();
            shutdown.stop();
        })?;
        Ok(())
    }

    /// Whether the sweep is stopping, so that no further run may begin.
    pub fn is_stopping(&self) -> bool {
        locked(&self.0).stopping
    }

    /// The signal upon which the workers were killed, if they were.
    pub fn killed_by(&self) -> Option<i32> {
        locked(&self.0).killed_by
    }

    /// Forwards signals that arrive, and those that have arrived before, to a worker process until the
    /// result is dropped. Drop it before the process is waited for: afterwards another process may
    /// have the same id.
    pub fn child(&self, pid: u32) -> Child<'_> {
        let mut inner = locked(&self.0);
        inner.children.insert(pid);
        if inner.killed_by.is_some() {
            send(pid, libc::SIGKILL);
        } else if inner.stopping {
            send(pid, libc::SIGTERM);
        }
        Child { shutdown: self, pid }
    }
}

impl Inner {
    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.children.iter().for_each(|child| send(*child, libc::SIGTERM));
        }
    }
}

/// A worker process to which signals are forwarded.
#[derive(Debug)]
pub struct Child<'a> {
    shutdown: &'a Shutdown,
    pid: u32,
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        locked(&self.shutdown.0).children.remove(&self.pid);
    }
}

fn send(pid: u32, signal: i32) {
    if let Ok(pid) = libc::pid_t::try_from(pid)
        && pid > 0
    {
        // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
        unsafe { libc::kill(pid, signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child as Process, Command};

    fn sleeper() -> Process {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn the_first_signal_stops_an_echo_does_nothing_and_the_second_kills() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_stopping());
        let mut first = sleeper();
        let forwarding = shutdown.child(first.id());
        let now = Instant::now();
        assert_eq!(shutdown.signal_at(libc::SIGINT, now), SignalEffect::Stop(1));
        assert_eq!(shutdown.signal_at(libc::SIGHUP, now + ECHO / 2), SignalEffect::Echo);
        assert!(shutdown.is_stopping() && shutdown.killed_by().is_none());
        drop(forwarding);
        assert_eq!(first.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(shutdown.signal_at(libc::SIGINT, now + ECHO), SignalEffect::Kill(0));
        assert_eq!(shutdown.killed_by(), Some(libc::SIGINT));
        assert_eq!(shutdown.signal_at(libc::SIGINT, now + 2 * ECHO), SignalEffect::Leave);
    }

    #[test]
    fn a_worker_that_begins_after_a_signal_receives_it_too() {
        for (signals, signal) in [(1, libc::SIGTERM), (2, libc::SIGKILL)] {
            let shutdown = Shutdown::new();
            for count in 0..signals {
                shutdown.signal_at(libc::SIGINT, Instant::now() + count * ECHO);
            }
            let mut late = sleeper();
            drop(shutdown.child(late.id()));
            assert_eq!(late.wait().unwrap().signal(), Some(signal));
        }
    }
}
