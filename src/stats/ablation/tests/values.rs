//! The values that are compared, and the best ones of a key that others follow from.

use super::*;

#[test]
fn a_number_may_be_written_otherwise_than_in_the_results() {
    let all = sweep(RATES, &|norm, _, rate, seed| Some(by_rate(norm, rate, seed)), None);
    let base = Ablation::of(&all, &over("lr")).unwrap();
    let last = base.values.last().unwrap();
    let question = Question { baseline: Some(format!("{last}0")), ..over("lr") };
    assert_eq!(Ablation::of(&all, &question).unwrap().values.first(), Some(last));
    // Of two arms that are named by equal numbers, the one of this very text is meant.
    let arms = "[[arm]]\nname = \"1\"\n[[arm]]\nname = \"1.0\"\n\"network.norm\" = \"none\"\n";
    let all = sweep(arms, &|_, _, _, _| Some(10.0), None);
    for baseline in ["1", "1.0"] {
        let question = Question { baseline: Some(baseline.into()), ..over("arm") };
        assert_eq!(Ablation::of(&all, &question).unwrap().values[0], baseline);
    }
}

#[test]
fn keys_that_follow_from_the_swept_one_do_not_split_what_it_is_chosen_among() {
    // Without normalisation there is no norm_eps, and plain networks have no shortcut.
    let error: Error = &|norm, _, rate, _| {
        Some(if norm == "none" { 20.0 + 10.0 * rate } else { 30.0 - 10.0 * rate })
    };
    let all = sweep(RATES, error, None);
    let best = |name: &str, over: &str| Question { best: Some(name.into()), ..super::over(over) };
    let found = Ablation::of(&all, &best("norm", "lr")).unwrap();
    let rows: Vec<(At, &str, Option<&str>)> = found
        .rows
        .iter()
        .map(|row| (row.at, row.other.value.as_str(), row.other.chosen.as_deref()))
        .collect();
    let (best_of, equal) = rows.split_at(2);
    // 20.1 without and 29.9 with it at 0.01, 21 and 29 at 0.1, 30 and 20 at 1.
    assert_eq!(best_of, [(At::Best, "0.1", Some("none")), (At::Best, "1.0", Some("batch"))]);
    assert_eq!(equal.len(), 4, "two rates at each norm");
    assert!(equal.iter().all(|(at, _, norm)| *at == At::Equal && norm.is_some()), "{rows:?}");
    assert_eq!((found.swept(), found.axes.len()), (Some("norm"), 0));
    let families = format!("{NORMS}\"network.family\" = [\"plain\", \"residual\"]\n");
    let found = Ablation::of(&sweep(&families, error, None), &best("family", "norm")).unwrap();
    let at_best = found.rows.iter().filter(|row| row.at == At::Best).count();
    assert_eq!((at_best, found.rows.len()), (2, 6), "two depths, of two families each");
}

#[test]
fn a_swept_key_whose_best_value_is_not_one_choice_is_refused() {
    let error: Error = &|_, _, _, _| Some(10.0);
    let text = format!("{RATES}\"network.norm_eps\" = [1e-5, 1e-3]\n");
    let question = Question { best: Some("norm".into()), ..over("lr") };
    let refused = Ablation::of(&sweep(&text, error, None), &question).unwrap_err().to_string();
    assert!(
        refused
            .starts_with("--best norm: at norm batch the runs of lr 0.01 also differ in norm_eps"),
        "{refused}"
    );
    let question = Question { best: Some("norm".into()), ..over("norm_eps") };
    let refused = Ablation::of(&sweep(&text, error, None), &question).unwrap_err().to_string();
    assert_eq!(
        refused,
        "--best norm: no side of a comparison over norm_eps has several values of it"
    );
}
