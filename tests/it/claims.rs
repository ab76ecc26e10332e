//! Claims as a user meets them.

use crate::support::{copy_folder, fail, fathom, succeed, with_experiment};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of results that are published with the program, with these claims instead of its own.
fn published(claims: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-small");
    copy_folder(&from, &folder.path().join("quick"));
    let experiment = folder.path().join("quick/experiment.toml");
    let text = std::fs::read_to_string(&experiment).expect("an experiment");
    let text = text.split("[[claim]]").next().expect("a beginning");
    std::fs::write(experiment, format!("{text}{claims}")).expect("writable");
    folder
}

/// Standard error of a command line.
fn errors_of(folder: &Path, arguments: &[&str]) -> String {
    let output = fathom(folder).args(arguments).output().expect("the program starts");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn claim(name: &str, text: &str) -> String {
    format!("\n[[claim]]\nname = \"{name}\"\nof = {{ family = \"plain\", depth = 44 }}\n{text}\n")
}

fn runs_of(folder: &TempDir, prefix: &str) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(folder.path().join("quick/runs")).expect("runs");
    let paths = runs.map(|entry| entry.expect("readable").path());
    let is_meant = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    paths.filter(is_meant).collect()
}

/// Layers as they would be with a gradient that doubles in each.
fn write_layers(folder: &TempDir) {
    for run in runs_of(folder, "plain-44") {
        let row = |(layer, norm): (u64, f64)| fathom::record::LayerRow {
            schema: 1,
            step: 4200,
            layer,
            name: format!("layer1.{layer}.conv1"),
            gradient_norm: Some(norm),
            ..Default::default()
        };
        let rows: Vec<_> = [(1, 4.0), (2, 2.0), (3, 1.0)].map(row).into();
        let writer = fathom::record::LayerWriter::create(&run.join("layers.csv"));
        writer.and_then(|mut writer| writer.append(&rows)).expect("writable");
    }
}

#[test]
fn each_verdict_has_its_exit_code() {
    let (holds, fails) = ("at_most = 100", "at_most = 1");
    let supported = published(&claim("holds", holds));
    let table = succeed(supported.path(), &["check", "quick"]);
    assert!(table.lines().nth(1).is_some_and(|row| row.starts_with("supported")), "{table}");
    let claims =
        std::fs::read_to_string(supported.path().join("quick/claims.json")).expect("written");
    let claims: serde_json::Value = serde_json::from_str(&claims).expect("JSON");
    assert_eq!((&claims[0]["outcome"], &claims[0]["n"]), (&"supported".into(), &5.into()));

    let refuted = published(&(claim("holds", holds) + &claim("fails", fails)));
    let output = fathom(refuted.path())
        .args(["check", "quick", "--format", "csv"])
        .output()
        .expect("starts");
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\nrefuted,fails,train_err_pct,"), "{text}");

    let undecided = published(&claim("holds", holds));
    std::fs::remove_dir_all(&runs_of(&undecided, "plain-44-s1")[0]).expect("there");
    let said = fail(undecided.path(), 5, &["check", "quick"]);
    assert!(said.contains("4 of 5 seeds are complete (plain-44-s1-"), "{said}");
    assert!(said.contains("has not begun)"), "{said}");
    // As runs are that train now, or were killed without a trace.
    for run in runs_of(&undecided, "plain-44") {
        std::fs::remove_file(run.join("status.json")).expect("there");
    }
    let said = fail(undecided.path(), 5, &["check", "quick"]);
    assert!(said.contains("0 of 5 seeds are complete (plain-44-s0-"), "{said}");
    assert!(said.contains("has not ended)") && !said.contains("means: ;"), "{said}");
    let table = succeed(undecided.path(), &["status", "quick", "--format", "csv"]);
    let rows = table.lines().filter(|row| row.starts_with("plain-44-s0"));
    assert!(rows.clone().count() == 1, "{table}");
    assert!(rows.clone().all(|row| row.contains("fathom run resumes it")), "{table}");
}

