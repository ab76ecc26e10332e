//! Assignment of runs to panels and colours, and texts about the axes of runs.

use fathom_base::capitalised;
use fathom_record::{RunCurve, RunGroup, SweepCurves, group, natural_order};

/// The runs of one panel, grouped by colour.
#[derive(Clone, Debug)]
pub(super) struct Panel<'a> {
    /// Axis values of these runs that distinguish panels, such as "Residual, norm none"; empty if there
    /// is one panel.
    pub(super) label: String,
    pub(super) curves: Vec<Curve<'a>>,
}

/// The runs of one colour in one panel.
#[derive(Clone, Debug)]
pub(super) struct Curve<'a> {
    /// Index of the colour's value in [`Panels::keys`].
    pub(super) key: usize,
    /// Runs that differ in their seeds only.
    pub(super) runs: Vec<&'a RunCurve>,
}

/// All panels, and the values that colours stand for.
#[derive(Clone, Debug)]
pub(super) struct Panels<'a> {
    /// The axis that colours distinguish, if runs differ in any axis.
    pub(super) colour: Option<String>,
    /// Values of that axis, in natural order.
    pub(super) keys: Vec<String>,
    pub(super) panels: Vec<Panel<'a>>,
    /// Axes on which all runs agree, as text for the caption, such as "depth 20".
    pub(super) shared: Vec<String>,
}

impl<'a> Panels<'a> {
    /// Groups runs into panels. Colours distinguish the axis `colour` if runs differ in it, or else
    /// depth if runs differ in depth, or else the last axis in which they differ; all other axes
    /// distinguish panels, `facet` first.
    pub(super) fn of(curves: &'a SweepCurves, colour: Option<&str>, facet: Option<&str>) -> Self {
        let (varying, shared) = split_axes(curves);
        let asked =
            |name: Option<&str>| varying.iter().find(|axis| Some(axis.as_str()) == name).cloned();
        let (asked, facet) = (asked(colour), asked(facet));
        let varying = with_asked(curves, &varying, asked.iter().chain(&facet));
        let free = || varying.iter().filter(|axis| Some(*axis) != facet.as_ref());
        let depth = free().find(|axis| *axis == "depth");
        let colour = asked.as_ref().or(depth).or(free().next_back()).cloned();
        let mut rest: Vec<String> =
            varying.iter().filter(|axis| Some(*axis) != colour.as_ref()).cloned().collect();
        rest.sort_by_key(|axis| Some(axis) != facet.as_ref());
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
                    let key = keys.iter().position(|known| known == key).unwrap_or(0);
                    Curve { key, runs: same.runs }
                })
                .collect(),
        };
        let panels = curves.groups(&rest).into_iter().map(panel).collect();
        Self { colour, keys, panels, shared }
    }

    /// Smallest and largest number of runs with values of a curve that has any.
    pub(super) fn seeds(&self) -> (usize, usize) {
        let curves = self.panels.iter().flat_map(|panel| &panel.curves);
        let begun = |curve: &Curve| curve.runs.iter().filter(|run| !run.rows.is_empty()).count();
        extent(curves.map(begun).filter(|count| *count > 0))
    }
}

/// Smallest and largest of some counts; zeros if there are none.
pub(super) fn extent(counts: impl Iterator<Item = usize> + Clone) -> (usize, usize) {
    (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
}

/// Caption sentence about the axes on which all runs agree; `None` if there are no such axes.
pub(super) fn all_runs(shared: &[String]) -> Option<String> {
    (!shared.is_empty()).then(|| format!("All runs: {}.", shared.join(", ")))
}

/// Axes on which runs differ, and texts such as "depth 20" for those on which they agree.
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

/// [`without_implied`], to which the axes among `asked` in which runs differ are added if they are not in it, as a
/// requested axis is used even if it follows from the arm. If the arm then follows from the others, it is left out.
pub(super) fn with_asked<'a>(
    curves: &SweepCurves,
    varying: &[String],
    asked: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let mut axes = without_implied(curves, varying.to_vec());
    let asked: Vec<&String> = asked.into_iter().filter(|axis| varying.contains(axis)).collect();
    for axis in &asked {
        if !axes.contains(axis) {
            axes.push((*axis).clone());
        }
    }
    let arm = ["arm".to_owned()];
    let others: Vec<String> = axes.iter().filter(|axis| **axis != arm[0]).cloned().collect();
    let has_one_arm = |same: &RunGroup<'_>| group(&same.runs, &arm).len() == 1;
    let is_implied = !asked.is_empty() && !asked.contains(&&arm[0]);
    if is_implied && curves.groups(&others).iter().all(has_one_arm) { others } else { axes }
}

