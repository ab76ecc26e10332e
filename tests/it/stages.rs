//! Experiments that tune a key on seeds of their own before the other seeds run.

use crate::support::{fail, fathom, with_experiment};

/// Two depths, each with three rates on two seeds, and the best one on three others.
pub const STAGES: &str = r#"
[sweep]
"network.depth" = [8, 14]
"training.lr" = [0.001, 0.1, 0.2]
seed = [0, 1, 2]

[tune]
over = "training.lr"
seeds = [100, 101]
by = "train_loss"

[[claim]]
name = "deeper is no better"
metric = "train_loss"
of = { depth = 8 }
no_worse_than = { depth = 14 }
margin = 5
"#;

#[test]
fn both_stages_are_planned() {
    let folder = with_experiment(STAGES);
    let output = fathom(folder.path())
        .args(["plan", "tiny.toml", "--format", "csv"])
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = "first stage: 12 runs with seeds 100, 101; second stage: 6 runs with seeds 0, 1, 2, each of \
                    2 configurations at its training.lr with the lowest mean train_loss in the first stage";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("tiny: 18 runs"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1 + 12);
}

#[test]
fn an_experiment_without_its_second_stage_says_why_and_fails() {
    let folder = with_experiment(&STAGES.replace("[0.001, 0.1, 0.2]", "[1e20, 1e25]"));
    for _ in 0..2 {
        let errors = fail(folder.path(), 3, &["run", "tiny.toml", "--device", "cpu"]);
        assert!(errors.contains("8: no second stage: every run that chooses for"), "{errors}");
    }
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    for (from, to, said) in [
        ("seeds = [100, 101]", "seeds = [100]", "tune: seeds: expected two or more"),
        ("seeds = [100, 101]", "seeds = [2, 100]", "tune: seed 2 is also a seed of the sweep"),
        (
            "over = \"training.lr\"",
            "over = \"training.momentum\"",
            "give this key two or more values in [sweep]",
        ),
        (
            "by = \"train_loss\"",
            "by = \"test_loss\"",
            "tune: by = \"test_loss\": expected one of train_err_pct",
        ),
        ("by =", "buy =", "buy"),
        (
            "by = \"train_loss\"",
            "by = \"validation_loss\"",
            "claim \"deeper is no better\": tune: by = \"validation_loss\": expected train_err_pct or",
        ),
        (
            "metric = \"train_loss\"",
            "metric = \"test_loss\"",
            "tune: by = \"train_loss\": expected validation_err_pct or validation_loss",
        ),
        (
            "by = \"train_loss\"\n\n[[claim]]\nname = \"deeper is no better\"\nmetric = \"train_loss\"",
            "by = \"validation_loss\"\n\n[[claim]]\nname = \"deeper is no better\"\nmetric = \"test_loss\"",
            "tune: validation_loss needs validation images: set data.validation",
        ),
        ("over = \"training.lr\"", "over = \"seed\"", "seed: claims are over all seeds"),
        (
            "of = { depth = 8 }",
            "of = { depth = 8, \"training.lr\" = 0.1 }",
            "training.lr is chosen by [tune]",
        ),
        (
            "margin = 5",
            "margin = 5\ntune = { over = \"training.lr\", seeds = [100, 101] }",
            "the table [tune] tunes all",
        ),
    ] {
        let text = STAGES.replacen(from, to, 1);
        assert_ne!(text, STAGES);
        let folder = with_experiment(&text);
        let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
        assert!(errors.contains(said) && errors.contains("tiny.toml:"), "{errors}");
    }
    let folder = with_experiment(STAGES);
    let path = folder.path().join("tiny.toml");
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, format!("looks = [3, 5]\n{text}")).expect("writable");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(errors.contains("tune: not with looks"), "{errors}");
    std::fs::write(&path, text).expect("writable");
    let errors = fail(folder.path(), 2, &["run", "tiny.toml", "--begin-from", "results/x"]);
    assert!(errors.contains("--begin-from: not with [tune]"), "{errors}");
}

#[cfg(feature = "train")]
mod trained {
    use super::*;
    use crate::support::succeed;
    use fathom::record::{Resolved, RunDir, State};
    use std::path::Path;

