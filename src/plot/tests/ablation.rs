//! Figures of the values of one key.

use super::super::*;
use super::drawing::Drawing;
use fathom_stats::{Ablation, AblationRow, AblationSide, At, BestBy, ChosenBy, Interval};

/// On and off for two families at two depths, at the best of several rates and at one equal rate.
fn ablation(by: ChosenBy) -> Ablation {
    let mut rows = Vec::new();
    for (at, rates) in [(At::Best, ["0.1", "0.01"]), (At::Equal, ["0.1", "0.1"])] {
        for (family, depth) in
            [("plain", "8"), ("plain", "44"), ("residual", "8"), ("residual", "44")]
        {
            let side = |value: &str, rate: &str, finals: [f64; 2]| AblationSide {
                value: value.into(),
                chosen: Some(rate.into()),
                is_at_edge: false,
                finals: finals.into(),
                diverged: 0,
            };
            rows.push(AblationRow {
                axes: [family, depth].map(str::to_owned).into(),
                at,
                baseline: side("batch", rates[0], [20.0, 22.0]),
                other: side("none", rates[1], [60.0, 90.0]),
                differences: vec![(0, 40.0), (1, 68.0)],
                planned: 2,
                interval: Interval::of(&[40.0, 68.0], 0.95),
            });
        }
    }
    let key = "training.lr".to_owned();
    Ablation {
        over: "network.norm".into(),
        metric: "train_err_pct".into(),
        values: ["batch", "none"].map(str::to_owned).into(),
        axes: ["family", "depth"].map(str::to_owned).into(),
        best: Some(BestBy { key, metric: "train_err_pct".into(), by, seeds: [7].into() }),
        rows,
        alone: vec!["dense 8".into()],
        left_out: Vec::new(),
        along: Default::default(),
        remarks: Vec::new(),
        chance: Some(90.0),
        pairing: Default::default(),
    }
}

fn drawn(ablation: &Ablation, against: Against) -> String {
    let figure = AblationFigure {
        ablation,
        against,
        note: Some("A note"),
        source: "x/curves.csv",
        width: None,
    };
    Drawing::read(&figure.svg().unwrap()).words()
}

#[test]
fn values_stand_side_by_side_with_their_difference_below() {
    let words = drawn(&ablation(ChosenBy::OtherSeeds), Against::Depth);
    for part in [
        "A note",
        "Plain: training error at the best lr",
        "Residual: none − batch",
        "difference (points)",
        "norm batch",
        "random guessing",
        "of seed 7, which is not among those compared",
        "not adjusted for their number (8)",
        "Without a partner: dense 8.",
        "Source: x/curves.csv.",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let words = drawn(&ablation(ChosenBy::SameSeeds), Against::Depth);
    assert!(words.contains("at the best lr, chosen on the same seeds"), "{words}");
    let words = drawn(&ablation(ChosenBy::OtherSeeds), Against::Swept);
    assert!(words.contains("Residual, depth 44: training error"), "{words}");
    assert!(!words.contains("Best lr:"), "both sides are at equal rates: {words}");
}

#[test]
fn without_depth_the_values_themselves_are_the_axis() {
    let mut alone = ablation(ChosenBy::HeldOut);
    alone.best = None;
    alone.axes.clear();
    alone.rows.retain(|row| row.at == At::Equal);
    alone.rows.truncate(1);
    alone.rows[0].axes.clear();
    let words = drawn(&alone, Against::Depth);
    assert!(words.contains("None − batch") && words.contains("norm (see the legend)"), "{words}");
    alone.rows[0].differences.clear();
    let figure = AblationFigure {
        ablation: &alone,
        against: Against::Depth,
        note: None,
        source: "x",
        width: None,
    };
    let message = figure.svg().unwrap_err().to_string();
    assert_eq!(message, "no runs of two values of norm have finished");
}
