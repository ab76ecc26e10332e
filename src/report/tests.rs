use super::*;
use fathom_record::{CurveRow, RunCurve, State, SweepCurves};
use fathom_stats as stats;

const EVIL: &str = "</script><img src=x onerror=alert('1')>\"&";

fn report() -> Report {
    let run = |seed, state| RunCurve {
        id: format!("run-{seed}"),
        axes: [("arm".to_owned(), EVIL.to_owned())].into(),
        keys: Default::default(),
        seed,
        state,
        rows: vec![
            CurveRow { step: 0, train_err_pct: Some(90.0), ..CurveRow::default() },
            CurveRow { step: 10, train_err_pct: Some(10.5), ..CurveRow::default() },
        ],
    };
    let states = [State::Done, State::Diverged, State::Pending];
    let runs = states.into_iter().zip(0..).map(|(state, seed)| run(seed, state)).collect();
    let curves = SweepCurves { runs };
    let summary = stats::table(&curves);
    let name = EVIL.to_owned();
    let note = Some(EVIL.to_owned());
    Report { name, note, summary, results: curves.into(), ..Report::default() }
}

#[test]
fn text_from_outside_stays_text() {
    let page = html(&report());
    assert!(!page.contains("<img"), "an element came in");
    assert_eq!(page.matches("</script>").count(), 3, "data, plotly.js, and our script");
    let ours = page.rsplit("id=\"data\"").next().expect("the data");
    assert_eq!(page.matches("id=\"data\"").count(), 1);
    assert!(ours.contains("\\u003c/script>\\u003cimg"), "escaped in the JSON");
    assert!(page.contains("<title>&lt;/script&gt;"));
    assert!(
        page.contains("<h1>&lt;/script&gt;&lt;img src=x onerror=alert('1')&gt;&quot;&amp;</h1>")
    );
    assert!(!markdown(&report(), &[]).contains("<img"));
}

