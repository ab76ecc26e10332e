//! How far the processor runs ahead of a GPU.

use std::time::{Duration, Instant};

/// Most updates between two waits.
const MOST: u64 = 50;
/// Work that the GPU may have to do before a stop or a checkpoint can be obeyed.
const AHEAD: Duration = Duration::from_millis(250);

/// Decides after which updates the processor waits for a GPU, which runs work as it is submitted. A wait at every
/// update would leave the GPU idle in between.
pub struct Pace {
    /// Step and time of the last wait.
    last: (u64, Instant),
    /// Step after which the next wait is due.
    next: u64,
}

impl Pace {
    /// Waits after the update that follows `step` others, and adapts from then on.
    pub fn new(step: u64) -> Self {
        Self { last: (step, Instant::now()), next: step + 1 }
    }

    /// Whether to wait after `step` updates.
    pub fn is_due(&self, step: u64) -> bool {
        step >= self.next
    }

    /// Notes that all updates up to `step` are done.
    pub fn waited(&mut self, step: u64) {
        self.waited_at(step, Instant::now());
    }

    fn waited_at(&mut self, step: u64, now: Instant) {
        let (last, then) = self.last;
        let updates = step.saturating_sub(last).max(1);
        let seconds = now.duration_since(then).as_secs_f64() / updates as f64;
        let ahead = (AHEAD.as_secs_f64() / seconds) as u64;
        // At most twice as many as before, since the first updates after a pause may be quick or slow.
        self.next = step + ahead.clamp(1, MOST.min(2 * updates));
        self.last = (step, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of waits in 400 updates of this many milliseconds.
    fn waits(milliseconds: f64) -> Vec<u64> {
        let mut pace = Pace::new(0);
        let begun = pace.last.1;
        let mut found = Vec::new();
        for step in 1..=400 {
            if pace.is_due(step) {
                let after = Duration::from_secs_f64(step as f64 * milliseconds / 1000.0);
                pace.waited_at(step, begun + after);
                found.push(step);
            }
        }
        found
    }

    #[test]
    fn waits_become_rare_where_updates_are_quick() {
        assert_eq!(waits(0.5)[..8], [1, 3, 7, 15, 31, 63, 113, 163]);
        assert_eq!(waits(50.0)[..4], [1, 3, 7, 12]);
        assert_eq!(waits(1000.0), (1..=400).collect::<Vec<u64>>());
    }
}
