//! The values of one key side by side, with their differences below: means over seeds with intervals.

mod lines;

use super::axis::{Axis, TitledAxis, ends};
use super::canvas::{INK, Mark, Stroke};
use super::lines::{Line, LinesFigure, Panel, remarks};
use super::page::{Entry, Page, Sample, Sheet};
use super::panels::label;
use super::{Metric, Width, canvas, palette, to_svg};
use anyhow::{Result, ensure};
use fathom_base::capitalised;
use fathom_base::key::short;
use fathom_record::{Unit, natural_order};
use fathom_stats::{Ablation, AblationRow, At, CONFIDENCE, ChosenBy};
use lines::{heights, level};

/// Distance between the values of neighbouring lines, as a share of the horizontal axis.
const APART: f64 = 0.025;

/// What the horizontal axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Depth, or the values of the compared key if nets do not differ in depth: each side at its best
    /// value of the swept key, where there is one.
    Depth,
    /// The swept key: both sides at equal values of it.
    Swept,
}

/// The figure of a comparison of the values of one key.
#[derive(Clone, Copy, Debug)]
pub struct AblationFigure<'a> {
    /// The comparison.
    pub ablation: &'a Ablation,
    /// What the horizontal axis shows.
    pub against: Against,
    /// Text above the figure.
    pub note: Option<&'a str>,
    /// Files of the curves, for the caption.
    pub source: &'a str,
    /// Width on paper; without it, the figure is for the screen.
    pub width: Option<Width>,
}

/// The rows of one panel, with the title that distinguishes it.
struct Facet<'a> {
    title: String,
    rows: Vec<(f64, &'a AblationRow)>,
}