#[test]
fn a_column_is_set_to_the_right_if_all_of_its_cells_are_numbers() {
    let mut report = report();
    for (run, arm) in report.results.curves.runs.iter_mut().zip(["1", "1.0", "50% of it"]) {
        run.axes = [("arm", arm), ("depth", "8")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    }
    report.summary = stats::table(&report.results.curves);
    let page = html(&report);
    for arm in ["1", "1.0", "50% of it"] {
        assert!(page.contains(&format!("<td>{arm}</td><td class=\"number\">8</td>")), "{arm}");
    }
    assert!(page.contains("<td class=\"number\">10.50</td>"), "a mean");
    for (cell, is_number) in
        [("14.2 ± 0.4 [13.2, 15.2]", true), ("", true), ("−1e-5", true), ("8 GB", false)]
    {
        assert_eq!(sections::is_numeric(cell), is_number, "{cell}");
    }
}

#[test]
fn a_claim_that_is_not_primary_is_labelled_and_an_open_interval_has_one_end() {
    let verdict: Verdict = serde_json::from_value(serde_json::json!({
        "name": "c", "statement": "s", "metric": "m", "outcome": "exploratory", "reason": null,
        "effect": 4.0, "low": 2.0, "high": null, "confidence": 0.9,
        "region": { "low": 1.0, "high": null }, "n": 3, "planned": 3, "looks": [],
        "seeds_needed": null, "effects": [], "exploratory": [], "added_seeds": [3, 4], "arms": [],
        "remarks": [],
    }))
    .unwrap();
    let table = claims(std::slice::from_ref(&verdict));
    let row = "| **exploratory** | c | s | Effect 4.00, 90.00% interval above 2.00, n = 3. \
               Seeds 3, 4 were added after results had been seen. |";
    assert!(table.contains(row), "{table}");
    let page = html(&Report { verdicts: vec![verdict], ..report() });
    assert!(page.contains("class=\"exploratory\""), "{page}");
}

#[test]
fn missing_and_diverged_runs_are_stated_first() {
    let page = html(&report());
    let head = &page[..page.find("<main>").unwrap()];
    assert!(head.contains("2 of 3 runs have ended"), "{head}");
    assert!(head.contains("1 run diverged"), "{head}");
    assert!(markdown(&report(), &[]).contains("**2 of 3 runs have ended"));
}

#[test]
fn every_number_is_in_the_page_once_in_columns() {
    let found = data::data(&report());
    assert_eq!(found["steps"], serde_json::json!([[0, 10]]));
    assert_eq!(found["metrics"], serde_json::json!(["train_err_pct"]));
    let runs = found["arms"][0]["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    assert_eq!(runs[1]["values"]["train_err_pct"], serde_json::json!([90.0, 10.5]));
    assert_eq!(runs[1]["state"], "diverged");
}

#[test]
fn every_metric_is_a_row_with_its_unit_images_and_tag() {
    let table = metrics();
    assert_eq!(table.lines().count() - 2, fathom_record::METRICS.len());
    let row = "| `test_loss` | test loss | nats | test images | \
               in evaluation mode, without augmentation | `test/loss` |\n";
    assert!(table.contains(row), "{table}");
}

#[test]
fn the_opening_comment_gives_question_and_command() {
    let text = "# Question: does it?\n#           Really?\n# Command:  fathom run x.toml\nname = \"x\"\n# Question: no\n";
    let found = opening_comment(text);
    assert_eq!(found[0], ("Question".into(), "does it? Really?".into()));
    assert_eq!(found[1].1, "fathom run x.toml");
    assert_eq!(found.len(), 2);
    let two =
        "# Command: fathom run x.toml\n#   --smoke\n#          fathom plot results/x\n# Cost: none";
    assert_eq!(opening_comment(two)[0].1, "fathom run x.toml --smoke\nfathom plot results/x");
}

#[test]
fn a_colon_inside_a_paragraph_of_the_opening_comment_starts_no_other() {
    let text =
        "# Question: of two\n# families: which is better?\n#   Adam: or SGD?\n# Command: x\n";
    let question = "of two families: which is better? Adam: or SGD?";
    let expected = [("Question", question), ("Command", "x")];
    assert_eq!(opening_comment(text), expected.map(|(name, text)| (name.into(), text.into())));
}

#[test]
fn the_page_requests_nothing_from_a_network() {
    let page = html(&report());
    let (before, rest) = page.split_once("plotly.js (basic").expect("the plotting script");
    let after = rest.rsplit("</script><script>").next().expect("our script");
    for part in [before, after] {
        assert!(!part.contains("http://") && !part.contains("https://"), "an address");
    }
    assert!(page.contains("default-src 'none'"));
}

/// A report of two families, three depths, two rates and two seeds, whose only claim compares the families.
fn swept() -> Report {
    let mut runs = Vec::new();
    for (family, depth, lr) in ["plain", "residual"]
        .iter()
        .flat_map(|f| ["8", "20", "44"].iter().map(move |d| (f, d)))
        .flat_map(|(family, depth)| ["0.1", "1.0"].iter().map(move |lr| (family, depth, lr)))
    {
        for seed in 0..2 {
            let axes = [("family", *family), ("depth", *depth), ("lr", *lr)];
            runs.push(RunCurve {
                id: format!("{family}-{depth}-{lr}-{seed}"),
                axes: axes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                keys: Default::default(),
                seed,
                state: State::Done,
                rows: vec![CurveRow { train_err_pct: Some(10.0), ..CurveRow::default() }],
            });
        }
    }
    let arm = |id: &str| serde_json::json!({ "label": id, "weight": 1.0, "mean": 1.0, "diverged": 0, "chosen": null, "runs": [id] });
    let verdict: Verdict = serde_json::from_value(serde_json::json!({
        "name": "c", "statement": "s", "metric": "test_err_pct", "outcome": "supported", "reason": null,
        "effect": 4.0, "low": 2.0, "high": null, "confidence": 0.9, "region": { "low": 1.0, "high": null },
        "n": 3, "planned": 3, "looks": [], "seeds_needed": null, "effects": [], "exploratory": [],
        "arms": [arm("plain-44-0.1-0"), arm("residual-44-0.1-0")], "remarks": [],
    }))
    .unwrap();
    let curves = SweepCurves { runs };
    let summary = stats::table(&curves);
    Report { summary, results: curves.into(), verdicts: vec![verdict], ..Report::default() }
}

#[test]
fn figures_begin_with_what_is_swept_and_what_claims_compare() {
    let names = |report: &Report| {
        let found = data::data(report);
        let name = |place: &serde_json::Value| {
            place.as_u64().map(|place| found["keys"][place as usize]["name"].clone())
        };
        let view = &found["view"];
        let heat = view["heat"].as_array().map(|pair| pair.iter().map(name).collect::<Vec<_>>());
        (["x", "colour", "panels"].map(|part| name(&view[part])), heat, view["metric"].clone())
    };
    let (parts, heat, metric) = names(&swept());
    let some = |name: &str| Some(serde_json::Value::from(name));
    assert_eq!(parts, [some("depth"), some("family"), None]);
    assert_eq!(heat, Some(vec![some("lr"), some("depth")]));
    assert_eq!(metric, "test_err_pct");
    let (parts, ..) =
        names(&Report { colour: Some("depth".into()), facet: Some("family".into()), ..swept() });
    assert_eq!(parts, [some("lr"), some("depth"), some("family")], "as was asked for");
}

#[test]
fn every_row_of_a_configuration_names_it_so_that_chips_can_hide_it() {
    let page = html(&swept());
    // A row of final values, and one of each of its two runs.
    for arm in 0..12 {
        assert_eq!(page.matches(&format!("<tr data-arm=\"{arm}\">")).count(), 3, "{arm}");
    }
    let conditions = Some("lr = 0.1".to_owned());
    let part = html(&Report { conditions, ..swept() });
    assert!(part.contains("Only runs with lr = 0.1 are shown; the verdicts are about all runs."));
}
