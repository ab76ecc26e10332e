//! Results live longer than programs: `tests/fixtures/results` holds results of November 2026, which
//! every later version must read to the same values. Files are never changed there; what a later
//! version writes otherwise may be added as a further directory.

use crate::support::{copy_folder, fail, fathom, succeed};
use fathom::record::{RunCurve, SCHEMA, SweepDir, metric_columns};
use fathom::spec::LayerMetric;
use fathom::stats::{Layerwise, table, table_columns};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Set to make the derived files again instead of comparing them.
const RENEW: &str = "FATHOM_RENEW";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/results")
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("resolved.json").exists())
        .collect();
    found.sort();
    found
}

/// One line for a run, and one for each of its rows with everything that was measured.
fn curve(run: &RunCurve) -> String {
    let axes: Vec<String> =
        run.axes.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    let mut text = format!("{} {} seed={} {}\n", run.id, run.state, run.seed, axes.join(" "));
    for row in &run.rows {
        write!(text, "  {}:", row.step).expect("memory");
        for column in metric_columns().chain(["epoch", "lr", "seconds"]) {
            if let Some(value) = row.metric(column) {
                write!(text, " {column}={value}").expect("memory");
            }
        }
        text.push('\n');
    }
    text
}

/// What else is known of a run: how it was made, and the statistics of its layers.
fn further(directory: &SweepDir, id: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if let Some(made) =
        directory.provenance()?.remove(id).and_then(|provenance| provenance.manifest)
    {
        let execution = &made.execution;
        writeln!(
            text,
            "  made: classes={} images={} parameters={} macs={} data={} {} {} threads={}",
            made.classes,
            made.train_images,
            made.parameters,
            made.macs,
            made.data,
            execution.device,
            execution.layout,
            execution.threads
        )?;
    }
    let run = directory.run(id);
    let layers = run.layers()?;
    let last = layers.last().map_or(0, |row| row.step);
    for row in layers.iter().filter(|row| row.step == last) {
        let figures = (row.weight_norm, row.response_sd, row.cosine);
        writeln!(text, "  layer {} {}: {figures:?}", row.layer, row.name)?;
    }
    for metric in [LayerMetric::FirstToLast, LayerMetric::Growth] {
        for step in [Some(0), Some(1), None] {
            if let Some(value) = Layerwise::figure(&layers, metric, step) {
                writeln!(text, "  {metric} {step:?}: {value}")?;
            }
        }
    }
    let (slices, correlations) = (run.slices()?, run.correlations()?);
    let losses: f64 = slices.iter().map(|row| row.train_loss).sum();
    let cosines: f64 = correlations.iter().map(|row| row.correlation).sum();
    if slices.len() + correlations.len() > 0 {
        writeln!(text, "  slices {} {losses}, {} {cosines}", slices.len(), correlations.len())?;
    }
    Ok(text)
}

/// Everything that is read of a results directory, as text.
fn read(root: &Path) -> anyhow::Result<String> {
    let directory = SweepDir::new(root);
    let curves = directory.load()?;
    let mut text = String::new();
    for run in &curves.runs {
        text += &curve(run);
        text += &further(&directory, &run.id)?;
    }
    for row in table(&curves).rows {
        let counts = [row.runs, row.done, row.diverged, row.unfinished];
        writeln!(text, "summary {}: {counts:?}", row.axes.join(" "))?;
        for (column, summary) in table_columns().zip(&row.metrics) {
            if let Some(summary) = summary {
                writeln!(text, "  {column}: {} {:?}", summary.mean, summary.sd)?;
            }
        }
        if let Some(best) = row.best {
            writeln!(text, "  best by {}: {}", best.by, best.error.mean)?;
        }
    }
    Ok(text)
}

/// After a stated change of what is read, the expected values are made again by
/// `FATHOM_RENEW=1 cargo test --no-default-features --test it old_results`.
#[test]
fn results_of_earlier_versions_read_to_the_same_values() {
    let expected = fixture().join("expected.txt");
    let mut found = String::new();
    for root in directories(&fixture()) {
        let name = root.file_name().expect("a name").to_string_lossy().into_owned();
        found += &format!("# {name}\n{}", read(&root).unwrap_or_else(|e| panic!("{name}: {e:#}")));
    }
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&expected, found).expect("writable");
        return;
    }
    let expected = std::fs::read_to_string(expected).expect("readable");
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "expected.txt, line {}", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    // Directories without runs, with a pending run, and with a run that diverged are among them.
    for (what, count) in [("# ", 3), (" pending ", 1), (" diverged ", 2), ("  layer ", 16)] {
        assert_eq!(expected.matches(what).count(), count, "{what}");
    }
    assert_eq!(SCHEMA, 1, "a new schema needs a directory of its own here");
}

/// The committed `curves.csv` of all results are made again by
/// `FATHOM_RENEW=1 cargo test --no-default-features --test it old_results`.
#[test]
fn committed_curves_are_what_the_program_makes_of_the_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let roots = directories(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results"));
    assert!(roots.len() >= 16, "{}", roots.len());
    for root in roots {
        let directory = SweepDir::new(&root);
        assert!(directory.has_begun(), "{} keeps its runs", root.display());
        let curves = directory.load().unwrap_or_else(|error| panic!("{error:#}"));
        if std::env::var_os(RENEW).is_some() {
            curves.write(&directory.curves()).expect("writable");
        }
        let made = folder.path().join("curves.csv");
        curves.write(&made).expect("writable");
        let [made, committed] =
            [made, directory.curves()].map(|path| std::fs::read(path).expect("readable"));
        assert!(made == committed, "{} is stale", directory.curves().display());
    }
}

