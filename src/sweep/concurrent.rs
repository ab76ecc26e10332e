//! Several workers at the same time.

use anyhow::{Result, anyhow};

/// Calls `ask` with each index below `count` (at least once), every call in a thread of its own, and
/// returns the answers in order. The workers share cores, caches and memory as concurrent runs do.
///
/// # Errors
/// The first error, after all calls have returned.
pub fn concurrently<A: Send>(
    count: usize,
    ask: impl Fn(usize) -> Result<A> + Sync,
) -> Result<Vec<A>> {
    let ask = &ask;
    let answers: Vec<Result<A>> = std::thread::scope(|scope| {
        let started: Vec<_> =
            (0..count.max(1)).map(|copy| scope.spawn(move || ask(copy))).collect();
        let panicked = || Err(anyhow!("a measuring thread panicked"));
        started.into_iter().map(|copy| copy.join().unwrap_or_else(|_| panicked())).collect()
    });
    answers.into_iter().collect()
}
