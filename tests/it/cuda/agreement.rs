//! Every way of training against the CPU.

use super::{Machine, SIZES, is_full};
use crate::support::with_experiment;
use fathom::record::Layout::{self, ChannelsLast, Nchw};
use fathom::record::{CurveRow, METRICS, State};
use std::collections::BTreeMap;

/// Every family, and every recipe whose state lies on the device.
const ARMS: &str = r#"
[[arm]]
name = "plain"
"data.augment" = "crop-flip"
"evaluate.layers" = true
[[arm]]
name = "residual"
"network.family" = "residual"
"training.norm_batch" = 10
"training.clip_norm" = 0.5
"training.warmup" = { kind = "until-error", lr = 0.01, error_pct = 89 }
"training.schedule" = { kind = "step", at = [6, 9], factor = 0.1 }
[[arm]]
name = "preact"
"network.family" = "preact"
"training.optimiser" = "adam"
"training.lr" = 0.01
"training.warmup" = { kind = "linear", lr = 0.001, iterations = 4 }
"data.augment" = "crop-flip"
[[arm]]
name = "dense"
"network.family" = "dense"
"network.depth" = 10
"network.dropout" = 0.3
"network.growth" = 3
[[arm]]
name = "mlp"
"network.family" = "mlp"
"training.optimiser" = "rmsprop"
"training.lr" = 0.001
"training.clip_norm" = 0.1
"training.schedule" = { kind = "constant" }
[[arm]]
name = "residual-mlp"
"network.family" = "residual-mlp"
"network.norm" = "batch-formula"
"training.nesterov" = true
"training.decay" = "weights"
[[arm]]
name = "lenet"
"network.family" = "lenet"
"training.warmup" = { kind = "constant", lr = 0.001, iterations = 4 }
[[arm]]
name = "stochastic depth"
"network.family" = "residual"
"network.survival" = 0.5
"network.branch_scale" = "layer-scale"
"training.optimiser" = "muon"
[[arm]]
name = "wide"
"network.family" = "wide"
"network.depth" = 10
"network.width" = 4
"network.stem_width" = 2
"network.dropout" = 0.3
[[arm]]
name = "dirac"
"network.family" = "plain"
"network.kernel" = "dirac"
"training.optimiser" = "adamw"
"training.lr" = 0.01
[[arm]]
name = "dense, recomputed"
"network.family" = "dense"
"network.depth" = 10
"network.growth" = 3
"network.recompute" = true
[[arm]]
name = "plain-block"
"network.family" = "plain-block"
"training.delta" = 0.1
"training.lr" = 0.01
[[arm]]
name = "residual-block"
"network.family" = "residual-block"
"training.delta" = 0.1
"training.lr" = 0.01
[[arm]]
name = "grown"
"network.depth" = 14
"training.grow" = { kind = "identity", from = 8, at = 5 }
"training.lr" = 0.02
[[arm]]
name = "fixup"
"network.family" = "residual"
"network.norm" = "none"
"network.init" = "fixup"
[[arm]]
name = "group"
"network.family" = "residual"
"network.norm" = "group"
"network.norm_groups" = 2
"#;

/// How the device is used.
struct Way {
    name: &'static str,
    flags: &'static str,
    layout: Layout,
    is_recorded: bool,
    is_bf16: bool,
}

impl Way {
    const fn new(name: &'static str, flags: &'static str, layout: Layout) -> Self {
        Self { name, flags, layout, is_recorded: true, is_bf16: false }
    }

    const fn eager(self) -> Self {
        Self { is_recorded: false, ..self }
    }

    const fn bf16(self) -> Self {
        Self { is_bf16: true, ..self }
    }
}

