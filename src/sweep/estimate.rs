//! Expected time, memory and disk space of runs, from measurements of their nets.

use fathom_protocol::Measured;
use fathom_spec::{Every, Run};
use std::cmp::Reverse;

/// Expected needs of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// Peak memory in bytes.
    pub memory_bytes: u64,
    /// Size of the files of the run in bytes.
    pub disk_bytes: u64,
}

/// Approximate bytes of a row of a curve.
const ROW: u64 = 130;
/// Approximate bytes of a run's small files.
const SMALL: u64 = 6000;

/// Expected needs of `run`, from measurements of its net.
pub fn estimate(run: &Run, measured: &Measured) -> Estimate {
    let training = &run.settings.training;
    let [train, validation, test] = measured.images;
    let between = rows_between(run, train);
    let subset = run.settings.evaluate.train_images.min(train);
    // Every row evaluates the chosen training images, the validation images and the test images. The
    // first and the last row pass over their training images twice more: once to collect the
    // statistics of batch normalisation, once to evaluate with them.
    let first = 3 * subset + validation + test;
    let last = 3 * train + validation + test;
    let evaluated = between * (subset + validation + test) as f64 + (first + last) as f64;
    Estimate {
        seconds: measured.startup_seconds
            + training.iterations as f64 * measured.step_seconds
            + evaluated * measured.evaluated_image_seconds,
        memory_bytes: measured.peak_memory_bytes,
        disk_bytes: disk_bytes(run, train),
    }
}

/// Bytes of a run's files at its end, with `train` training images. During the run there may be two
/// checkpoints with the optimiser's state in addition.
pub fn disk_bytes(run: &Run, train: usize) -> u64 {
    let rows = rows_between(run, train) as u64 + 2;
    let parameters = run.audit.parameters.saturating_mul(4);
    ROW.saturating_mul(rows).saturating_add(parameters).saturating_add(SMALL)
}

/// Number of rows of the curve without the first and the last one.
fn rows_between(run: &Run, train: usize) -> f64 {
    let training = &run.settings.training;
    let every = match run.settings.evaluate.every {
        Every::Steps(steps) => steps as f64,
        Every::Epoch => train as f64 / training.batch as f64,
    };
    ((training.iterations as f64 / every).ceil() - 1.0).max(0.0)
}

/// Seconds from the start of the first run to the end of the last one, if `slots` runs train at the
/// same time and start in the order of the sweep. Each run comes with its duration in seconds.
pub fn makespan(runs: &[(&Run, f64)], slots: usize) -> f64 {
    let mut queue: Vec<&(&Run, f64)> = runs.iter().collect();
    queue.sort_by_key(|(run, _)| (run.settings.seed, Reverse(run.work())));
    let mut free = vec![0.0_f64; slots.max(1)];
    for (_, seconds) in queue {
        if let Some(slot) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *slot += seconds;
        }
    }
    free.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_spec::Experiment;

    fn runs() -> Vec<Run> {
        let text = "name = \"t\"\n[data]\nsource = \"shapes\"\ntrain = 1000\n[network]\n\
            family = \"plain\"\n[training]\niterations = 100\nbatch = 50\n[evaluate]\nevery = 25\n\
            train_images = 200\n[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1]\n";
        Experiment::parse(std::path::Path::new("t.toml"), text, &[]).unwrap().runs
    }

    #[test]
    fn every_part_of_a_run_is_counted() {
        let measured = Measured {
            startup_seconds: 1.0,
            step_seconds: 0.01,
            evaluated_image_seconds: 1e-3,
            peak_memory_bytes: 7,
            images: [1000, 0, 500],
        };
        let estimate = estimate(&runs()[0], &measured);
        // 100 updates; rows at 0 (600 + 500 images), 25, 50, 75 (200 + 500) and 100 (3000 + 500).
        let expected = 1.0 + 1.0 + (1100.0 + 3.0 * 700.0 + 3500.0) * 1e-3;
        assert!((estimate.seconds - expected).abs() < 1e-9, "{}", estimate.seconds);
        assert_eq!(estimate.memory_bytes, 7);
    }

    #[test]
    fn slots_are_filled_in_the_order_of_the_sweep() {
        let runs = runs();
        let longer = |run: &Run| if run.text("network.depth") == "14" { 5.0 } else { 2.0 };
        let times: Vec<(&Run, f64)> = runs.iter().map(|run| (run, longer(run))).collect();
        assert_eq!(makespan(&times, 1), 14.0);
        // 5 beside 2, then 5 after the 2, then 2 after the first 5.
        assert_eq!(makespan(&times, 2), 7.0);
        assert_eq!(makespan(&times, 9), 5.0);
    }
}
