//! Final metrics against depth, with one panel for each value of another key, such as `norm`.

use super::axis::Axis;
use super::canvas::{Mark, Stroke};
use super::captions::{losses, seeds};
use super::crosses::Crosses;
use super::depth::crosses;
use super::lines::{Line, LinesFigure, Panel, Point, remarks, y_axis};
use super::page::{Entry, Page, Sample};
use super::panels::{all_runs, extent, label, split_axes, with_asked};
use super::series::Finals;
use super::{Metric, Options, Results, palette};
use anyhow::{Result, ensure};
use fathom_record::{RunCurve, RunGroup, SweepCurves, group};
use fathom_stats::Interval;
use plotters::style::RGBColor;

/// The axes that the figure distinguishes.
struct Axes {
    /// Distinguished by panels, the requested one first.
    panels: Vec<String>,
    /// Distinguished by colours.
    colours: Vec<String>,
    /// Texts about the axes on which all runs agree.
    shared: Vec<String>,
}

impl Axes {
    fn of(curves: &SweepCurves, options: &Options) -> Result<Self> {
        let asked = options.facet.as_ref().or(options.group_by.as_ref());
        let key = asked.cloned().unwrap_or_else(|| "norm".to_owned());
        let (varying, shared) = split_axes(curves);
        ensure!(!varying.is_empty(), "runs do not differ in {key}, nor in any other key");
        ensure!(
            varying.contains(&key),
            "runs do not differ in {key}; use --facet with one of {}",
            varying.join(", ")
        );
        ensure!(varying.iter().any(|axis| axis == "depth"), "runs do not differ in depth");
        // Depth is on the axis.
        let colour = options.colour.as_ref().filter(|axis| *axis != "depth");
        ensure!(colour != Some(&key), "panels and colours cannot both be those of {key}");
        let others = with_asked(curves, &varying, colour);
        let others = others.into_iter().filter(|axis| *axis != key && axis != "depth");
        let is_coloured = |axis: &String| colour.is_none_or(|colour| axis == colour);
        let (colours, rest): (Vec<String>, Vec<String>) = others.partition(is_coloured);
        Ok(Self { panels: [vec![key], rest].concat(), colours, shared })
    }
}

/// The runs of one configuration at one depth.
struct AtDepth {
    /// Panel, colour and depth as text, such as `norm batch plain 44`.
    name: String,
    depth: f64,
    /// Final values in the order of [`Metric::lines`].
    finals: Vec<Finals>,
}

impl AtDepth {
    /// Whether there is something to draw.
    fn has_ended(&self) -> bool {
        self.finals.iter().any(|finals| finals.diverged > 0 || !finals.values.is_empty())
    }
}

/// The runs of one colour in one panel.
struct Series {
    colour: RGBColor,
    mark: Mark,
    depths: Vec<AtDepth>,
}

/// One panel.
struct Facet {
    title: String,
    series: Vec<Series>,
}

/// Lays the figure out.
///
/// # Errors
/// When runs do not differ in the key, or not in depth, or none has ended.
pub(super) fn figure(results: &Results, options: &Options) -> Result<LinesFigure> {
    let metric = &options.metric;
    let curves = &results.curves;
    let axes = Axes::of(curves, options)?;
    let names = names(curves, &axes, options);
    let groups = curves.groups(&axes.panels);
    let facets: Vec<Facet> = groups.iter().map(|same| facet(same, &axes, &names, metric)).collect();
    let chance = results.chance(metric.train);
    let panels = panels(&facets, chance, options);
    let is_drawn = |panel: &Panel| {
        !panel.crosses.is_empty() || panel.lines.iter().any(|line| !line.points.is_empty())
    };
    let is_drawn = panels.iter().any(is_drawn);
    ensure!(is_drawn, "no run has finished with a finite {} yet", metric.train);
    let titles: Vec<String> = facets.iter().map(|facet| facet.title.clone()).collect();
    let all = || facets.iter().flat_map(|facet| &facet.series).flat_map(|series| &series.depths);
    let mut parts = vec![format!(
        "{} Values are those of the last row of each run. Lines: mean over n = {}; bars: 95% interval of \
         the mean (Student's t).",
        metric.sentences(),
        seeds(extent(all().map(|at| at.finals[0].values.len()).filter(|n| *n > 0))),
    )];
    parts.extend(remarks(&panels));
    let groups: Vec<(String, Finals)> =
        all().map(|at| (at.name.clone(), at.finals[0].clone())).collect();
    parts.extend(losses(&groups, metric.train, crosses(chance)));
    parts.extend(all_runs(&axes.shared));
    parts.push(format!("Source: {}.", options.source));
    let is_drawn = |line: usize| all().any(|at| !at.finals[line].values.is_empty());
    let has_crosses = all().any(|at| at.finals[0].diverged > 0);
    let legend = legend(&names, has_crosses, metric.legend(is_drawn));
    let page = Page::on(options.sheet(), &titles, &legend, &parts.join(" "));
    Ok(LinesFigure { page, panels })
}

