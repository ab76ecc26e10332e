//! Which runs share a panel and which a colour.

use fathom_record::{RunCurve, RunGroup, SweepCurves, group, natural_order};

/// The runs of one panel, by colour.
#[derive(Clone, Debug)]
pub(super) struct Panel<'a> {
    /// What its runs share and others do not: "Plain", "Residual, norm none"; empty if nothing.
    pub(super) label: String,
    /// `(place in [`Panels::keys`], its runs by seed)`.
    pub(super) curves: Vec<(usize, Vec<&'a RunCurve>)>,
}

/// All panels with the values that colours stand for.
#[derive(Clone, Debug)]
pub(super) struct Panels<'a> {
    /// The axis told apart by colour, if runs differ in any.
    pub(super) colour: Option<String>,
    /// Its values, in order.
    pub(super) keys: Vec<String>,
    pub(super) panels: Vec<Panel<'a>>,
    /// Axes on which all runs agree, as text for the caption: "family plain".
    pub(super) shared: Vec<String>,
}

impl<'a> Panels<'a> {
    /// Colour is what is asked for, else depth where runs differ in depth, else the last axis on which they differ; every
    /// other axis makes panels.
    pub(super) fn of(curves: &'a SweepCurves, group_by: Option<&str>) -> Self {
        let (varying, shared) = split_axes(curves);
        let asked = varying.iter().find(|axis| Some(axis.as_str()) == group_by).cloned();
        let mut varying = without_implied(curves, varying);
        // What is asked for counts also where an arm's name implies it.
        varying.extend(
            asked.iter().filter(|axis| !varying.contains(axis)).cloned().collect::<Vec<_>>(),
        );
        let depth = varying.iter().find(|axis| *axis == "depth");
        let colour = asked.as_ref().or(depth).or(varying.last()).cloned();
        let rest: Vec<String> =
            varying.iter().filter(|axis| Some(*axis) != colour.as_ref()).cloned().collect();
        let value = |run: &RunCurve| {
            colour.as_ref().and_then(|axis| run.axes.get(axis)).cloned().unwrap_or_default()
        };
        let mut keys: Vec<String> = curves.runs.iter().map(value).collect();
        keys.sort_by(|a, b| natural_order(a, b));
        keys.dedup();
        let by_colour: Vec<String> = colour.iter().cloned().collect();
        let panel = |RunGroup { values, runs }: RunGroup<'a>| Panel {
            label: label(&rest, &values),
            curves: group(&runs, &by_colour)
                .into_iter()
                .map(|same| {
                    let key = same.values.first().map_or("", String::as_str);
                    (keys.iter().position(|known| known == key).unwrap_or(0), same.runs)
                })
                .collect(),
        };
        let panels = curves.groups(&rest).into_iter().map(panel).collect();
        Self { colour, keys, panels, shared }
    }

    /// Whether the colours stand for numbers, which have an order.
    pub(super) fn ordered(&self) -> bool {
        self.keys.iter().all(|key| key.parse::<f64>().is_ok())
    }

    /// The largest number of runs behind one curve, and the smallest.
    pub(super) fn seeds(&self) -> (usize, usize) {
        let counts = self.panels.iter().flat_map(|panel| &panel.curves).map(|(_, runs)| runs.len());
        (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
    }
}

/// Axes on which runs differ, and "axis value" for those on which they agree.
pub(super) fn split_axes(curves: &SweepCurves) -> (Vec<String>, Vec<String>) {
    let mut shared = Vec::new();
    let differs = |axis: &String| {
        let groups = curves.groups(std::slice::from_ref(axis));
        if groups.len() == 1 {
            shared.push(label(std::slice::from_ref(axis), &groups[0].values).to_lowercase());
        }
        groups.len() > 1
    };
    let varying = curves.axes().into_iter().filter(differs).collect();
    (varying, shared)
}

/// Drops the axes whose values follow from the arm: the arm's name says it all.
pub(super) fn without_implied(curves: &SweepCurves, axes: Vec<String>) -> Vec<String> {
    if !axes.iter().any(|axis| axis == "arm") {
        return axes;
    }
    let arms = curves.groups(&["arm".to_owned()]);
    let implied = |axis: &String| {
        arms.iter().all(|arm| group(&arm.runs, std::slice::from_ref(axis)).len() == 1)
    };
    axes.into_iter().filter(|axis| axis == "arm" || !implied(axis)).collect()
}

/// "Plain", "Residual, norm none": families and arms speak for themselves, other values need their
/// axis.
pub(super) fn label(axes: &[String], values: &[String]) -> String {
    let part = |(axis, value): (&String, &String)| match axis.as_str() {
        _ if value.is_empty() => format!("no {axis}"),
        "family" | "arm" => value.clone(),
        _ => format!("{axis} {value}"),
    };
    let text = axes.iter().zip(values).map(part).collect::<Vec<_>>().join(", ");
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{run, sweep};
    use super::*;
    use fathom_record::State;

    #[test]
    fn families_make_panels_and_depths_make_colours() {
        let curves = sweep();
        let panels = Panels::of(&curves, None);
        assert_eq!(panels.colour.as_deref(), Some("depth"));
        assert_eq!(panels.keys, ["8", "44"]);
        let labels: Vec<&str> = panels.panels.iter().map(|p| p.label.as_str()).collect();
        assert_eq!(labels, ["Plain", "Residual"]);
        assert_eq!(panels.panels[0].curves[1].0, 1);
        assert_eq!(panels.seeds(), (3, 3));
    }

    #[test]
    fn arms_of_one_depth_make_colours_and_imply_their_family() {
        let mut runs = Vec::new();
        for (arm, family) in [("with norm", "plain"), ("without", "residual")] {
            let mut arm_run = run(family, "20", 0, State::Done, &[(1, 10.0)]);
            arm_run.axes.insert("arm".into(), arm.into());
            runs.push(arm_run);
        }
        let curves = SweepCurves { runs };
        let panels = Panels::of(&curves, None);
        assert_eq!(panels.colour.as_deref(), Some("arm"));
        assert_eq!(panels.panels.len(), 1);
        assert_eq!(panels.shared, ["depth 20"]);
        assert!(!panels.ordered());
    }

    #[test]
    fn a_single_configuration_is_one_panel_of_one_curve() {
        let curves = SweepCurves { runs: vec![run("plain", "8", 0, State::Done, &[])] };
        let panels = Panels::of(&curves, None);
        assert_eq!((panels.colour.clone(), panels.panels.len()), (None, 1));
        assert_eq!(panels.panels[0].label, "");
        assert_eq!(panels.shared, ["plain", "depth 8"]);
    }
}
