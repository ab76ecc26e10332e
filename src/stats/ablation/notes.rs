//! What a comparison of values says about itself, in sentences: pairing, intervals, choice of best
//! values, and everything that is not in its numbers.

use super::{Ablation, AblationRow, AblationSide, At, ChosenBy};
use crate::CONFIDENCE;
use fathom_base::key::short;
use fathom_record::Seed;
use fathom_spec::Pairing;

/// Largest number of items that a sentence lists.
const LISTED: usize = 8;

impl Ablation {
    /// What the rows mean, in sentences for a reader: the pairing, the level of the intervals, how best
    /// values were chosen, how runs that diverged count, and what was left out.
    pub fn notes(&self) -> Vec<String> {
        self.said([self.choice(), self.edges()])
    }

    /// [`Ablation::notes`] for the rows at equal values alone.
    pub fn notes_at_equal(&self) -> Vec<String> {
        self.said([None, None])
    }

    fn said(&self, on_best: [Option<String>; 2]) -> Vec<String> {
        let before = [Some(self.what()), Some(self.intervals())];
        let after = [
            self.diverged(),
            self.along(),
            listed("Left out", &self.left_out),
            listed("Without a partner", &self.alone),
            listed("Note", &self.remarks),
        ];
        before.into_iter().chain(on_best).chain(after).flatten().collect()
    }

    /// Number of pairs of runs in rows at equal or best values.
    fn pairs(&self, at: At) -> (usize, usize) {
        let rows = self.rows.iter().filter(|row| row.at == at);
        let n: Vec<usize> = rows.map(|row| row.differences.len()).collect();
        (n.len(), n.iter().sum())
    }

    fn what(&self) -> String {
        let (over, baseline) = (short(&self.over), &self.values[0]);
        let [(equal, equal_runs), (best, best_runs)] =
            [At::Equal, At::Best].map(|at| self.pairs(at));
        let paired = match self.swept() {
            Some(key) => format!(
                "{best} rows at the best {key} of each side ({best_runs} pairs of runs) and {equal} at equal \
                 {key} ({equal_runs})"
            ),
            None => format!("{equal} rows of {equal_runs} pairs of runs"),
        };
        format!(
            "Difference: final {} with another {over} minus that with {over} {baseline}, over the seeds that both \
             have; {paired}.",
            self.metric
        )
    }

    fn intervals(&self) -> String {
        let of = match self.pairing {
            Pairing::Seed => "of the mean difference within n seeds (Student's t)",
            Pairing::None => {
                "of the difference of the means over n seeds, without pairs (Welch's t)"
            }
        };
        format!(
            "Intervals: {:.0}% each, {of}; they are not adjusted for their number ({}).",
            100.0 * CONFIDENCE,
            self.interval_count()
        )
    }

    fn choice(&self) -> Option<String> {
        let best = self.best.as_ref()?;
        let (key, metric) = (short(&best.key), &best.metric);
        Some(match best.by {
            ChosenBy::OtherSeeds => {
                let seeds: Vec<String> = best.seeds.iter().map(Seed::to_string).collect();
                let [noun, verb] = if seeds.len() == 1 { ["seed", "is"] } else { ["seeds", "are"] };
                format!(
                    "Best {key}: least {metric} of {noun} {}, which {verb} not among those compared \
                     at the best {key}.",
                    seeds.join(", ")
                )
            }
            ChosenBy::HeldOut => format!(
                "Best {key}: least {metric}, on images held out of training, over the seeds compared; \
                 no seeds are set apart (--tune-seeds)."
            ),
            ChosenBy::SameSeeds => format!(
                "Best {key}: CHOSEN ON THE SAME SEEDS, by least {metric}: there are no held-out images \
                 (data.validation) and no seeds set apart (--tune-seeds). Means at the best {key} are too \
                 low, and a difference favours the side with more or noisier choices."
            ),
        })
    }

    /// Best values at the edge of their grid.
    fn edges(&self) -> Option<String> {
        let key = self.swept()?;
        let mut found: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.at == At::Best) {
            for side in [&row.baseline, &row.other].into_iter().filter(|side| side.is_at_edge) {
                let chosen = side.chosen.as_deref().unwrap_or_default();
                let name = format!("{} ({chosen})", self.name(row, side));
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        let what =
            format!("Best {key} at the edge of its grid, so that a better one may lie beyond");
        listed(&what, &found)
    }

    /// A side of a row for a reader.
    fn name(&self, row: &AblationRow, side: &AblationSide) -> String {
        let part = |(axis, value): (&String, &String)| match axis.as_str() {
            "family" | "depth" => value.clone(),
            _ => format!("{axis} {value}"),
        };
        let values = self.axes.iter().zip(&row.axes).filter(|(_, value)| !value.is_empty());
        let parts = values.map(part).chain([side.value.clone()]);
        parts.collect::<Vec<_>>().join(" ")
    }

    fn diverged(&self) -> Option<String> {
        let rows = self.rows.iter();
        let lost = |side: &AblationSide| side.diverged > 0;
        let count = rows.filter(|row| lost(&row.baseline) || lost(&row.other)).count();
        let four_decimals = |chance: f64| (chance * 1e4).round() / 1e4;
        let chance = self.chance.map(|chance| format!(" ({})", four_decimals(chance)));
        let chance = chance.unwrap_or_default();
        (count > 0).then(|| {
            format!(
                "In {count} row{} runs diverged: each counts with the value of random guessing{chance}.",
                if count == 1 { "" } else { "s" }
            )
        })
    }

    fn along(&self) -> Option<String> {
        let keys: Vec<String> = self.along.iter().map(|key| short(key).to_owned()).collect();
        listed(&format!("Along with {} the sides differ in", short(&self.over)), &keys)
    }
}

/// "What: item; item; and 3 more.", or nothing without items.
fn listed(what: &str, items: &[String]) -> Option<String> {
    let shown = items.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
    let more = items.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!items.is_empty()).then(|| format!("{what}: {shown}{more}."))
}
