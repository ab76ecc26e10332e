//! The same question to several workers at once.

use anyhow::{Result, anyhow};

/// The answers of so many copies, at least one, asked at the same time, each by its number: they
/// share cores, caches and memory, as runs side by side do.
///
/// # Errors
/// That of the first copy which fails, when all have ended.
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
