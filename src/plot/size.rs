//! Parameters and multiply-adds against final error: what an error costs (1608.06993, Fig. 3).

use super::axis::{Axis, ends};
use super::canvas::{Mark, Stroke};
use super::captions::{capital, seeds};
use super::lines::{Line, LinesFigure, Panel, Point};
use super::page::{Entry, Sample, Sheet};
use super::panels::{label, split_axes, without_implied};
use super::{Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::group;
use fathom_stats::Interval;

/// Names of a net's two sizes, as the axes say them.
const SIZES: [&str; 2] = ["parameters", "multiply-adds of one image"];

/// Lays the figure out.
///
/// # Errors
/// When sizes are not known, nothing has ended, or there is only one size.
pub(super) fn figure(results: &Results, options: &Options) -> Result<LinesFigure> {
    let metric = options.metric;
    let curves = &results.curves;
    let (varying, shared) = split_axes(curves);
    let kept = |axis: &String| axis != "depth" && axis != "width" && axis != "growth";
    let axes: Vec<String> =
        without_implied(curves, varying.clone()).into_iter().filter(kept).collect();
    let inner: Vec<String> = varying.into_iter().filter(|axis| !kept(axis)).collect();
    let mut found: Vec<(String, [Vec<Point>; 2])> = Vec::new();
    let mut counts = Vec::new();
    for series in curves.groups(&axes) {
        let mut points = [Vec::new(), Vec::new()];
        for net in group(&series.runs, &inner) {
            let known =
                net.runs.iter().find_map(|run| results.facts.get(&run.id)?.manifest.as_ref());
            let Some(made) = known.filter(|made| made.parameters > 0 && made.macs > 0) else {
                continue;
            };
            let values: Vec<f64> =
                net.runs.iter().filter_map(|run| run.final_metric(metric.test)).collect();
            if values.is_empty() {
                continue;
            }
            counts.push(values.len());
            let y = values.iter().sum::<f64>() / values.len() as f64;
            let interval = Interval::of(&values, 0.95);
            for (place, size) in [made.parameters, made.macs].into_iter().enumerate() {
                let dots = values.clone();
                points[place].push(Point { x: size as f64, y, interval, dots });
            }
        }
        points.iter_mut().for_each(|points| points.sort_by(|a, b| a.x.total_cmp(&b.x)));
        if !points[0].is_empty() {
            found.push((label(&axes, &series.values), points));
        }
    }
    ensure!(!found.is_empty(), "no run that has ended says in its run.json how large its net is");
    let sizes: Vec<f64> = found.iter().flat_map(|(_, points)| &points[0]).map(|p| p.x).collect();
    let (low, high) = ends(&sizes).unwrap_or((1.0, 1.0));
    ensure!(low < high, "all nets are of one size");
    let heights: Vec<f64> =
        found.iter().flat_map(|(_, points)| &points[0]).flat_map(Point::heights).collect();
    let y = Axis::from_zero(ends(&heights).map_or(1.0, |(_, high)| high).min(metric.most()));
    let panels = [0, 1].map(|place| {
        let of = |(index, (_, points)): (usize, &(String, [Vec<Point>; 2]))| Line {
            colour: palette::of_word(index),
            mark: Some(Mark::nth(index)),
            stroke: Stroke::Bold,
            points: points[place].clone(),
        };
        let lines: Vec<Line> = found.iter().enumerate().map(of).collect();
        let sizes: Vec<f64> = lines.iter().flat_map(|l| &l.points).map(|point| point.x).collect();
        let (low, high) = ends(&sizes).unwrap_or((1.0, 10.0));
        let x = (Axis::log(low * 0.8, high * 1.25), format!("{} (logarithmic)", SIZES[place]));
        Panel { x, y: (y.clone(), metric.axis.to_owned()), lines }
    });
    let titles = SIZES.map(|size| format!("{} against {size}", capital(metric.test_words)));
    let entry = |(index, (name, _)): (usize, &(String, _))| {
        let line = Sample::Line(palette::of_word(index), Some(Mark::nth(index)), Stroke::Bold);
        Entry::new(line, name.as_str())
    };
    let mut legend: Vec<Vec<Entry>> = Vec::new();
    if found.len() > 1 {
        legend.push(found.iter().enumerate().map(entry).collect());
    }
    legend.push(vec![Entry::new(Sample::Dot, "one seed")]);
    let counts =
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    let shared = match shared.is_empty() {
        true => String::new(),
        false => format!(" All runs: {}.", shared.join(", ")),
    };
    let caption = format!(
        "{} of the last row ({}). Marks: mean over n = {}; bars: 95% interval of the mean (Student's \
         t).{shared} Sources: {}, run.json.",
        capital(metric.test_words),
        metric.test,
        seeds(counts),
        options.source
    );
    let sheet = Sheet::lay_out(options.note.as_deref(), &titles, &legend, &caption);
    Ok(LinesFigure { sheet, panels: panels.to_vec() })
}
