//! Sub-commands that compute on a device.

use super::{Machine, SIZES};
use crate::support::with_experiment;
use fathom::record::CurveRow;

const RUN: &str = "run tiny.toml --threads 1 --set training.iterations=12 --set evaluate.every=2";

fn number(table: &str, row: usize, column: &str) -> f64 {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let place = header.iter().position(|name| *name == column).expect("a column");
    let line = lines.nth(row).expect("a row");
    line.split(',').nth(place).expect("a cell").parse().expect("a number")
}

#[test]
fn weights_of_a_run_on_a_device_are_evaluated_and_looked_at_there() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    machine.succeed(&format!("{RUN} --device cuda {SIZES}"));
    let run = machine.runs("results/tiny").into_values().next().expect("a run");
    let last: CurveRow = run.curve().expect("rows").pop().expect("a row");
    let landscape =
        "landscape results/tiny --images 64 --points 3 --directions 1 --pairs 2 --threads 1";
    let looked = |device: &str| {
        machine.succeed(&format!("{landscape} --device {device}"));
        let slices = run.slices().expect("rows");
        slices.iter().map(|row| row.train_loss).collect::<Vec<f64>>()
    };
    let (own, cpu) = (looked("cuda"), looked("cpu"));
    assert_eq!(own.len(), 3);
    for (a, b) in own.iter().zip(&cpu) {
        assert!((a - b).abs() <= 1e-4 * b.abs(), "{own:?} against {cpu:?}");
    }
    let manifest = run.manifest().expect("a manifest");
    let standardised = manifest.data.standardised;
    let list = |name: &str| {
        let from = standardised.find(name).map(|at| &standardised[at..]).expect("told");
        let (start, end) = (from.find('[').expect("["), from.find(']').expect("]"));
        from[start + 1..end].replace(' ', "")
    };
    let weights = run.checkpoint();
    let table = machine.succeed(&format!(
        "eval --weights {} --network plain --depth 8 --width 2 --data shapes --size 12 --images 1050 \
         --mean {} --std {} --device cuda --format csv",
        weights.display(),
        list("mean"),
        list("std")
    ));
    let loss = number(&table, 0, "loss");
    assert!((loss - last.test_loss.expect("a loss")).abs() < 1e-3, "{table}{last:?}");
}

#[test]
fn bench_and_plan_time_updates_when_algorithms_have_been_found() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    // cuDNN searches for a third of a second at the first sight of each of the net's shapes, which
    // is a hundred times an update.
    let slow = 350;
    let machine = machine.with("FIND_MS", slow).with("SKIP", 1);
    let bench = "bench residual --depth 8 --width 2 --size 8 --batch 8 --device cuda --layout nchw \
        --seconds 0.2 --augment crop-flip --format csv";
    let table = machine.succeed(bench);
    let step = number(&table, 0, "step_ms");
    assert!(step < f64::from(slow) / 4.0, "{step} ms: {table}");
    assert!(number(&table, 0, "startup_s") > f64::from(slow) * 1e-3, "{table}");
    let data = number(&table, 0, "data_ms");
    assert!(data > 0.0 && data < step, "{table}");
    let plan = "plan tiny.toml --measure --device cuda --threads 1 --format csv \
        --set training.iterations=1000 --set evaluate.every=1000";
    let seconds = number(&machine.succeed(&format!("{plan} {SIZES}")), 0, "seconds");
    // A thousand updates, each as if it began with a search, would take minutes.
    assert!(seconds < 60.0, "{seconds} s");
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_deterministic() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    for out in ["a", "b"] {
        machine.succeed(&format!("{RUN} --device cuda --deterministic --out {out} {SIZES}"));
    }
    let outcomes = |out: &str| crate::support::outcomes(&folder.path().join(out));
    assert_eq!(outcomes("a"), outcomes("b"));
}

#[test]
fn a_smoke_run_reaches_a_recorded_update() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    machine.succeed("run tiny.toml --smoke --device cuda --threads 1");
    assert!(machine.counts().of("REPLAY") >= 2);
}

#[test]
fn normalisation_is_fused_unless_that_is_switched_off() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let run = |flags: &str| {
        let out = format!("out{}", flags.replace(' ', ""));
        let before = machine.counts().of("fathom::moments");
        let sets = "--layout channels-last --set network.width=4 --set training.norm_batch=10";
        machine.succeed(&format!("{RUN} --device cuda {sets} {flags} --out {out} {SIZES}"));
        let rows = machine.runs(&out).into_values().next().expect("a run").curve().expect("rows");
        (machine.counts().of("fathom::moments") - before, rows)
    };
    let ((fused, ours), (none, libtorchs)) = (run(""), run("--no-fused"));
    assert!(fused > 0 && none == 0, "{fused} and {none} kernels");
    assert_eq!(ours.len(), libtorchs.len());
    for (a, b) in ours.iter().zip(&libtorchs) {
        let [a, b] = [a, b].map(|row| row.train_loss.expect("a loss"));
        assert!((a - b).abs() <= 1e-3 * b, "{a} against {b}");
    }
}