/// Names of the colours, each with its colour.
fn names(curves: &SweepCurves, axes: &Axes, options: &Options) -> Vec<(String, RGBColor)> {
    let groups = curves.groups(&axes.colours);
    let values: Vec<String> = groups.iter().map(|same| same.values.join(" ")).collect();
    let name = |(index, same): (usize, &RunGroup)| {
        let colour = match &options.colour {
            Some(_) => palette::of_value(index, &values),
            None => palette::of_category(index),
        };
        (label(&axes.colours, &same.values), colour)
    };
    groups.iter().enumerate().map(name).collect()
}

/// Groups the runs of a panel by colour and depth; runs without a depth are left out.
fn facet(panel: &RunGroup, axes: &Axes, names: &[(String, RGBColor)], metric: &Metric) -> Facet {
    let title = label(&axes.panels, &panel.values);
    let series = |same: RunGroup| {
        let name = label(&axes.colours, &same.values);
        let depth = |at: RunGroup| {
            let parts = [title.as_str(), &name, &at.values[0]];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            Some(AtDepth {
                name: parts.collect::<Vec<_>>().join(" ").to_lowercase(),
                depth: at.runs.first().and_then(|run: &&RunCurve| run.number("depth"))?,
                finals: metric
                    .lines()
                    .iter()
                    .map(|(column, _)| Finals::of(&at.runs, column))
                    .collect(),
            })
        };
        let place = names.iter().position(|(known, _)| *known == name).unwrap_or(0);
        Series {
            colour: names[place].1,
            mark: Mark::nth(place),
            depths: group(&same.runs, &["depth".to_owned()])
                .into_iter()
                .filter_map(depth)
                .collect(),
        }
    };
    let series = group(&panel.runs, &axes.colours).into_iter().map(series).collect();
    Facet { title, series }
}

/// Panels with common axes.
fn panels(facets: &[Facet], chance: Option<f64>, options: &Options) -> Vec<Panel> {
    let metric = &options.metric;
    let crosses_at = chance.unwrap_or_else(|| metric.most().min(100.0));
    let of_facet = |facet: &Facet| -> Vec<Line> {
        facet.series.iter().flat_map(|series| lines(series, metric)).collect()
    };
    let lines: Vec<Vec<Line>> = facets.iter().map(of_facet).collect();
    let all = || facets.iter().flat_map(|facet| &facet.series).flat_map(|series| &series.depths);
    let mut depths: Vec<f64> = all().filter(|at| at.has_ended()).map(|at| at.depth).collect();
    depths.sort_by(f64::total_cmp);
    depths.dedup();
    let x = Axis::at_values(&depths, options.log_x).titled("depth");
    let cross = all().find(|at| at.finals[0].diverged > 0);
    let cross = cross.map(|at| Point::bare(at.depth, crosses_at));
    let points = lines.iter().flatten().flat_map(|line| &line.points).chain(&cross);
    let y = y_axis(points, metric, options.log_y).titled(metric.axis);
    let panel = |(lines, facet): (Vec<Line>, &Facet)| {
        let all = facet.series.iter().flat_map(|s| s.depths.iter().map(move |at| (s.colour, at)));
        let diverged = all.map(|(colour, at)| (at.depth, colour, at.finals[0].diverged));
        let crosses = Crosses::new(crosses_at, &depths, diverged);
        Panel { x: x.clone(), y: y.clone(), lines, crosses }
    };
    lines.into_iter().zip(facets).map(panel).collect()
}

/// The lines of a series.
fn lines(series: &Series, metric: &Metric) -> Vec<Line> {
    let Series { colour, mark, .. } = *series;
    let line = |(index, stroke): (usize, Stroke)| {
        let point = |at: &AtDepth| {
            let finals = &at.finals[index];
            let interval = Interval::of(&finals.values, 0.95);
            let dots = finals.values.clone();
            Some(Point { interval, dots, ..Point::bare(at.depth, finals.mean()?) })
        };
        let points = series.depths.iter().filter_map(point).collect();
        Line { colour, mark: Some(mark), stroke, points }
    };
    metric.lines().into_iter().map(|(_, stroke)| stroke).enumerate().map(line).collect()
}

fn legend(
    names: &[(String, RGBColor)],
    has_crosses: bool,
    mut styles: Vec<Entry>,
) -> Vec<Vec<Entry>> {
    let mut rows: Vec<Vec<Entry>> = Vec::new();
    if names.len() > 1 {
        let entry = |(index, (name, colour)): (usize, &(String, RGBColor))| {
            Entry::line(*colour, Some(Mark::nth(index)), name.as_str())
        };
        rows.push(names.iter().enumerate().map(entry).collect());
    }
    styles.push(Entry::new(Sample::Dot, "one seed"));
    if has_crosses {
        styles.push(Entry::new(Sample::Cross, "diverged: no final value"));
    }
    rows.push(styles);
    rows
}
