//! The rows of a pair of configurations: values by seed, their differences and the interval.

use super::choose::Chooser;
use super::pairs::Pair;
use super::{AblationRow, AblationSide, At, Question};
use crate::CONFIDENCE;
use crate::estimate::Estimate;
use crate::evidence::Evidence;
use fathom_base::key::short;
use fathom_base::plain;
use fathom_record::Seed;
use fathom_spec::{Effect, Pairing, TuneCandidate};
use std::collections::{BTreeMap, BTreeSet};

/// Compares pairs of configurations, and collects what could not be compared.
pub(super) struct Compared<'a> {
    pub evidence: &'a Evidence,
    pub metric: &'a str,
    pub pairing: Pairing,
    pub chooser: Option<Chooser<'a>>,
    /// What could not be compared, with the reason.
    pub left_out: Vec<String>,
    /// Seeds that only one side has at equal values, with the pairs of which that holds.
    pub one_sided: BTreeMap<String, Vec<String>>,
}

impl<'a> Compared<'a> {
    /// Compares nothing yet.
    pub fn new(
        evidence: &'a Evidence,
        question: &'a Question,
        chooser: Option<Chooser<'a>>,
    ) -> Self {
        let (metric, pairing) = (question.metric.as_str(), question.pairing);
        Self { evidence, metric, pairing, chooser, left_out: vec![], one_sided: BTreeMap::new() }
    }

    /// All that was left out, and how best values were chosen. In experiments of two stages, most seeds have one value
    /// of the tuned key alone, so seeds of one side are told once for all pairs.
    pub fn end(mut self) -> (Vec<String>, Option<Chooser<'a>>) {
        for (seeds, pairs) in self.one_sided {
            self.left_out.push(match &pairs[..] {
                [pair] => format!("{pair}: only one side has {seeds}"),
                _ => format!(
                    "{} comparisons at equal values: only one side has {seeds}",
                    pairs.len()
                ),
            });
        }
        (self.left_out, self.chooser)
    }

    /// The rows of a pair: at the best values, and at each equal value.
    pub fn rows(&mut self, pair: &Pair) -> Vec<AblationRow> {
        let mut rows = Vec::new();
        let [baseline, other] = pair.sides();
        if let Some(chooser) = &self.chooser
            && (baseline.candidates.len() > 1 || other.candidates.len() > 1)
        {
            let seeds = chooser.seeds().clone();
            match [baseline, other].map(|side| chooser.choose(side)) {
                [Ok(a), Ok(b)] => rows.extend(self.row(pair, At::Best, [a, b], &seeds)),
                [a, b] => {
                    let reasons: Vec<String> = [a, b].into_iter().filter_map(Result::err).collect();
                    let best = format!("best {}", short(chooser.key()));
                    self.left_out.push(format!(
                        "{} at the {best}: {}",
                        pair.name(),
                        reasons.join("; ")
                    ));
                }
            }
        }
        for a in &baseline.candidates {
            let equal = other.candidates.iter().find(|b| b.value == a.value);
            if let Some(b) = equal {
                rows.extend(self.row(pair, At::Equal, [a, b], &BTreeSet::new()));
            }
        }
        rows
    }

    /// The comparison of two candidates over the seeds that both have, without the `used` ones.
    fn row(
        &mut self,
        pair: &Pair,
        at: At,
        sides: [&TuneCandidate; 2],
        used: &BTreeSet<Seed>,
    ) -> Option<AblationRow> {
        let [a, b] = sides;
        let seeds = a.runs.keys().filter(|seed| b.runs.contains_key(seed) && !used.contains(seed));
        let seeds: Vec<Seed> = seeds.copied().collect();
        let single = one_sided(sides);
        if at == At::Equal && !single.is_empty() {
            self.one_sided.entry(single).or_default().push(pair.name());
        }
        if seeds.is_empty() {
            if at == At::Best {
                self.left_out.push(format!("{} at best values: no seed remains", pair.name()));
            }
            return None;
        }
        let ids = sides.iter().flat_map(|side| seeds.iter().map(|seed| side.runs[seed].clone()));
        if let Some(reason) = self.evidence.mixed_data(&ids.collect()) {
            self.left_out.push(format!("{}: {reason}", pair.name()));
            return None;
        }
        let (mut finals, mut diverged) = ([Vec::new(), Vec::new()], [0, 0]);
        let mut differences = Vec::new();
        for seed in &seeds {
            let last = sides.map(|side| {
                let value = self.evidence.value_or_chance(&side.runs[seed], self.metric);
                value.map_err(|reason| {
                    if !self.left_out.contains(&reason) {
                        self.left_out.push(reason);
                    }
                })
            });
            let [Ok((one, _)), Ok((two, _))] = last else { continue };
            differences.push((*seed, two - one));
            for (side, (value, has_diverged)) in last.into_iter().flatten().enumerate() {
                finals[side].push(value);
                diverged[side] += usize::from(has_diverged);
            }
        }
        let values: Vec<[f64; 2]> =
            finals[1].iter().zip(&finals[0]).map(|(other, baseline)| [*other, *baseline]).collect();
        let values: Vec<&[f64]> = values.iter().map(|values| &values[..]).collect();
        let estimate = Estimate::of(Effect::Mean, self.pairing, &[1.0, -1.0], &values);
        let edge = |side: usize| at == At::Best && pair.is_at_edge(side, sides[side]);
        let is_at_edge = [edge(0), edge(1)];
        // The spread of values that are all assigned says nothing.
        let is_measured = diverged.iter().any(|count| *count < differences.len());
        let [baseline, other] = [0, 1].map(|side| AblationSide {
            value: pair.sides()[side].value.clone(),
            chosen: sides[side].value.as_ref().map(plain),
            is_at_edge: is_at_edge[side],
            finals: std::mem::take(&mut finals[side]),
            diverged: diverged[side],
        });
        Some(AblationRow {
            axes: pair.axes.clone(),
            at,
            baseline,
            other,
            interval: estimate
                .filter(|_| is_measured)
                .and_then(|it| it.interval((1.0 - CONFIDENCE) / 2.0)),
            differences,
            planned: seeds.len(),
        })
    }
}

/// The seeds that only one of two candidates has, in words; empty if there are none.
fn one_sided([a, b]: [&TuneCandidate; 2]) -> String {
    let of = |candidate: &TuneCandidate| candidate.runs.keys().copied().collect::<BTreeSet<Seed>>();
    let seeds: Vec<String> = of(a).symmetric_difference(&of(b)).map(Seed::to_string).collect();
    match &seeds[..] {
        [] => String::new(),
        [seed] => format!("seed {seed}"),
        _ => format!("seeds {}", seeds.join(", ")),
    }
}
