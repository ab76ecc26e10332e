//! Stopping: one word for all slots and workers.
//!
//! The first signal asks every worker to finish its step and write a checkpoint; the second kills
//! them. Signals that follow at once are echoes of the first: a terminal that closes, a shell and
//! a batch system each send their own.

use super::locked;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Signals this close behind the first count as the same.
const ECHO: Duration = Duration::from_millis(300);

/// Shared by the slots of a sweep, its workers and whoever stops it.
#[derive(Debug, Default)]
pub struct Shutdown(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether no run begins any more and workers were told to stop.
    stopping: bool,
    first: Option<Instant>,
    /// The signal at which workers were killed.
    killed_by: Option<i32>,
    /// Processes that run.
    children: BTreeSet<u32>,
}

/// What a signal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEffect {
    /// The first: so many workers were told to stop.
    Stop(usize),
    /// An echo of the first: nothing.
    Echo,
    /// The second: so many workers were killed.
    Kill(usize),
    /// One more: whoever sends it wants out at once.
    Leave,
}

impl Shutdown {
    /// Nothing is to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// A signal arrived.
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

    /// Stops without a signal: this process may not write here any more.
    pub fn stop(&self) {
        locked(&self.0).stop();
    }

    /// Whether no run may begin any more.
    pub fn is_stopping(&self) -> bool {
        locked(&self.0).stopping
    }

    /// The signal at which the workers were killed.
    pub fn killed_by(&self) -> Option<i32> {
        locked(&self.0).killed_by
    }

    /// Passes on to this process what arrives, and what has arrived before, until the result is
    /// dropped. That must be before the process is waited for: its number may then be another's.
    pub fn child(&self, pid: u32) -> Child<'_> {
        let mut inner = locked(&self.0);
        inner.children.insert(pid);
        if inner.killed_by.is_some() {
            send(pid, libc::SIGKILL);
        } else if inner.stopping {
            send(pid, libc::SIGTERM);
        }
        Child { control: self, pid }
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

/// A worker that hears of signals.
#[derive(Debug)]
pub struct Child<'a> {
    control: &'a Shutdown,
    pid: u32,
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        locked(&self.control.0).children.remove(&self.pid);
    }
}

fn send(pid: u32, signal: i32) {
    if let Ok(pid) = libc::pid_t::try_from(pid)
        && pid > 0
    {
        // SAFETY: sends a signal to a child that was not waited for, so the number is still its.
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
        let control = Shutdown::new();
        assert!(!control.is_stopping());
        let mut first = sleeper();
        let told = control.child(first.id());
        let now = Instant::now();
        assert_eq!(control.signal_at(libc::SIGINT, now), SignalEffect::Stop(1));
        assert_eq!(control.signal_at(libc::SIGHUP, now + ECHO / 2), SignalEffect::Echo);
        assert!(control.is_stopping() && control.killed_by().is_none());
        drop(told);
        assert_eq!(first.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(control.signal_at(libc::SIGINT, now + ECHO), SignalEffect::Kill(0));
        assert_eq!(control.killed_by(), Some(libc::SIGINT));
        assert_eq!(control.signal_at(libc::SIGINT, now + 2 * ECHO), SignalEffect::Leave);
    }

    #[test]
    fn a_worker_that_begins_late_hears_of_it_too() {
        for (signals, signal) in [(1, libc::SIGTERM), (2, libc::SIGKILL)] {
            let control = Shutdown::new();
            for count in 0..signals {
                control.signal_at(libc::SIGINT, Instant::now() + count * ECHO);
            }
            let mut late = sleeper();
            drop(control.child(late.id()));
            assert_eq!(late.wait().unwrap().signal(), Some(signal));
        }
    }
}