    /// Ids of the runs that are done, without their hashes.
    fn done(folder: &Path) -> Vec<String> {
        let runs = std::fs::read_dir(folder.join("results/tiny/runs")).expect("runs");
        let runs = runs.map(|run| RunDir::new(run.expect("readable").path()));
        let done = runs.filter(|run| run.status().expect("a status").state == State::Done);
        let mut ids: Vec<String> = done.map(|run| run.id()).collect();
        ids.sort();
        ids.into_iter().map(|id| id.rsplit_once('-').expect("a hash").0.to_owned()).collect()
    }

    #[test]
    fn the_second_stage_runs_the_best_value_of_each_configuration() {
        let folder = with_experiment(STAGES);
        let command = ["run", "tiny.toml", "--device", "cpu"];
        succeed(folder.path(), &command);
        let ids = done(folder.path());
        let tuning = ids.iter().filter(|id| id.contains("-s10")).count();
        assert_eq!((tuning, ids.len()), (12, 18), "{ids:?}");
        // The least rate learns least in so few updates.
        for depth in [8, 14] {
            let of_verdict =
                |id: &&String| id.contains(&format!("-{depth}-")) && !id.contains("-s10");
            let chosen: Vec<&String> = ids.iter().filter(of_verdict).collect();
            let rate = |id: &str| id.rsplit('-').nth(1).map(str::to_owned);
            assert_eq!(chosen.len(), 3, "{chosen:?}");
            assert!(chosen.iter().all(|id| rate(id) == rate(chosen[0])), "{chosen:?}");
            assert!(chosen.iter().all(|id| !id.contains("-0.001-")), "{chosen:?}");
        }
        let resolved_path = folder.path().join("results/tiny/resolved.json");
        let resolved = std::fs::read(&resolved_path).expect("there");
        let resolved: Resolved = serde_json::from_slice(&resolved).expect("JSON");
        assert_eq!((resolved.runs.len(), resolved.added_seeds.len()), (18, 0));

        let status = |folder: &Path| {
            let output =
                super::fathom(folder).args(["status", "results/tiny"]).output().expect("starts");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        assert!(!status(folder.path()).contains("second stage"));

        // The same command trains nothing again, and one that was stopped in the second stage resumes there.
        let lost = std::fs::read_dir(folder.path().join("results/tiny/runs")).expect("runs");
        let lost = lost.map(|run| run.expect("readable").path());
        let lost = lost.filter(|run| run.to_string_lossy().contains("-s2-"));
        lost.for_each(|run| std::fs::remove_dir_all(run).expect("there"));
        succeed(folder.path(), &command);
        assert_eq!(done(folder.path()), ids);
        let resolved = std::fs::read(&resolved_path).expect("there");
        let resolved: Resolved = serde_json::from_slice(&resolved).expect("JSON");
        assert_eq!((resolved.runs.len(), resolved.added_seeds.len()), (18, 0));

        let claims = std::fs::read_to_string(folder.path().join("results/tiny/claims.json"))
            .expect("written");
        let claims: serde_json::Value = serde_json::from_str(&claims).expect("JSON");
        assert_eq!(claims[0]["n"], 3, "{claims}");

        // Without claims too, the tuning seeds choose, and only the other ones are compared.
        let file = folder.path().join("results/tiny/experiment.toml");
        let text = std::fs::read_to_string(&file).expect("readable");
        let without_claims = text.split("[[claim]]").next().expect("a beginning");
        std::fs::write(&file, without_claims).expect("writable");
        let compare = [
            "compare",
            "results/tiny",
            "--over",
            "depth",
            "--metric",
            "train_loss",
            "--format",
            "json",
        ];
        let rows: Vec<serde_json::Value> =
            serde_json::from_str(&succeed(folder.path(), &compare)).expect("JSON");
        let best: Vec<_> = rows.iter().filter(|row| row["at"] == "best").collect();
        assert_eq!(best.len(), 1, "{rows:?}");
        assert_eq!((&best[0]["n"], &best[0]["chosen_by"]), (&3.into(), &"other-seeds".into()));
    }
}
