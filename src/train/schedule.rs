//! The learning rate of every update.

use fathom_spec::{Schedule, Training, Warmup};
use std::collections::VecDeque;

/// Batches over which the error is averaged that ends a warm-up "until the error falls".
const WINDOW: usize = 50;

/// Position in a schedule.
pub struct LrSchedule {
    training: Training,
    /// Wrong answers in the last batches, until warm-up ends.
    recent: VecDeque<u64>,
    warming: bool,
}

impl LrSchedule {
    /// The start of this recipe.
    pub fn new(training: &Training) -> Self {
        let warming = matches!(training.warmup, Warmup::UntilError { .. });
        Self { training: training.clone(), recent: VecDeque::new(), warming }
    }

    /// LrSchedule of the update that follows `done` ones.
    pub fn at(&self, done: u64) -> f64 {
        let lr = self.training.lr;
        let scheduled = match &self.training.schedule {
            Schedule::Constant => lr,
            Schedule::Step { at, factor } => {
                lr * factor.powi(at.iter().filter(|at| **at <= done).count() as i32)
            }
            Schedule::Cosine => {
                let part = done as f64 / self.training.iterations as f64;
                lr * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * part))
            }
        };
        match self.training.warmup {
            Warmup::Constant { lr, iterations } if done < iterations => lr,
            Warmup::Linear { lr, iterations } if done < iterations => {
                lr + (scheduled - lr) * done as f64 / iterations as f64
            }
            Warmup::UntilError { lr, .. } if self.warming => lr,
            _ => scheduled,
        }
    }

    /// Whether [`LrSchedule::observe`] still has to be told of every batch.
    pub fn is_watching(&self) -> bool {
        self.warming
    }

    /// What [`LrSchedule::restore`] needs besides the number of updates; nothing when no warm-up is
    /// being watched.
    pub fn warming(&self) -> Option<Vec<u64>> {
        self.warming.then(|| self.recent.iter().copied().collect())
    }

    /// Puts the position back.
    pub fn restore(&mut self, warming: Option<&Vec<u64>>) {
        self.warming = warming.is_some();
        self.recent = warming.into_iter().flatten().copied().collect();
    }

    /// Tells of the wrong answers in the last batch.
    pub fn observe(&mut self, wrong: u64) {
        if let (true, Warmup::UntilError { error_pct, .. }) = (self.warming, self.training.warmup) {
            self.recent.push_back(wrong);
            if self.recent.len() > WINDOW {
                self.recent.pop_front();
            }
            let seen = (self.recent.len() * self.training.batch) as f64;
            let error = 100.0 * self.recent.iter().sum::<u64>() as f64 / seen;
            self.warming = self.recent.len() < WINDOW || error >= error_pct;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_spec::{Decay, Optimiser};

    fn training(schedule: Schedule, warmup: Warmup) -> Training {
        Training {
            iterations: 100,
            batch: 10,
            optimiser: Optimiser::RmsProp { alpha: 0.9 },
            lr: 0.1,
            schedule,
            warmup,
            weight_decay: 0.0,
            decay: Decay::All,
            norm_batch: None,
            precision: Default::default(),
            grow: None,
            delta: None,
        }
    }

    #[test]
    fn steps_fall_after_their_update_and_the_cosine_ends_at_zero() {
        let step = Schedule::Step { at: vec![32, 48], factor: 0.1 };
        let rate = LrSchedule::new(&training(step, Warmup::None));
        let at = |done| (rate.at(done) * 1e6).round() / 1e6;
        assert_eq!([at(0), at(31), at(32), at(48)], [0.1, 0.1, 0.01, 0.001]);
        let rate = LrSchedule::new(&training(Schedule::Cosine, Warmup::None));
        assert!((rate.at(50) - 0.05).abs() < 1e-12 && rate.at(100).abs() < 1e-12);
    }

    #[test]
    fn warm_up_is_constant_linear_or_until_the_error_falls() {
        let constant = Warmup::Constant { lr: 0.01, iterations: 5 };
        let rate = LrSchedule::new(&training(Schedule::Constant, constant));
        assert_eq!([rate.at(4), rate.at(5)], [0.01, 0.1]);
        let linear = Warmup::Linear { lr: 0.0, iterations: 10 };
        assert_eq!(LrSchedule::new(&training(Schedule::Constant, linear)).at(5), 0.05);
        let until = Warmup::UntilError { lr: 0.01, error_pct: 80.0 };
        let mut rate = LrSchedule::new(&training(Schedule::Constant, until));
        for _ in 0..WINDOW {
            rate.observe(9);
        }
        assert_eq!(rate.at(50), 0.01);
        for _ in 0..WINDOW {
            rate.observe(7);
        }
        assert_eq!(rate.at(100), 0.1);
        rate.observe(10);
        assert!(!rate.is_watching(), "warm-up does not come back");
    }
}