/// A table with its columns in reverse order, without the columns `without`, and with further ones.
fn rearranged(text: &str, without: &[&str], further: &[(&str, &str)]) -> String {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let kept: Vec<usize> =
        (0..header.len()).rev().filter(|place| !without.contains(&&header[*place])).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = kept.iter().map(|place| &header[*place]);
    writer.write_record(names.chain(further.iter().map(|(name, _)| *name))).expect("memory");
    for record in reader.records() {
        let record = record.expect("a row");
        let cells = kept.iter().map(|place| &record[*place]);
        writer.write_record(cells.chain(further.iter().map(|(_, cell)| *cell))).expect("memory");
    }
    String::from_utf8(writer.into_inner().expect("memory")).expect("text")
}

/// Results whose files have other columns and keys than this version writes.
fn with_other_columns() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = folder.path().join("other");
    copy_folder(&fixture().join("degradation"), &results);
    std::fs::remove_file(results.join("resolved.json")).expect("removable");
    for entry in std::fs::read_dir(results.join("runs")).expect("runs") {
        let run = entry.expect("a run").path();
        let change = |file: &str, change: &dyn Fn(String) -> String| {
            let path = run.join(file);
            let text = std::fs::read_to_string(&path).expect("readable");
            std::fs::write(path, change(text)).expect("writable");
        };
        let further = [("top5_pct", "12.5"), ("phase", "late"), ("seed", "7")];
        change("curve.csv", &|text| rearranged(&text, &["schema", "epoch", "lr"], &further));
        change("layers.csv", &|text| rearranged(&text, &["schema", "cosine"], &[("rank", "3")]));
        change("run.json", &|text| text.replacen('{', "{\n  \"mood\": [1, 2],", 1));
    }
    folder
}

#[test]
fn columns_are_found_by_name_and_the_rest_reads_as_before() {
    let folder = with_other_columns();
    let [before, after] =
        [fixture().join("degradation"), folder.path().join("other")].map(|root| {
            let directory = SweepDir::new(root);
            let mut curves = directory.load().unwrap_or_else(|error| panic!("{error:#}"));
            curves.runs.retain(|run| !run.rows.is_empty());
            let layers =
                curves.runs.iter().map(|run| directory.run(&run.id).layers().expect("layers"));
            let layers = layers.collect::<Vec<_>>();
            (curves.runs, layers)
        });
    assert_eq!(before.0.len(), 2);
    let (mut runs, mut layers) = before;
    for row in runs.iter_mut().flat_map(|run| &mut run.rows) {
        (row.epoch, row.lr) = (None, None);
        row.extra = [("top5_pct".to_owned(), 12.5)].into();
    }
    layers.iter_mut().flatten().for_each(|row| row.cosine = None);
    assert_eq!(after, (runs, layers));
}

const CLAIM: &str = "name = \"other\"\n[[claim]]\nname = \"top 5\"\nmetric = \"top5_pct\"\n\
                     of = { family = \"plain\", depth = 8 }\nat_most = 20\n";

#[test]
fn an_extra_column_is_a_metric_of_every_command() {
    let folder = with_other_columns();
    let experiment = folder.path().join("other/experiment.toml");
    std::fs::write(&experiment, CLAIM).expect("writable");
    let verdict = succeed(folder.path(), &["check", "other", "--format", "csv"]);
    assert!(verdict.contains("\nsupported,top 5,top5_pct,12.5,"), "{verdict}");
    assert!(verdict.contains("top5_pct of plain 8 is at most 20%"), "{verdict}");
    succeed(folder.path(), &["report", "other", "--out", "report.html"]);
    let page = std::fs::read_to_string(folder.path().join("report.html")).expect("written");
    assert!(page.contains("\"top5_pct\":[12.5,"), "the curves of the page have it");
    let wide = succeed(folder.path(), &["export", "other", "--wide", "--metric", "top5_pct"]);
    assert!(wide.contains("\n0,12.5,12.5\n"), "{wide}");
    let same = ["compare", "other", "other", "--metric", "top5_pct", "--format", "csv"];
    let same = succeed(folder.path(), &same);
    assert!(same.contains(",top5_pct,12.5,12.5,0.0"), "{same}");
    let drawn = ["plot", "other", "--metric", "top5_pct", "--figure", "curves", "--format", "svg"];
    succeed(folder.path(), &drawn);
    let figure = folder.path().join("other/figures/curves.svg");
    let figure = std::fs::read_to_string(figure).expect("drawn");
    assert!(figure.contains("top5_pct") && !figure.contains("test error"), "one column alone");

    for (command, said) in [
        ("plot", fail(folder.path(), 2, &["plot", "other", "--metric", "top5_pc"])),
        ("export", fail(folder.path(), 2, &["export", "other", "--wide", "--metric", "top5_pc"])),
        ("compare", fail(folder.path(), 2, &["compare", "other", "other", "--metric", "top5_pc"])),
        ("check", {
            std::fs::write(&experiment, CLAIM.replace("top5_pct", "top5_pc")).expect("writable");
            fail(folder.path(), 2, &["check", "other"])
        }),
    ] {
        assert!(said.contains("did you mean top5_pct?"), "{command}: {said}");
    }
    // A sweep that is to be trained has fathom's own columns only.
    let output = fathom(folder.path()).args(["plan", "other/experiment.toml"]).output();
    assert_ne!(output.expect("starts").status.code(), Some(0));
}
