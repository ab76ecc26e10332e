//! Images that a background thread reads from files and copies to the device.

use super::Machine;
use crate::stored::with_images;
use crate::support::with_experiment;
use fathom::record::CurveRow;

const SETS: &str = "--set data.source=images --set data.path=pets --set data.size=16 --set data.short_side=18 \
    --set data.train=500 --set data.test=40 --set evaluate.train_images=100 --set training.batch=10";
const BATCH: i64 = 10;
/// Bytes of an image of 16×16 pixels in three colours.
const IMAGE: i64 = 16 * 16 * 3;

/// The curve of a run of these many updates.
fn train(machine: &Machine, updates: u32, out: &str, more: &str) -> Vec<CurveRow> {
    machine.succeed(&format!(
        "run tiny.toml --threads 1 --layout nchw --checkpoint 1000000 --out {out} {SETS} {more} \
         --set training.iterations={updates} --set evaluate.every={updates}"
    ));
    machine.runs(out).into_values().next().expect("a run").curve().expect("rows")
}

#[test]
fn images_from_files_train_on_a_device_as_on_the_cpu() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    with_images(folder.path());
    for augment in ["none", "crop-flip", "random-resized-crop"] {
        let more = format!("--set data.augment={augment}");
        let [on_cpu, on_device, eager] =
            [("cpu", ""), ("cuda", ""), ("cuda", "--no-graphs")].map(|(device, flags)| {
                let out = format!("{augment}-{device}{flags}");
                train(&machine, 12, &out, &format!("--device {device} {flags} {more}"))
            });
        for found in [on_device, eager] {
            assert_eq!(found.len(), on_cpu.len());
            for (own, row) in found.iter().zip(&on_cpu) {
                let losses = [(own.train_loss, row.train_loss), (own.test_loss, row.test_loss)];
                for (a, b) in losses {
                    let (a, b) = (a.expect("measured"), b.expect("measured"));
                    assert!((a - b).abs() < 1e-4 * b, "{augment}: {a} against {b}");
                }
            }
        }
    }
}

#[test]
fn images_from_files_cross_the_bus_as_bytes_and_training_does_not_wait_for_them() {
    let folder = with_experiment("");
    let Some(machine) = Machine::new(folder.path()) else { return };
    with_images(folder.path());
    const WHAT: [&str; 3] = ["BYTES page-locked", "BYTES to the device", "WAIT copy"];
    let count = |updates: u32| {
        let before = machine.counts();
        let more = "--device cuda --set data.augment=random-resized-crop";
        train(&machine, updates, &updates.to_string(), more);
        let after = machine.counts();
        WHAT.map(|what| (after.of(what) - before.of(what)) as f64)
    };
    let (short, long) = (count(40), count(240));
    let [locked, copied, waits_for_copies] =
        std::array::from_fn(|at| (long[at] - short[at]) / 200.0);
    // A label is a number of eight bytes. How many batches the thread is ahead in the end varies.
    let expected = (BATCH * (IMAGE + 8)) as f64;
    assert!((locked / expected - 1.0).abs() < 0.02, "{locked} of {expected}");
    assert!((copied / expected - 1.0).abs() < 0.02, "{copied} of {expected}");
    // The background thread waits for its stream, and training only where it reads its sums, from time to time:
    // more often in a run that other programs slow down.
    assert!(waits_for_copies < 0.2, "{waits_for_copies} for each update");
}