/// Those that differ in kind come first; the rest is for [`is_full`].
const WAYS: [Way; 8] = [
    Way::new("eager", "--no-graphs --no-resident", Nchw).eager(),
    Way::new("recorded", "", Nchw),
    Way::new("recorded-bf16", "", ChannelsLast).bf16(),
    Way::new("resident", "--no-graphs", ChannelsLast).eager(),
    Way::new("recorded-host", "--no-resident", ChannelsLast),
    Way::new("eager-bf16", "--no-graphs --no-resident", ChannelsLast).eager().bf16(),
    Way::new("resident-bf16", "--no-graphs", Nchw).eager().bf16(),
    Way::new("recorded-host-bf16", "--no-resident --deterministic", Nchw).bf16(),
];

/// Trains all arms; the curves by arm.
fn train(machine: &Machine, out: &str, more: &str) -> BTreeMap<String, Vec<CurveRow>> {
    let sets = "--set training.iterations=12 --set evaluate.every=2";
    machine.succeed(&format!("run tiny.toml --out {out} --threads 1 {sets} {SIZES} {more}"));
    let curve = |run: &fathom::record::RunDir| {
        assert_eq!(run.status().expect("a status").state, State::Done);
        run.curve().expect("rows")
    };
    machine.runs(out).iter().map(|(name, run)| (name.clone(), curve(run))).collect()
}

/// The metrics of a row.
fn measured(row: &CurveRow) -> Vec<(&'static str, Option<f64>)> {
    METRICS.iter().map(|metric| (metric.column, metric.of(row))).collect()
}

/// Asserts that curves agree: losses within a share of `within`, errors within `images` images of
/// the 30 of the smallest part.
fn compare(
    what: &str,
    found: &BTreeMap<String, Vec<CurveRow>>,
    expected: &BTreeMap<String, Vec<CurveRow>>,
    (within, images): (f64, f64),
) {
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (arm, rows) in expected {
        let own = &found[arm];
        assert_eq!(own.len(), rows.len(), "{what}, {arm}");
        for (own, row) in own.iter().zip(rows) {
            assert_eq!((own.step, own.lr, own.epoch), (row.step, row.lr, row.epoch), "{arm}");
            for ((column, a), (_, b)) in measured(own).into_iter().zip(measured(row)) {
                let (a, b) = match (a, b) {
                    (Some(a), Some(b)) => (a, b),
                    (a, b) => {
                        assert_eq!(a, b, "{what}, {arm}, step {}: {column}", row.step);
                        continue;
                    }
                };
                // The error of blocks that give images is a ratio, as losses are.
                let is_count = column.ends_with("_pct") && !arm.ends_with("-block");
                let bound = if is_count { images * 100.0 / 30.0 } else { within * b.abs() };
                let is_near = (a - b).abs() <= bound + 2e-6;
                assert!(is_near, "{what}, {arm}, step {}: {column} {a} against {b}", row.step);
            }
        }
    }
}

#[test]
fn every_way_of_training_on_a_device_gives_the_curves_of_the_cpu() {
    let folder = with_experiment(ARMS);
    let Some(machine) = Machine::new(folder.path()) else { return };
    let ways = if is_full() { &WAYS[..] } else { &WAYS[..3] };
    let mut expected = BTreeMap::new();
    for way in ways {
        let precision = if way.is_bf16 { "--set training.precision=bf16" } else { "" };
        let more = format!("--layout {} {precision}", way.layout);
        // Dropout draws in the order of memory, so that the layouts have other values left out.
        let expected = expected.entry(more.clone()).or_insert_with(|| {
            let out = format!("cpu-{}-{}", way.layout, way.is_bf16);
            train(&machine, &out, &format!("--device cpu {more}"))
        });
        let before = machine.counts();
        let found = train(&machine, way.name, &format!("--device cuda {} {more}", way.flags));
        let after = machine.counts();
        // The device has the CPU's kernels, but not fathom's own fused normalisation, so sums are
        // rounded in another order; in bf16, where that shows, the net is the same all the same.
        let bounds = if way.is_bf16 { (3e-2, 4.0) } else { (2e-4, 1.0) };
        compare(way.name, &found, expected, bounds);
        let replays = after.of("REPLAY") - before.of("REPLAY");
        // Of twelve updates three warm up, and each arm's evaluations replay too.
        let least = if way.is_recorded { 9 * found.len() as i64 } else { 0 };
        assert!(replays >= least && (replays > 0) == way.is_recorded, "{}: {replays}", way.name);
    }
}

