//! A worker process that trains one run after the other: nothing of a run depends on those before it.

use crate::support::{outcomes, succeed, with_experiment};
use fathom::record::{RunDir, SweepDir};
use std::collections::BTreeMap;
use std::path::Path;

/// Nets of several families, sizes and formats; the first is the largest, so that it would leave the most behind.
const ARMS: &str = r#"
[[arm]]
name = "large"
"network.width" = 32
"data.size" = 32
"training.batch" = 100
[[arm]]
name = "dropout"
"network.family" = "dense"
"network.depth" = 10
"network.growth" = 4
"network.dropout" = 0.3
[[arm]]
name = "adam"
"training.optimiser" = "adam"
"training.lr" = 0.001
[[arm]]
name = "bf16"
"training.precision" = "bf16"
"#;

const RUN: [&str; 7] = ["run", "tiny.toml", "--device", "cpu", "--threads", "1", "--jobs"];

fn runs(results: &Path) -> BTreeMap<String, RunDir> {
    let runs = std::fs::read_dir(results.join("runs")).expect("results");
    let runs = runs.map(|run| RunDir::new(run.expect("readable").path()));
    runs.map(|run| (run.manifest().expect("a manifest").arm.expect("an arm"), run)).collect()
}

#[test]
fn a_run_is_the_same_in_a_fresh_process_and_after_others() {
    let folder = with_experiment(ARMS);
    let at = |name: &str| folder.path().join(name);
    succeed(folder.path(), &[&RUN[..], &["1", "--out", "one-process"]].concat());
    for arm in ["large", "dropout", "adam", "bf16"] {
        let only = format!("{arm}-*");
        succeed(folder.path(), &[&RUN[..], &["1", "--out", "fresh", "--only", &only]].concat());
    }
    assert_eq!(outcomes(&at("one-process")), outcomes(&at("fresh")));
    let (reused, fresh) = (runs(&at("one-process")), runs(&at("fresh")));
    assert_eq!(reused.len(), 4);
    let bytes = |run: &RunDir| run.status().expect("a status").peak_memory_bytes as f64;
    let start = |run: &RunDir| run.status().expect("a status").spent.start;
    // The longest run comes first.
    let later = reused.iter().filter(|(arm, _)| *arm != "large");
    for (arm, run) in later {
        let (own, alone) = (bytes(run), bytes(&fresh[arm]));
        assert!(own < 1.5 * alone, "{arm}: {own} bytes, in a process of its own {alone}");
        assert!(own < 0.9 * bytes(&reused["large"]), "{arm} has the peak of the run before");
        assert!(start(run) < start(&fresh[arm]), "{arm} begins without the start of a process");
    }
    let curves = SweepDir::new(at("one-process")).load().expect("curves");
    assert_eq!(curves.runs.len(), 4);
}
