//! Linear and logarithmic axes: ends, ticks and tick labels.

use super::rounding::{pixel, short_number};
use fathom_stats::Interval;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// A linear or logarithmic axis that places its own ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
    /// Numbers shown at the ticks 0, 1, 2, …; the values of the ticks if absent.
    labels: Option<Vec<f64>>,
    /// Ticks without a label.
    silent: Vec<f64>,
}

/// An axis with the title that stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TitledAxis {
    pub(super) axis: Axis,
    pub(super) title: String,
}

impl Axis {
    /// Linear axis from 0 to at least `high`, ending on a tick.
    pub(super) fn from_zero(high: f64) -> Self {
        let high = if high > 0.0 && high.is_finite() { high } else { 1.0 };
        let step = nice_step(high / 5.0);
        let count = (high / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|tick| tick as f64 * step).collect();
        Self { low: 0.0, high: count * step, log: false, ticks, labels: None, silent: Vec::new() }
    }

    /// Linear axis from 0 to exactly `high`, for iterations, which end where training ends.
    pub(super) fn up_to(high: f64) -> Self {
        let mut axis = Self::from_zero(high);
        if high > 0.0 && high.is_finite() {
            axis.high = high;
            axis.ticks.retain(|tick| *tick <= high * (1.0 + 1e-9));
        }
        axis
    }

    /// Linear axis from at most `low` to at least `high`, both ends on ticks.
    pub(super) fn between(low: f64, high: f64) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low - 1.0, low + 1.0) };
        let step = nice_step((high - low) / 5.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks = (first as i64..=last as i64).map(|tick| tick as f64 * step).collect();
        Self {
            low: first * step,
            high: last * step,
            log: false,
            ticks,
            labels: None,
            silent: Vec::new(),
        }
    }

    /// Axis of the positions 0, 1, 2, …, each with a tick that is labelled with its value, and half a
    /// position of room at both ends.
    pub(super) fn categories(values: &[f64]) -> Self {
        let ticks = (0..values.len()).map(|place| place as f64).collect();
        let high = values.len() as f64 - 0.5;
        Self {
            low: -0.5,
            high,
            log: false,
            ticks,
            labels: Some(values.to_vec()),
            silent: Vec::new(),
        }
    }

    /// Removes the ticks and their labels.
    pub(super) fn without_labels(mut self) -> Self {
        self.ticks.clear();
        self
    }

    /// The axis with the labels that `keeps` accepts by place, from 0 to 1, and text. All ticks remain.
    pub(super) fn with_labels(mut self, mut keeps: impl FnMut(f64, &str) -> bool) -> Self {
        let ticks = self.ticks.iter().zip(self.labels());
        let silent = ticks.filter(|(_, (share, label))| !keeps(*share, label));
        self.silent = silent.map(|(tick, _)| *tick).collect();
        self
    }

    /// The place of each tick, from 0 to 1, and its label.
    pub(super) fn labels(&self) -> Vec<(f64, String)> {
        self.ticks.iter().map(|tick| (self.share(*tick), self.format_ext(tick))).collect()
    }

    /// Logarithmic axis from `low` to `high`, which must be positive; other ends are replaced.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = if low > 0.0 && low.is_finite() { low } else { 1.0 };
        let high = if high > low && high.is_finite() { high } else { low * 10.0 };
        let decades = (high / low).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|d| steps.iter().map(move |s| s * 10f64.powi(d)));
        let inside = |tick: &f64| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9);
        let mut ticks: Vec<f64> = all.filter(inside).collect();
        // From fewer the scale cannot be read.
        if ticks.len() < 3 {
            let step = nice_step((high - low) / 5.0);
            let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
            ticks = (first..=last).map(|tick| tick as f64 * step).filter(inside).collect();
        }
        Self { low, high, log: true, ticks, labels: None, silent: Vec::new() }
    }

    /// Axis with a tick at each value (depths) where labels do not touch, and room at both ends. `values`
    /// are in ascending order.
    pub(super) fn at_values(values: &[f64], log: bool) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 1.0));
        let mut axis = if log && low > 0.0 {
            let room = (high / low).powf(0.12).max(1.1);
            Self {
                low: low / room,
                high: high * room,
                log,
                ticks: Vec::new(),
                labels: None,
                silent: Vec::new(),
            }
        } else {
            let room = ((high - low) * 0.12).max(1.0);
            Self {
                low: low - room,
                high: high + room,
                log: false,
                ticks: Vec::new(),
                labels: None,
                silent: Vec::new(),
            }
        };
        for &value in values {
            // Labels closer than this would touch.
            let far = |tick: &f64| axis.share(value) - axis.share(*tick) >= 0.07;
            if axis.ticks.last().is_none_or(far) {
                axis.ticks.push(value);
            }
        }
        axis
    }

    /// The axis with its title.
    pub(super) fn titled(self, title: impl Into<String>) -> TitledAxis {
        TitledAxis { axis: self, title: title.into() }
    }

    /// Upper end.
    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// Lower end.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// Whether the axis is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// Whether an interval goes on beyond the lower and beyond the upper end.
    pub(super) fn cuts(&self, interval: Interval) -> [bool; 2] {
        [interval.low < self.low, interval.high > self.high]
    }

    /// The value that is this share of the axis to the right of another.
    pub(super) fn shifted(&self, value: f64, share: f64) -> f64 {
        match self.log {
            true => value * (self.high / self.low).powf(share),
            false => value + share * (self.high - self.low),
        }
    }

    /// Position of a value between the ends, from 0 to 1. Values below a logarithmic axis are at its
    /// lower end.
    pub(super) fn share(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + pixel(self.share(*value) * f64::from(to - from))
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        if self.silent.contains(value) {
            return String::new();
        }
        let of_place = |labels: &Vec<f64>| labels.get(value.round().max(0.0) as usize).copied();
        short_number(self.labels.as_ref().and_then(of_place).unwrap_or(*value))
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is no smaller than `least`.
fn nice_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = |step: &&f64| **step * decade >= least * (1.0 - 1e-9);
    steps.iter().find(fits).unwrap_or(&10.0) * decade
}

