//! Learning-rate schedules and warm-up.

use fathom_spec::{Schedule, Training, Warmup};
use std::collections::VecDeque;

/// Number of batches whose mean error ends a warm-up of kind `until-error`.
const WINDOW: usize = 50;

/// Learning rate as a function of the number of updates, with the state of the warm-up.
pub struct LrSchedule {
    training: Training,
    /// Number of wrong answers in each of the last batches, until the warm-up ends.
    recent: VecDeque<u64>,
    /// Whether a warm-up of kind `until-error` is in progress.
    warming: bool,
}

impl LrSchedule {
    /// The schedule before the first update.
    pub fn new(training: &Training) -> Self {
        let warming = matches!(training.warmup, Warmup::UntilError { .. });
        Self { training: training.clone(), recent: VecDeque::new(), warming }
    }

    /// Learning rate of the update after `done` others.
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

    /// Whether [`LrSchedule::observe`] must be called after every batch.
    pub fn is_watching(&self) -> bool {
        self.warming
    }

    /// The state that [`LrSchedule::restore`] needs: the number of wrong answers in each of the last
    /// batches; `None` if no warm-up of kind `until-error` is in progress.
    pub fn warming(&self) -> Option<Vec<u64>> {
        self.warming.then(|| self.recent.iter().copied().collect())
    }

    /// Restores the state that [`LrSchedule::warming`] returned.
    pub fn restore(&mut self, warming: Option<&Vec<u64>>) {
        self.warming = warming.is_some();
        self.recent = warming.into_iter().flatten().copied().collect();
    }

    /// Records the number of wrong answers in the last batch, which may end the warm-up.
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
    use fathom_base::rounded;
    use fathom_spec::{Decay, Optimiser, StopWhen};

    fn training(schedule: Schedule, warmup: Warmup) -> Training {
        Training {
            iterations: 100,
            batch: 10,
            optimiser: Optimiser::RmsProp { alpha: 0.9 },
            lr: 0.1,
            schedule,
            warmup,
            weight_decay: 0.0,
            clip_norm: None,
            decay: Decay::All,
            norm_batch: None,
            precision: Default::default(),
            grow: None,
            stop_when: StopWhen::default(),
            delta: None,
        }
    }

    #[test]
    fn steps_apply_after_their_update_and_the_cosine_ends_at_zero() {
        let step = Schedule::Step { at: vec![32, 48], factor: 0.1 };
        let schedule = LrSchedule::new(&training(step, Warmup::None));
        let at = |done| rounded(schedule.at(done));
        assert_eq!([at(0), at(31), at(32), at(48)], [0.1, 0.1, 0.01, 0.001]);
        let schedule = LrSchedule::new(&training(Schedule::Cosine, Warmup::None));
        assert!((schedule.at(50) - 0.05).abs() < 1e-12 && schedule.at(100).abs() < 1e-12);
    }

    #[test]
    fn warm_up_is_constant_linear_or_until_the_error_falls() {
        let constant = Warmup::Constant { lr: 0.01, iterations: 5 };
        let schedule = LrSchedule::new(&training(Schedule::Constant, constant));
        assert_eq!([schedule.at(4), schedule.at(5)], [0.01, 0.1]);
        let linear = Warmup::Linear { lr: 0.0, iterations: 10 };
        assert_eq!(LrSchedule::new(&training(Schedule::Constant, linear)).at(5), 0.05);
        let until = Warmup::UntilError { lr: 0.01, error_pct: 80.0 };
        let mut schedule = LrSchedule::new(&training(Schedule::Constant, until));
        for _ in 0..WINDOW {
            schedule.observe(9);
        }
        assert_eq!(schedule.at(50), 0.01);
        for _ in 0..WINDOW {
            schedule.observe(7);
        }
        assert_eq!(schedule.at(100), 0.1);
        schedule.observe(10);
        assert!(!schedule.is_watching(), "warm-up does not resume");
    }
}
