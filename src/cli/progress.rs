//! Progress of a sweep: bars on a terminal, one line per evaluation elsewhere.

use super::stderr::log;
use anyhow::Result;
use fathom_protocol::Event;
use fathom_record::{State, Status, SweepDir};
use fathom_spec::Run;
use fathom_sweep::{Observer, unfinished};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Multiply-adds per unit of the total bar, so that its numbers stay far from overflowing.
const UNIT: u64 = 1 << 10;

/// Progress of a sweep, as an observer of it.
pub struct Progress {
    /// The bars, on a terminal.
    bars: Option<MultiProgress>,
    /// Work of all runs.
    total: ProgressBar,
    /// Bars of the runs in progress, by run id.
    runs: Mutex<HashMap<String, ProgressBar>>,
    /// Number of all runs.
    count: usize,
    /// Number of finished runs.
    finished: Mutex<usize>,
    /// Ids of runs that another process was reported to hold.
    waiting: Mutex<HashSet<String>>,
    /// The remarks on runs that were logged in full.
    remarks: Mutex<HashSet<String>>,
}

impl Progress {
    /// Progress of the unfinished runs, when the states of all are counted in `before`.
    ///
    /// # Errors
    /// When a status is damaged.
    pub fn new(runs: &[Run], before: &BTreeMap<State, usize>, dir: &SweepDir) -> Result<Self> {
        let done = before.iter().filter(|(state, _)| state.is_final()).map(|(_, n)| n).sum();
        let left: u64 = unfinished(runs, dir)?
            .iter()
            .map(|run| per_step(run) * run.settings.training.iterations)
            .sum();
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        let total = match &bars {
            Some(bars) => bars.add(ProgressBar::new(left.max(1))),
            None => ProgressBar::hidden(),
        };
        total.set_style(style("{prefix:>24} {wide_bar} {percent:>3}% {elapsed} left {eta}"));
        total.set_prefix(format!("{done} of {} runs", runs.len()));
        Ok(Self {
            bars,
            total,
            runs: Mutex::default(),
            count: runs.len(),
            finished: Mutex::new(done),
            waiting: Mutex::default(),
            remarks: Mutex::default(),
        })
    }

    /// Removes the bars.
    pub fn close(&self) {
        self.total.finish_and_clear();
    }

    /// Writes a line above the bars.
    pub fn log(&self, line: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(line)),
            None => log(line),
        }
    }

    /// A remark in full, or its first line if another run had the same one.
    fn shortened<'a>(&self, text: &'a str) -> &'a str {
        let is_new = self.remarks.lock().is_ok_and(|mut known| known.insert(text.to_owned()));
        if is_new { text } else { text.lines().next().unwrap_or_default() }
    }

    /// Removes the bar of a run.
    fn drop_bar(&self, run: &Run) {
        if let Ok(mut runs) = self.runs.lock()
            && let Some(bar) = runs.remove(&run.id)
        {
            bar.finish_and_clear();
        }
    }

    /// Removes the bar of a failed attempt and subtracts its work from the total: the next attempt
    /// starts a new bar.
    fn discard_attempt(&self, run: &Run) {
        if let Some(bar) = self.bar(run) {
            self.total.dec(bar.position() * per_step(run));
        }
        self.drop_bar(run);
    }

    fn bar(&self, run: &Run) -> Option<ProgressBar> {
        self.runs.lock().ok()?.get(&run.id).cloned()
    }

    /// Moves the bar of a run to `step`, and the total by the same work.
    fn advance(&self, run: &Run, step: u64) {
        if let Some(bar) = self.bar(run) {
            self.total.inc(step.saturating_sub(bar.position()) * per_step(run));
            bar.set_position(step);
        }
    }
}

/// Progress of decoding images: a bar on a terminal, a line every few seconds elsewhere.
pub struct Decoding {
    bar: ProgressBar,
    is_terminal: bool,
    /// Time of the last line.
    last: Mutex<Instant>,
}

/// Time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