/// Smallest and largest of the finite values, or `None` if there are none.
pub(super) fn ends(values: &[f64]) -> Option<(f64, f64)> {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.fold(None, |ends, &value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_start_at_zero_and_end_on_a_round_number() {
        let axis = Axis::from_zero(48.7);
        assert_eq!((axis.low, axis.high), (0.0, 50.0));
        assert_eq!(axis.ticks, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(Axis::up_to(64000.0).ticks, [0.0, 20e3, 40e3, 60e3]);
        assert_eq!(Axis::from_zero(0.0).high, 1.0);
        assert_eq!(Axis::from_zero(f64::NAN).high, 1.0);
    }

    #[test]
    fn logarithmic_axes_put_zero_on_their_lower_end() {
        let axis = Axis::log(0.5, 100.0);
        assert_eq!(axis.ticks, [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(axis.map(&0.0, (0, 100)), 0);
        assert_eq!(axis.map(&100.0, (0, 100)), 100);
        assert!(Axis::log(0.0, 0.0).high > 1.0);
    }

    #[test]
    fn a_short_logarithmic_axis_has_ticks_to_read_it_by() {
        assert_eq!(Axis::log(1.1, 4.5).ticks, [2.0, 3.0, 4.0]);
        assert!(Axis::log(2.2, 2.4).ticks.len() >= 3);
    }

    #[test]
    fn depths_get_a_tick_each_unless_labels_would_touch() {
        assert_eq!(Axis::at_values(&[8.0, 20.0, 32.0, 44.0], false).ticks.len(), 4);
        assert_eq!(Axis::at_values(&[8.0, 9.0, 1000.0], false).ticks, [8.0, 1000.0]);
        assert_eq!(Axis::at_values(&[8.0], true).ticks, [8.0]);
        assert!(Axis::at_values(&[], false).ticks.is_empty());
    }
}