#[test]
fn a_claim_whose_runs_set_takes_away_is_set_aside() {
    let claims = "[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1]\n\
                  [[claim]]\nname = \"both\"\nprimary = true\nhigher = { depth = 8 }\nlower = { depth = 14 }\n\
                  [[claim]]\nname = \"one\"\nof = { depth = 8 }\nat_most = 100\n";
    let folder = with_experiment(claims);
    let run = ["run", "tiny.toml", "--device", "cpu", "--set"];
    let said = errors_of(folder.path(), &[&run[..], &["network.depth=[8, 20]"]].concat());
    let expected = "note: set aside because of --set: claim \"both\": no run has network.depth = 14; valid: 8, 20";
    assert!(said.contains(expected), "{said}");
    let said = errors_of(folder.path(), &["check", "results/tiny"]);
    assert!(said.contains("note: \"both\" is not checked: run --set took away its runs"), "{said}");
    // The other claim is not primary, whether or not a primary one remains, so nothing is supported.
    let check = ["check", "results/tiny", "--format", "csv"];
    let output = fathom(folder.path()).args(check).output().expect("it starts");
    assert_eq!(output.status.code(), Some(5));
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.contains("\nexploratory,one,") && !table.contains("both"), "{table}");
    succeed(folder.path(), &["report", "results/tiny"]);
    for file in ["summary.md", "report.html"] {
        let text = std::fs::read_to_string(folder.path().join("results/tiny").join(file));
        let expected = "Not tested, since values of --set took away their runs: ";
        assert!(text.expect(file).contains(expected), "{file}");
    }
    // With the file's own values, all claims are tested again.
    succeed(folder.path(), &[&run[..], &["network.depth=[8, 14, 20]"]].concat());
    let said = errors_of(folder.path(), &["check", "results/tiny"]);
    assert!(!said.contains("not checked"), "{said}");
    // A claim without runs in the file alone is refused, with --set too.
    let folder = with_experiment(&claims.replace("depth = 14 }", "depth = 44 }"));
    let said = fail(folder.path(), 2, &["plan", "tiny.toml", "--set", "seed=[0, 1, 2]"]);
    assert!(said.contains("no run has network.depth = 44; valid: 8, 14"), "{said}");
}

#[test]
fn a_claim_that_is_not_primary_has_an_interval_and_no_say() {
    let folder = published(
        &(claim("holds", "at_most = 100\nprimary = true") + &claim("fails", "at_most = 1")),
    );
    let table = succeed(folder.path(), &["check", "quick", "--format", "csv"]);
    assert!(table.contains("\nsupported,holds,"), "{table}");
    assert!(table.contains("\nexploratory,fails,train_err_pct,49."), "{table}");
}

#[test]
fn a_claim_may_be_about_a_step_and_about_layers() {
    let early = published(&claim("early", "metric = \"train_err_pct\"\nstep = 0\nat_least = 80"));
    let said = errors_of(early.path(), &["check", "quick"]);
    assert!(said.contains("train_err_pct after 0 updates of plain 44 is at least 80%"), "{said}");

    let never = published(&claim("never", "step = 123\nat_least = 80"));
    let said = fail(never.path(), 5, &["check", "quick"]);
    assert!(said.contains("has no train_err_pct after 123 updates"), "{said}");

    let epochs = published(&claim("whole", "step = \"53.76 epochs\"\nat_least = 40"));
    let said = errors_of(epochs.path(), &["check", "quick"]);
    assert!(
        said.contains("train_err_pct after 53.76 epochs of plain 44 is at least 40%"),
        "{said}"
    );
    assert!(said.contains("49.66"), "{said}");

    let growth = "metric = \"gradient_growth\"\nat_most = { published = \"batchnorm-relu/gradient-growth\" }";
    let layers = published(&claim("layers", growth));
    let said = fail(layers.path(), 5, &["check", "quick"]);
    assert!(said.contains("has no gradient_growth in its last row"), "{said}");
    write_layers(&layers);
    let said = fail(layers.path(), 4, &["check", "quick"]);
    assert!(said.contains("gradient_growth of plain 44 is at most 1.2112\n"), "{said}");
    assert!(
        said.contains("published: batchnorm-relu/gradient-growth = 1.2112 (1902.08129"),
        "{said}"
    );

    let one = "metric = \"gradient_norm\"\nlayer = \"layer1.2.conv1\"\nat_most = 2.5";
    let all = "metric = \"gradient_norm\"\nstep = 4200\nover_layers = \"max\"\nat_least = 3.5";
    let columns = published(&(claim("one", one) + &claim("all", all)));
    write_layers(&columns);
    let table = succeed(columns.path(), &["check", "quick", "--format", "csv"]);
    assert!(table.contains("\nsupported,one,gradient_norm,2.0,"), "{table}");
    assert!(table.contains("\nsupported,all,gradient_norm,4.0,"), "{table}");
    assert!(table.contains("gradient_norm in layer layer1.2.conv1 of plain 44 is at most 2.5"));
    assert!(table.contains("max of gradient_norm over all layers after 4200 updates of plain 44"));

    let wrong = published(&claim("wrong", "step = \"end\"\nat_least = 80"));
    let said = fail(wrong.path(), 2, &["check", "quick"]);
    assert!(said.contains("expected a number of updates, from 0"), "{said}");
}

