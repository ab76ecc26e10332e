//! What becomes of a run that failed, and of the runs after it. The batch is never changed: that
//! would be another experiment.

use fathom_record::State;

/// One more attempt at a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    /// Seconds before it.
    pub pause: u32,
    /// Whether nothing else may run on its device meanwhile.
    pub alone: bool,
    /// Whether it should be on another device where there is one.
    pub elsewhere: bool,
}

/// What a failure says about other runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing.
    ThisRun,
    /// No failure: the device works.
    Well,
    /// Those with the same data would fail likewise.
    SameData,
    /// All would fail likewise.
    AllRuns,
    /// The device may be what failed.
    Device,
}

/// Whether a run is tried again that failed for the `failures`-th time in this sweep.
pub(super) fn retry(state: State, signal: Option<i32>, failures: u32) -> Option<Retry> {
    let most = match state {
        State::OutOfMemory | State::LostDevice => 2,
        State::Killed => 3,
        _ => 0,
    };
    // The system kills for want of memory by SIGKILL; once may be somebody's hand.
    let is_short_of_memory = state == State::OutOfMemory
        || (state == State::Killed && signal == Some(libc::SIGKILL) && failures >= 2);
    (failures <= most).then(|| Retry {
        pause: 1 << (failures.max(1) - 1),
        alone: is_short_of_memory,
        elsewhere: state == State::LostDevice,
    })
}

/// How far a failure reaches.
pub(super) fn reach(state: State) -> Reach {
    match state {
        State::Disk => Reach::AllRuns,
        State::BadData => Reach::SameData,
        State::OutOfMemory | State::Killed | State::LostDevice => Reach::Device,
        State::Done | State::Diverged => Reach::Well,
        State::Pending | State::Interrupted | State::Failed => Reach::ThisRun,
    }
}

/// A signal that ended a worker, for people.
pub(super) fn in_words(signal: i32) -> String {
    let why = match signal {
        libc::SIGKILL => ", as the system does when memory runs out",
        libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE => ", a fault in its libraries",
        libc::SIGABRT => ", by which a library gives up: see log.txt",
        _ => "",
    };
    format!("killed by signal {signal}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State, signal: Option<i32>) -> Vec<(u32, bool, bool)> {
        (1..9)
            .map_while(|failures| retry(state, signal, failures))
            .map(|retry| (retry.pause, retry.alone, retry.elsewhere))
            .collect()
    }

    #[test]
    fn the_table_of_retries() {
        let kill = Some(libc::SIGKILL);
        assert_eq!(row(State::OutOfMemory, None), [(1, true, false), (2, true, false)]);
        assert_eq!(
            row(State::Killed, kill),
            [(1, false, false), (2, true, false), (4, true, false)]
        );
        let fault = row(State::Killed, Some(libc::SIGSEGV));
        assert_eq!(fault, [(1, false, false), (2, false, false), (4, false, false)]);
        assert_eq!(row(State::LostDevice, None), [(1, false, true), (2, false, true)]);
        use State::{BadData, Disk, Diverged, Done, Failed, Interrupted};
        for state in [BadData, Disk, Diverged, Done, Failed, Interrupted] {
            assert_eq!(row(state, None), []);
        }
    }

    #[test]
    fn a_kill_for_want_of_memory_says_so() {
        let words = "killed by signal 9, as the system does when memory runs out";
        assert_eq!(in_words(libc::SIGKILL), words);
        assert_eq!(in_words(libc::SIGTERM), "killed by signal 15");
    }
}
