//! Final error against depth with one panel for each value of another key: BatchNorm on and off.

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::captions::{capital, losses, seeds};
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Sample, Sheet};
use super::panels::{label, split_axes, without_implied};
use super::series::Finals;
use super::{Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::{RunCurve, group};
use fathom_stats::Interval;

/// Lays the figure out.
///
/// # Errors
/// When runs do not differ in the key, or not in depth, or none has ended.
pub(super) fn figure(results: &Results, options: &Options) -> Result<LinesFigure> {
    let metric = options.metric;
    let key = options.group_by.clone().unwrap_or_else(|| "norm".to_owned());
    let curves = &results.curves;
    let (varying, shared) = split_axes(curves);
    ensure!(
        varying.contains(&key),
        "runs do not differ in {key}; they differ in {} (--group-by)",
        if varying.is_empty() { "nothing".into() } else { varying.join(", ") }
    );
    ensure!(varying.iter().any(|axis| axis == "depth"), "runs do not differ in depth");
    let others: Vec<String> = without_implied(curves, varying)
        .into_iter()
        .filter(|axis| *axis != key && axis != "depth")
        .collect();
    let chance = results.chance(metric.train);
    // Where runs stand that have no final value.
    let lost = chance.unwrap_or_else(|| metric.most().min(100.0));
    let names: Vec<String> =
        curves.groups(&others).iter().map(|same| label(&others, &same.values)).collect();
    let (mut panels, mut titles, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for value in curves.groups(std::slice::from_ref(&key)) {
        titles.push(label(std::slice::from_ref(&key), &value.values));
        let mut lines = Vec::new();
        for same in group(&value.runs, &others) {
            let name = label(&others, &same.values);
            let place = names.iter().position(|known| *known == name).unwrap_or(0);
            for (column, stroke) in metric.lines() {
                let mut points = Vec::new();
                for at in group(&same.runs, &["depth".to_owned()]) {
                    let depth = at.runs.first().and_then(|run: &&RunCurve| run.number("depth"));
                    let finals = Finals::of(&at.runs, column);
                    if let (Some(x), Some(y)) = (depth, finals.mean()) {
                        let interval = Interval::of(&finals.values, 0.95);
                        points.push(Point { x, y, interval, dots: finals.values.clone() });
                    }
                    if let (Some(x), Stroke::Dashed, 1..) = (depth, stroke, finals.diverged) {
                        let points = vec![Point::bare(x, lost)];
                        let (colour, mark) = (palette::of_word(place), Some(Mark::Cross));
                        lines.push(Line { colour, mark, stroke: Stroke::Bold, points });
                    }
                    if stroke == Stroke::Dashed {
                        let text = [titles.last().map_or("", String::as_str), &name, &at.values[0]];
                        groups.push((text.join(" ").to_lowercase().replace("  ", " "), finals));
                    }
                }
                let (colour, mark) = (palette::of_word(place), Some(Mark::nth(place)));
                lines.push(Line { colour, mark, stroke, points });
            }
        }
        panels.push(lines);
    }
    let points = || panels.iter().flatten().flat_map(|line: &Line| &line.points);
    ensure!(points().next().is_some(), "no run has finished with a finite {} yet", metric.train);
    let mut depths: Vec<f64> = points().map(|point| point.x).collect();
    depths.sort_by(f64::total_cmp);
    depths.dedup();
    let heights: Vec<f64> = points().flat_map(Point::heights).collect();
    let high = ends(&heights).map_or(1.0, |(_, high)| high).min(metric.most());
    let x = Axis::at_values(&depths, options.log_x);
    let y = Axis::from_zero(high);
    let counts = || groups.iter().map(|(_, f)| f.values.len() + f.diverged + f.unfinished);
    let counts = seeds((counts().min().unwrap_or(0), counts().max().unwrap_or(0)));
    let panels = panels
        .into_iter()
        .map(|lines| Panel {
            x: (x.clone(), "depth".into()),
            y: (y.clone(), metric.axis.to_owned()),
            lines,
        })
        .collect();
    let mut legend: Vec<Vec<Entry>> = Vec::new();
    if names.len() > 1 {
        let entry = |(place, name): (usize, &String)| {
            let line = Sample::Line(palette::of_word(place), Some(Mark::nth(place)), Stroke::Bold);
            Entry::new(line, name.as_str())
        };
        legend.push(names.iter().enumerate().map(entry).collect());
    }
    let mut styles = metric.legend();
    styles.push(Entry::new(Sample::Dot, "one seed"));
    if groups.iter().any(|(_, finals)| finals.diverged > 0) {
        styles.push(Entry::new(Sample::Cross, "diverged: no final value"));
    }
    legend.push(styles);
    let mut parts = vec![format!(
        "{} ({}) and {} ({}) of the last row. Lines: mean over n = {counts}; bars: 95% interval \
         of the mean (Student's t).",
        capital(metric.train_words),
        metric.train,
        metric.test_words,
        metric.test,
    )];
    let place = if chance.is_some() { "what guessing gives" } else { "the upper end" };
    parts.extend(losses(&groups, &format!("crosses at {place}, not in the mean")));
    if !shared.is_empty() {
        parts.push(format!("All runs: {}.", shared.join(", ")));
    }
    parts.push(format!("Source: {}.", options.source));
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &parts.join(" "));
    Ok(LinesFigure { sheet, panels })
}