#[test]
fn statistics_of_layers_are_those_of_the_cpu() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let run = |out: &str, device: &str| {
        let sets = "--set evaluate.layers=true --set training.iterations=12";
        machine.succeed(&format!(
            "run tiny.toml --out {out} --device {device} --threads 1 --layout nchw {sets}"
        ));
        machine.runs(out).into_values().next().expect("a run").layers().expect("rows")
    };
    let (own, rows) = (run("gpu", "cuda"), run("cpu", "cpu"));
    assert!(!rows.is_empty());
    assert_eq!(own.len(), rows.len());
    for (own, row) in own.iter().zip(&rows) {
        assert_eq!((own.step, own.layer, &own.name), (row.step, row.layer, &row.name));
        let pairs = [
            (own.response_mean, row.response_mean),
            (own.response_sd, row.response_sd),
            (own.gradient_norm, row.gradient_norm),
            (own.weight_norm, row.weight_norm),
            (own.cosine, row.cosine),
            (own.response_change, row.response_change),
        ];
        for (a, b) in pairs {
            assert_eq!(a.is_some(), b.is_some(), "{own:?} against {row:?}");
            let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
            assert!((a - b).abs() <= 1e-3 * (1.0 + b.abs()), "{own:?} against {row:?}");
        }
    }
}

#[test]
fn a_net_that_diverged_before_it_would_grow_does_not_grow() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let sets = "--set training.iterations=60 --set evaluate.every=60 --set network.depth=14 \
        --set training.grow.kind=identity --set training.grow.from=8 --set training.grow.at=30 \
        --set training.lr=0.01 --set training.schedule.kind=step --set training.schedule.at=[10] \
        --set training.schedule.factor=1e36";
    let run = |device: &str| {
        let line = format!("run tiny.toml --out {device} --device {device} --threads 1 {sets}");
        let ended = machine.fathom(&format!("{line} --layout nchw"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("grown after"), "{device}: {}", ended.stderr);
        let run = machine.runs(device).into_values().next().expect("a run");
        let status = run.status().expect("a status");
        assert_eq!(status.state, State::Diverged, "{}", status.message);
        status.step
    };
    let step = run("cuda");
    assert_eq!(step, run("cpu"));
    assert!((11..30).contains(&step), "before it would grow: {step}");
}

#[test]
fn a_loss_that_is_no_longer_finite_is_told_with_the_update_at_which_it_happened() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    let run = |out: &str, device: &str| {
        // A large step after some updates: training diverges between two reads of the sums.
        let sets = "--set training.iterations=120 --set evaluate.every=120 \
            --set network.norm=none --set training.lr=0.001 \
            --set training.schedule.kind=step --set training.schedule.at=[10] \
            --set training.schedule.factor=1e9";
        machine.succeed(&format!(
            "run tiny.toml --out {out} --device {device} --threads 1 --layout nchw {sets}"
        ));
        let run = machine.runs(out).into_values().next().expect("a run");
        let status = run.status().expect("a status");
        assert_eq!(status.state, State::Diverged);
        (status.step, status.message, run.curve().expect("rows").pop().expect("a row"))
    };
    let (gpu, cpu) = (run("gpu", "cuda"), run("cpu", "cpu"));
    assert_eq!((gpu.0, gpu.1), (cpu.0, cpu.1));
    assert!((11..50).contains(&gpu.0), "between two reads: {}", gpu.0);
    assert_eq!((gpu.2.step, gpu.2.lr, gpu.2.epoch), (cpu.2.step, cpu.2.lr, cpu.2.epoch));
    assert_eq!(gpu.2.train_err_running_pct, cpu.2.train_err_running_pct);
}