#[test]
fn a_claim_about_no_run_and_a_file_without_claims_are_told_so() {
    let folder = published("\n[[claim]]\nname = \"c\"\nof = { depth = 56 }\nat_most = 1\n");
    let said = fail(folder.path(), 2, &["check", "quick"]);
    assert!(said.contains("experiment.toml:"), "{said}");
    assert!(said.contains("no run has network.depth = 56; valid: 8, 20, 44"), "{said}");
    let said = fail(published("").path(), 5, &["check", "quick"]);
    assert!(said.contains("makes no claims"), "{said}");
}

#[test]
fn claims_are_checked_from_the_published_table_alone() {
    let folder = published(&claim("holds", "at_most = 100"));
    let alone = |folder: &TempDir| succeed(folder.path(), &["check", "quick"]);
    let with_runs = alone(&folder);
    std::fs::remove_dir_all(folder.path().join("quick/runs")).expect("there");
    assert_eq!(alone(&folder), with_runs);
}

#[cfg(feature = "train")]
#[test]
fn seeds_are_added_until_claims_are_decided_and_no_further() {
    use crate::support::with_experiment;
    let claims = r#"
[sweep]
"network.depth" = [8, 14]
seed = [0, 1]

[[claim]]
name = "decided at once"
of = { depth = 8 }
at_most = 1_000_000

[[claim]]
name = "never decided"
of = { depth = 14 }
same_as = { depth = 8 }
margin = 0.001
"#;
    let folder = with_experiment(claims);
    let file = folder.path().join("tiny.toml");
    let text = std::fs::read_to_string(&file).expect("an experiment");
    std::fs::write(&file, format!("looks = [2, 3, 4]\n{text}")).expect("writable");
    let runs = || {
        let runs = std::fs::read_dir(folder.path().join("results/tiny/runs")).expect("runs");
        runs.count()
    };
    // The file's own seeds first.
    let run = ["run", "tiny.toml", "--device", "cpu", "--threads", "1"];
    succeed(folder.path(), &run);
    assert_eq!(runs(), 4);
    let decided: Vec<&str> = run.into_iter().chain(["--until-decided"]).collect();
    let output = fathom(folder.path()).args(&decided).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("undecided: never decided; 3 seeds next"), "{said}");
    assert!(said.contains("undecided: never decided; 4 seeds next"), "{said}");
    assert!(said.contains("supported  decided at once"), "{said}");
    assert_eq!(runs(), 8, "both arms of one claim, four seeds");
    // Without the flag the directory is still this experiment's.
    succeed(folder.path(), &run);
    fail(folder.path(), 5, &["check", "results/tiny"]);

    let plain = with_experiment("");
    let said = fail(plain.path(), 2, &decided);
    assert!(said.contains("no looks: add looks ="), "{said}");
}