impl Decoding {
    /// Progress that shows nothing before the first update.
    pub fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        bar.set_style(style("decoding images {wide_bar} {pos}/{len} left {eta}"));
        Self { bar, is_terminal, last: Mutex::new(Instant::now()) }
    }

    /// Shows that `done` of `all` images are decoded.
    pub fn update(&self, done: usize, all: usize) {
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
        if let Ok(mut last) = self.last.lock()
            && !self.is_terminal
            && last.elapsed() >= LINE_INTERVAL
        {
            *last = Instant::now();
            log(format!("decoding images: {done} of {all}"));
        }
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Units of the total bar for one update of a run; at least one, so that the bar moves for the smallest net too.
fn per_step(run: &Run) -> u64 {
    units(run.work(), run.settings.training.iterations)
}

fn units(work: u64, iterations: u64) -> u64 {
    (work / iterations.max(1)).div_ceil(UNIT).max(1)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

fn pct(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.2}%"))
}

impl Observer for Progress {
    fn started(&self, run: &Run) {
        let bar = match &self.bars {
            Some(bars) => {
                bars.insert_from_back(1, ProgressBar::new(run.settings.training.iterations))
            }
            None => ProgressBar::hidden(),
        };
        bar.set_style(style("{prefix:>24} {wide_bar} {pos}/{len} {msg}"));
        bar.set_prefix(run.id.rsplit_once('-').map_or(run.id.clone(), |(name, _)| name.into()));
        if let Ok(mut runs) = self.runs.lock() {
            runs.insert(run.id.clone(), bar);
        }
    }

    fn event(&self, run: &Run, event: &Event) {
        match event {
            Event::Progress { step } => self.advance(run, *step),
            Event::Row { step, train_err_pct, test_err_pct } => {
                let errors = format!("train {} test {}", pct(*train_err_pct), pct(*test_err_pct));
                if self.bars.is_none() {
                    let of = run.settings.training.iterations;
                    self.log(&format!("{} step {step}/{of} {errors}", run.id));
                }
                if let Some(bar) = self.bar(run) {
                    bar.set_message(errors);
                }
                self.advance(run, *step);
            }
            Event::Remark { text } => self.log(&format!("{}: {}", run.id, self.shortened(text))),
            Event::Resumed { step } => {
                self.log(&format!("{} resumes from step {step}", run.id));
                self.advance(run, *step);
            }
            Event::Ended | Event::Ready | Event::Failed { .. } => {}
        }
    }

    fn finished(&self, run: &Run, status: &Status) {
        // The remaining work of a failed run will not be done; that of an interrupted one may be.
        if status.state != State::Interrupted {
            self.advance(run, run.settings.training.iterations);
        }
        self.drop_bar(run);
        if let Ok(mut finished) = self.finished.lock() {
            *finished += 1;
            self.total.set_prefix(format!("{finished} of {} runs", self.count));
        }
        if status.state != State::Done || status.step < run.settings.training.iterations {
            self.log(&format!("{} {}: {}", run.id, status.state, status.message));
        }
    }

    fn retrying(&self, run: &Run, status: &Status, attempt: u32, after: Duration) {
        self.discard_attempt(run);
        let seconds = after.as_secs_f64();
        let Status { state, message, .. } = status;
        self.log(&format!("{} {state}: {message}; attempt {attempt} in {seconds} s", run.id));
    }

    fn held(&self, run: &Run, holder: &str, again: bool) {
        self.discard_attempt(run);
        // The reason why a run waits is reported once.
        let is_new = self.waiting.lock().is_ok_and(|mut runs| runs.insert(run.id.clone()));
        if is_new || !again {
            let next = if again { "waiting for it" } else { "left to it" };
            self.log(&format!("{} held: {holder}; {next}", run.id));
        }
    }

    fn remark(&self, text: &str) {
        self.log(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_moves_with_each_update_of_the_smallest_net_too() {
        assert_eq!((units(10 * UNIT, 10), units(500, 10), units(0, 0)), (1, 1, 1));
        assert_eq!(units(u64::MAX, 1), 1 << 54);
    }
}