/// Removes the axes whose values follow from the arm, as the name of the arm identifies them.
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

/// Label of a configuration from its axes, such as "Residual, norm none". Families and arms stand
/// without the name of their axis.
pub(super) fn label(axes: &[String], values: &[String]) -> String {
    let part = |(axis, value): (&String, &String)| match axis.as_str() {
        _ if value.is_empty() => format!("no {}", axis.replace('_', " ")),
        "family" | "arm" => value.clone(),
        _ => format!("{} {value}", axis.replace('_', " ")),
    };
    capitalised(&axes.iter().zip(values).map(part).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{run, sweep};
    use super::*;
    use fathom_record::State;

    #[test]
    fn names_of_keys_are_words_in_labels() {
        let axes = ["family", "norm_place"].map(str::to_owned);
        let of = |place: &str| label(&axes, &["mlp".to_owned(), place.to_owned()]);
        assert_eq!(of("after-activation"), "Mlp, norm place after-activation");
        assert_eq!(of(""), "Mlp, no norm place");
    }

    #[test]
    fn families_make_panels_and_depths_make_colours() {
        let curves = sweep();
        let panels = Panels::of(&curves, None, None);
        assert_eq!(panels.colour.as_deref(), Some("depth"));
        assert_eq!(panels.keys, ["8", "44"]);
        let labels: Vec<&str> = panels.panels.iter().map(|p| p.label.as_str()).collect();
        assert_eq!(labels, ["Plain", "Residual"]);
        assert_eq!(panels.panels[0].curves[1].key, 1);
        assert_eq!(panels.seeds(), (3, 3));
        let panels = Panels::of(&curves, None, Some("depth"));
        assert_eq!(panels.colour.as_deref(), Some("family"));
        let labels: Vec<&str> = panels.panels.iter().map(|p| p.label.as_str()).collect();
        assert_eq!(labels, ["Depth 8", "Depth 44"]);
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
        let panels = Panels::of(&curves, None, None);
        assert_eq!(panels.colour.as_deref(), Some("arm"));
        assert_eq!(panels.panels.len(), 1);
        assert_eq!(panels.shared, ["depth 20"]);
    }

    #[test]
    fn an_arm_that_follows_from_the_requested_keys_has_no_panel_of_its_own() {
        let mut curves = sweep();
        for run in &mut curves.runs {
            run.axes.insert("arm".into(), format!("{} {}", run.axes["family"], run.axes["depth"]));
        }
        let panels = Panels::of(&curves, Some("depth"), Some("family"));
        let labels: Vec<&str> = panels.panels.iter().map(|p| p.label.as_str()).collect();
        assert_eq!(labels, ["Plain", "Residual"]);
        assert_eq!(panels.panels[0].curves.len(), 2);
        assert_eq!(Panels::of(&curves, Some("depth"), None).panels.len(), 4);
        assert_eq!(Panels::of(&curves, Some("arm"), Some("family")).keys.len(), 4);
    }

    #[test]
    fn a_single_configuration_is_one_panel_of_one_curve() {
        let curves = SweepCurves { runs: vec![run("plain", "8", 0, State::Done, &[])] };
        let panels = Panels::of(&curves, None, None);
        assert_eq!((panels.colour.clone(), panels.panels.len()), (None, 1));
        assert_eq!(panels.panels[0].label, "");
        assert_eq!(panels.shared, ["plain", "depth 8"]);
    }
}