impl AblationFigure<'_> {
    /// Draws the figure as SVG.
    ///
    /// # Errors
    /// When no two finished runs can be compared.
    pub fn svg(&self) -> Result<String> {
        canvas::load_font()?;
        to_svg(&self.figure()?)
    }

    fn figure(&self) -> Result<LinesFigure> {
        let Ablation { metric, values, .. } = self.ablation;
        let metric: Metric = metric.parse()?;
        let place = self.along();
        let facets = self.facets(place);
        ensure!(!facets.is_empty(), "no runs of two values of {} have finished", self.key());
        let all = || facets.iter().flat_map(|facet| &facet.rows);
        let x = self.x_axis(place, &all().map(|(x, _)| *x).collect::<Vec<_>>());
        let offset = |value: usize| {
            let middle = (values.len() - 1) as f64 / 2.0;
            (value as f64 - middle) * APART.min(0.2 / values.len() as f64)
        };
        let means: Vec<Vec<Line>> =
            facets.iter().map(|facet| self.means(facet, &x, &offset)).collect();
        let high =
            heights(&means).map_or(1.0, |(_, high)| high).max(self.ablation.chance.unwrap_or(0.0));
        let y = Axis::from_zero(high.min(metric.most())).titled(metric.axis);
        let chance = self.ablation.chance.map(|chance| level(&x, chance));
        let panel = |mut lines: Vec<Line>| {
            lines.extend(chance.clone());
            Panel::new(x.clone(), y.clone(), lines)
        };
        let mut panels: Vec<Panel> = means.into_iter().map(panel).collect();
        let words = format!("{}{}", metric.train_words, self.at());
        let title = |facet: &Facet| match facet.title.as_str() {
            "" => capitalised(&words),
            title => format!("{title}: {words}"),
        };
        let mut titles: Vec<String> = facets.iter().map(title).collect();
        if self.against == Against::Depth {
            let lines: Vec<Vec<Line>> =
                facets.iter().map(|facet| self.differences(facet, &x, &offset)).collect();
            let (low, high) = heights(&lines).unwrap_or((0.0, 1.0));
            // No difference is larger than the metric can be.
            let axis =
                Axis::between(low.clamp(-metric.most(), 0.0), high.clamp(0.0, metric.most()));
            let y = axis.titled(match Unit::of(metric.train) {
                Some(Unit::PerCent) => "difference (points)",
                Some(Unit::Nats) => "difference (nats)",
                None => "difference",
            });
            panels.extend(lines.into_iter().map(|mut lines| {
                lines.push(level(&x, 0.0));
                Panel::new(x.clone(), y.clone(), lines)
            }));
            titles.extend(facets.iter().map(|facet| self.difference_title(&facet.title)));
        }
        let caption = self.caption(&metric, &remarks(&panels));
        let sheet = Sheet { note: self.note, width: self.width, ..Sheet::default() };
        let page = Page::on(sheet, &titles, &self.legend(), &caption);
        Ok(LinesFigure { page, panels })
    }

    /// Short name of the compared key.
    fn key(&self) -> &str {
        short(&self.ablation.over)
    }

    /// Where the sides are compared, for titles.
    fn at(&self) -> String {
        let best = self.ablation.best.as_ref().filter(|_| self.against == Against::Depth);
        best.map_or(String::new(), |best| {
            let on_same = best.by == ChosenBy::SameSeeds;
            let chosen = if on_same { ", chosen on the same seeds" } else { "" };
            format!(" at the best {}{chosen}", short(&best.key))
        })
    }

    /// The axis of the comparison that the horizontal axis shows: depth, else the first numeric one.
    fn along(&self) -> Option<usize> {
        let Ablation { axes, rows, .. } = self.ablation;
        let is_numeric = |place: &usize| rows.iter().all(|row| number(&row.axes[*place]).is_some());
        let depth = axes.iter().position(|axis| axis == "depth");
        depth
            .or_else(|| (0..axes.len()).find(is_numeric))
            .filter(|_| self.against == Against::Depth)
    }

    /// The rows by panel, each with its horizontal place.
    fn facets(&self, along: Option<usize>) -> Vec<Facet<'_>> {
        let Ablation { axes, rows, best, .. } = self.ablation;
        let at = match (self.against, best) {
            (Against::Depth, Some(_)) => At::Best,
            (Against::Depth, None) | (Against::Swept, _) => At::Equal,
        };
        let is_apart = |place: &usize| Some(*place) != along;
        let names: Vec<String> =
            (0..axes.len()).filter(is_apart).map(|it| axes[it].clone()).collect();
        let mut facets: Vec<Facet> = Vec::new();
        for row in rows.iter().filter(|row| row.at == at && !row.differences.is_empty()) {
            let x = match (self.against, along) {
                (Against::Swept, _) => row.other.chosen.as_deref().and_then(number),
                (Against::Depth, Some(place)) => number(&row.axes[place]),
                (Against::Depth, None) => self.place(&row.other.value),
            };
            let Some(x) = x else { continue };
            let texts: Vec<String> =
                (0..axes.len()).filter(is_apart).map(|it| row.axes[it].clone()).collect();
            let title = label(&names, &texts);
            match facets.iter_mut().find(|facet| facet.title == title) {
                Some(facet) => facet.rows.push((x, row)),
                None => facets.push(Facet { title, rows: vec![(x, row)] }),
            }
        }
        facets
    }

    /// The values of the key in natural order.
    fn in_order(&self) -> Vec<&String> {
        let mut values: Vec<&String> = self.ablation.values.iter().collect();
        values.sort_by(|a, b| natural_order(a, b));
        values
    }

    /// The place of a value where the horizontal axis shows the compared key itself.
    fn place(&self, value: &str) -> Option<f64> {
        self.in_order().into_iter().position(|known| known == value).map(|it| it as f64)
    }

    fn x_axis(&self, along: Option<usize>, places: &[f64]) -> TitledAxis {
        let mut places = places.to_vec();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let (low, high) = ends(&places).unwrap_or((0.0, 1.0));
        match (self.against, along) {
            (Against::Swept, _) => {
                let is_wide = low > 0.0 && high / low >= 8.0;
                Axis::at_values(&places, is_wide).titled(self.ablation.swept().unwrap_or_default())
            }
            (Against::Depth, Some(place)) => {
                Axis::at_values(&places, false).titled(self.ablation.axes[place].as_str())
            }
            // Words would not fit below the axis, and the legend has them.
            (Against::Depth, None) => {
                let values = self.in_order();
                let numbers: Vec<f64> = values.iter().filter_map(|value| number(value)).collect();
                match numbers.len() == values.len() {
                    true => Axis::categories(&numbers).titled(self.key()),
                    false => {
                        let axis = Axis::categories(&vec![0.0; values.len()]);
                        axis.without_labels().titled(format!("{} (see the legend)", self.key()))
                    }
                }
            }
        }
    }

    fn difference_title(&self, facet: &str) -> String {
        let difference = match &self.ablation.values[..] {
            [baseline, other] => format!("{other} − {baseline}"),
            [baseline, ..] => format!("difference from {} {baseline}", self.key()),
            [] => String::new(),
        };
        if facet.is_empty() { capitalised(&difference) } else { format!("{facet}: {difference}") }
    }

    fn legend(&self) -> Vec<Vec<Entry>> {
        let entry = |(place, value): (usize, &String)| {
            let words = format!("{} {value}", self.key());
            Entry::line(palette::of_category(place), Some(Mark::nth(place)), words)
        };
        let values = self.ablation.values.iter().enumerate().map(entry).collect();
        let mut others = vec![Entry::new(Sample::Dot, "one seed")];
        if self.ablation.chance.is_some() {
            others.push(Entry::new(Sample::Line(INK, None, Stroke::Dashed), "random guessing"));
        }
        vec![values, others]
    }

    fn caption(&self, metric: &Metric, remarks: &[String]) -> String {
        let notes = match self.against {
            Against::Depth => self.ablation.notes(),
            Against::Swept => self.ablation.notes_at_equal(),
        };
        let mut parts = vec![format!(
            "{} Marks: means over seeds; bars: {:.0}% intervals.",
            metric.sentence(),
            100.0 * CONFIDENCE
        )];
        parts.extend_from_slice(remarks);
        parts.extend(notes);
        parts.push(format!("Source: {}.", self.source));
        parts.join(" ")
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}
