//! What can be done with trained runs: lengthen them, evaluate their weights, measure the loss around these.

use crate::support::{fail, fathom, outcomes, runs, succeed, with_experiment};
use std::path::Path;

#[test]
fn a_longer_run_begins_where_a_shorter_one_ends_and_equals_one_from_the_start() {
    let folder = with_experiment(
        "[sweep]\nseed = [0, 1]\n[[arm]]\nname = \"constant\"\n\"training.schedule\" = { kind = \"constant\" }\n\
         [[arm]]\nname = \"step\"\n\"training.schedule\" = { kind = \"step\", at = [4, 14] }\n",
    );
    fn run(more: &str) -> Vec<&str> {
        let common = "run tiny.toml --device cpu --layout nchw --set evaluate.layers=true --set data.validation=20 \
                      --set evaluate.keep=best-validation";
        common.split(' ').chain(more.split(' ')).collect()
    }
    // The shorter runs end between two evaluations, and before the second milestone.
    let short = "--set training.iterations=10 --out results/short";
    succeed(folder.path(), &run(&format!("{short} --keep-state")));
    let long = "--set training.iterations=20 --out results";
    succeed(folder.path(), &run(&format!("{long}/alone")));
    let output = fathom(folder.path())
        .args(run(&format!("{long}/longer --begin-from results/short")))
        .output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(" begins after the 10 updates of ").count(), 4, "{said}");
    assert!(said.contains("resumes at step 10") || said.contains("from step 10"), "{said}");
    let results = |name: &str| folder.path().join("results").join(name);
    assert_eq!(outcomes(&results("alone")), outcomes(&results("longer")));
    for run in runs(&results("alone")) {
        let layers = |name: &str| {
            let run = results(name).join("runs").join(run.file_name().expect("an id"));
            let best = std::fs::read(run.join("best-validation.safetensors")).expect("weights");
            (std::fs::read_to_string(run.join("layers.csv")).expect("rows"), best)
        };
        assert_eq!(layers("alone"), layers("longer"));
    }
    // The same command again has nothing to do, even if the weights were removed to save space.
    for run in runs(&results("longer")) {
        std::fs::remove_file(run.join("checkpoint.safetensors")).expect("weights");
    }
    succeed(folder.path(), &run(&format!("{long}/longer --begin-from results/short")));
    for run in runs(&results("longer")) {
        let curve = std::fs::read_to_string(run.join("curve.csv")).expect("rows");
        assert!(curve.lines().last().is_some_and(|row| row.starts_with("1,20,")), "{curve}");
    }

    for (more, said) in [
        ("20 --set training.lr=0.2", "differs in training.lr"),
        (
            "20 --only step-* --set training.schedule.at=[4,8]",
            "training.schedule.at differs below 10 updates",
        ),
        ("10", "has 10 updates, which is not less"),
    ] {
        let begin = "--out results/other --begin-from results/short --set training.iterations";
        let errors = fail(folder.path(), 1, &run(&format!("{begin}={more}")));
        assert!(errors.contains(said), "{errors}");
        assert!(!results("other").exists(), "nothing is left behind");
    }
    let errors = fail(
        folder.path(),
        1,
        &run(&format!(
            "--set training.iterations=30 --out results/o --begin-from {}",
            "results/alone"
        )),
    );
    assert!(errors.contains("finish the run with --keep-state"), "{errors}");

    let cosine = with_experiment("");
    succeed(cosine.path(), &run(&format!("{short} --keep-state")));
    let errors = fail(cosine.path(), 1, &run(&format!("{long}/longer --begin-from results/short")));
    assert!(errors.contains("a cosine schedule depends on the number of updates"), "{errors}");
}

#[test]
fn the_weights_of_a_run_give_its_last_row_again() {
    let folder = with_experiment(
        "[[arm]]\nname = \"plain\"\n[[arm]]\nname = \"lenet\"\n\"network.family\" = \"lenet\"\n\
         \"network.norm\" = \"batch\"\n",
    );
    let arguments = ["run", "tiny.toml", "--device", "cpu", "--set", "data.size=12"];
    succeed(folder.path(), &arguments);
    for (arm, network) in [("plain", "plain --depth 8 --width 2"), ("lenet", "lenet-bn")] {
        let runs = runs(&folder.path().join("results/tiny"));
        let run = runs.iter().find(|run| run.to_string_lossy().contains(arm)).expect("a run");
        let curve = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let columns: Vec<&str> = curve.lines().next().expect("a header").split(',').collect();
        let last: Vec<&str> = curve.lines().last().expect("a row").split(',').collect();
        let weights = run.join("checkpoint.safetensors");
        let all = format!(
            "eval --device cpu --weights {} --network {network} --data shapes --size 12 --images 50 \
             --format csv --mean {{mean}} --std {{std}}",
            weights.display()
        );
        let manifest = std::fs::read_to_string(run.join("run.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("json");
        let told = manifest["data"]["standardised"].as_str().expect("figures");
        let list = |name: &str| {
            let from = told.find(name).map(|at| &told[at..]).expect("told");
            let (start, end) = (from.find('[').expect("["), from.find(']').expect("]"));
            from[start + 1..end].replace(' ', "")
        };
        let all = all.replace("{mean}", &list("mean")).replace("{std}", &list("std"));
        let eval = |more: &str| -> Vec<f64> {
            let arguments = format!("{all} {more}");
            let table = succeed(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
            let row = table.lines().nth(1).expect("a row").split(',');
            row.map(|x| x.parse().expect("a number")).collect()
        };
        let found = eval("");
        let of = |name: &str| -> f64 {
            let place = columns.iter().position(|column| *column == name).expect("a column");
            last[place].parse().expect("a number")
        };
        assert!((found[1] - of("test_loss")).abs() < 1e-3, "{found:?} {last:?}");
        assert!((found[2] - of("test_err_pct")).abs() < 2.1, "{found:?} {last:?}");
        assert!(found[3] <= found[2]);

        let arguments =
            ["eval", "--device", "cpu", "--format", "csv", "--run", run.to_str().expect("text")];
        let table = succeed(folder.path(), &arguments);
        let row: Vec<&str> = table.lines().nth(1).expect("a row").split(',').collect();
        assert_eq!(row[1].parse::<f64>().expect("a number"), of("test_loss"), "{row:?} {last:?}");
        let status = run.join("status.json");
        let done = std::fs::read_to_string(&status).expect("a status");
        let stopped = done.replace("\"done\"", "\"interrupted\"");
        assert_ne!(done, stopped);
        std::fs::write(&status, stopped).expect("writable");
        let output = fathom(folder.path()).args(arguments).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(" is interrupted: these are the weights of its last checkpoint"),
            "{said}"
        );
        std::fs::write(&status, done).expect("writable");

        // With the moving averages, what stands beside an image in its batch makes no difference.
        for batch in [1, 7] {
            let again = eval(&format!("--batch {batch}"));
            assert!((again[1] - found[1]).abs() < 3e-6, "{again:?} {found:?}");
            assert_eq!(again[2], found[2]);
        }
        let by_batch = [5, 25].map(|batch| eval(&format!("--batch {batch} --statistics batch"))[1]);
        assert!((by_batch[0] - by_batch[1]).abs() > 1e-3, "{by_batch:?}");
        if arm == "lenet" {
            let arguments = format!("{all} --batch 7 --statistics batch");
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let errors = crate::support::fail(folder.path(), 1, &arguments);
            assert!(
                errors.contains("in a batch of 1, ") && errors.contains("over one value"),
                "{errors}"
            );
        }
    }
}

/// Loss and error that `fathom eval` prints with these arguments.
fn evaluated(folder: &Path, arguments: &str) -> Vec<f64> {
    let arguments = format!("eval --device cpu --format csv {arguments}");
    let table = succeed(folder, &arguments.split_whitespace().collect::<Vec<_>>());
    let row = table.lines().nth(1).expect("a row").split(',').skip(1);
    row.map(|value| value.parse().expect("a number")).collect()
}

#[test]
fn pixels_are_standardised_by_all_training_images_however_few_are_evaluated() {
    let folder = with_experiment("");
    succeed(folder.path(), &["run", "tiny.toml", "--device", "cpu", "--set", "data.train=10000"]);
    let run = runs(&folder.path().join("results/tiny")).remove(0);
    let manifest = std::fs::read_to_string(run.join("run.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("json");
    let told = manifest["data"]["standardised"].as_str().expect("figures").to_owned();
    let lists: Vec<String> =
        told.split('[').skip(1).map(|it| it[..it.find(']').expect("]")].replace(' ', "")).collect();
    let all = format!(
        "--weights {} --network plain --depth 8 --width 2 --data shapes --size 8 --part train --images 3",
        run.join("checkpoint.safetensors").display()
    );
    let measured = evaluated(folder.path(), &all);
    let given = format!("{all} --mean {} --std {}", lists[0], lists[1]);
    let given = evaluated(folder.path(), &given);
    assert!((measured[0] - given[0]).abs() < 1e-3, "{measured:?} {given:?}");
    let arguments = all.replace("--images 3", "--images 10001");
    let arguments = format!("eval {arguments}");
    let errors = fail(folder.path(), 1, &arguments.split_whitespace().collect::<Vec<_>>());
    assert!(errors.contains("--images 10001: there are only 10000 images"), "{errors}");
}

#[test]
fn a_run_that_has_not_grown_is_evaluated_as_it_is() {
    let folder = with_experiment("[sweep]\n\"network.norm\" = [\"batch\"]\n");
    succeed(folder.path(), &["run", "tiny.toml", "--device", "cpu"]);
    let short = runs(&folder.path().join("results/tiny")).remove(0);
    let growing = "run tiny.toml --device cpu --out results/grown --set network.depth=14 --set \
                   training.grow.kind=identity --set training.grow.from=8 --set training.grow.at=6";
    succeed(folder.path(), &growing.split_whitespace().collect::<Vec<_>>());
    let grown = runs(&folder.path().join("results/grown")).remove(0);
    let weights = "checkpoint.safetensors";
    std::fs::copy(short.join(weights), grown.join(weights)).expect("writable");
    let of = |run: &Path| evaluated(folder.path(), &format!("--run {}", run.display()));
    assert_eq!(of(&grown), of(&short));
}

/// A file of weights with other values: what `value` gives for a tensor's name, its size along the second
/// dimension, and the position of a value in it.
fn changed(file: &[u8], value: impl Fn(&str, usize, usize) -> Option<f32>) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let (length, rest) = bytes.split_at_mut(8);
    let length = u64::from_le_bytes((&*length).try_into().expect("eight bytes")) as usize;
    let (header, data) = rest.split_at_mut(length);
    let header: serde_json::Value = serde_json::from_slice(header).expect("json");
    for (name, tensor) in header.as_object().expect("tensors") {
        let Some([from, to]) = tensor["data_offsets"].as_array().map(Vec::as_slice) else {
            continue;
        };
        let [from, to, inputs] = [from, to, &tensor["shape"][1]].map(|it| it.as_u64().unwrap_or(1));
        let values = data[from as usize..to as usize].chunks_exact_mut(4);
        for (at, part) in values.enumerate() {
            if let Some(value) = value(name, inputs as usize, at) {
                part.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    bytes
}

#[test]
fn a_lesion_costs_what_weights_that_undo_the_block_cost() {
    let folder = with_experiment(
        "[sweep]\n\"network.family\" = [\"plain\", \"residual\", \"preact\"]\n\"network.depth\" = [14]\n",
    );
    let run = "run tiny.toml --device cpu --set evaluate.layers=true --set evaluate.lesions=true --set data.test=200 \
               --set network.width=4 --set training.iterations=40 --set evaluate.every=40";
    succeed(folder.path(), &run.split_whitespace().collect::<Vec<_>>());
    for path in runs(&folder.path().join("results/tiny")) {
        let run = fathom::record::RunDir::new(&path);
        let family = path.file_name().expect("an id").to_string_lossy();
        let (family, _) = family.split_once('-').expect("an id begins with the family");
        let whole = run.curve().expect("rows").pop().and_then(|row| row.test_err_pct);
        let whole = whole.expect("an error");
        let weights = std::fs::read(run.checkpoint()).expect("weights");
        let rows = run.layers().expect("rows");
        let costs: Vec<_> =
            rows.iter().filter_map(|row| Some((&row.name, row.lesion_cost?))).collect();
        assert!(costs.iter().any(|(_, cost)| *cost != 0.0), "a test of something: {costs:?}");
        for (layer, cost) in costs {
            let block = layer.strip_suffix("conv2").expect("the last layer of a block");
            // A branch ends with zeros; a block without a shortcut copies its input, which is not negative.
            let undone = |name: &str, inputs: usize, at: usize| {
                let (layer, kind) = name.strip_prefix(block)?.split_once('.')?;
                match (family, layer, kind) {
                    ("residual", "bn2", "weight" | "bias") | ("preact", "conv2", "weight") => {
                        Some(0.0)
                    }
                    ("plain", "conv1" | "conv2", "weight") => {
                        let copies = at % 9 == 4 && at / 9 / inputs == at / 9 % inputs;
                        Some(f32::from(u8::from(copies)))
                    }
                    ("plain", _, "running_mean" | "bias") => Some(0.0),
                    ("plain", _, "running_var") => Some(1.0),
                    ("plain", "bn1" | "bn2", "weight") => Some((1.0f32 + 1e-5).sqrt()),
                    _ => None,
                }
            };
            std::fs::write(run.checkpoint(), changed(&weights, undone)).expect("writable");
            let found = evaluated(folder.path(), &format!("--run {}", path.display()))[1];
            assert!(
                (found - whole - cost).abs() < 1e-9,
                "{family} {layer}: {found}, {whole} + {cost}"
            );
        }
    }
}

#[test]
fn loss_landscapes_of_trained_nets_are_measured_and_drawn() {
    let folder = with_experiment("[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n");
    succeed(folder.path(), &["run", "tiny.toml", "--device", "cpu", "--threads", "1"]);
    // All 200 training images, as in the last row of the curve.
    let look = ["look", "results/tiny", "--images", "200", "--points", "5", "--directions", "2"];
    let look = [&look[..], &["--pairs", "3", "--device", "cpu", "--threads", "1"]].concat();
    let printed = succeed(folder.path(), &look);
    assert_eq!(printed.lines().count(), 4, "{printed}");
    for run in runs(&folder.path().join("results/tiny")) {
        let run = fathom::record::RunDir::new(run);
        let slices = run.slices().expect("rows");
        assert_eq!(slices.len(), 10);
        let last = run.curve().expect("rows").pop().expect("a row");
        let middle = slices.iter().filter(|row| row.alpha == 0.0);
        for row in middle {
            assert!((row.train_loss - last.train_loss.expect("a loss")).abs() < 1e-5, "{row:?}");
            assert_eq!(Some(row.train_err_pct), last.train_err_pct);
        }
        let losses = |direction: u64| -> Vec<f64> {
            let rows = slices.iter().filter(|row| row.direction == direction);
            rows.map(|row| row.train_loss).collect()
        };
        assert_ne!(losses(0), losses(1), "directions differ");
        let correlations = run.correlations().expect("rows");
        assert_eq!(correlations.len(), 2 * 64);
        for row in correlations.iter().filter(|row| row.distance == 0.0) {
            assert!((row.correlation - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!(correlations.iter().all(|row| row.correlation.abs() <= 1.0 + 1e-6));
    }
    let drawn = succeed(folder.path(), &["plot", "results/tiny", "--figure", "slices"]);
    assert!(drawn.contains("figures/slices.svg"), "{drawn}");
    succeed(folder.path(), &["plot", "results/tiny", "--figure", "correlation"]);

    let even = fail(folder.path(), 2, &["look", "results/tiny", "--points", "4"]);
    assert!(even.contains("expected an odd number from 3 to 1001"), "{even}");
    for run in runs(&folder.path().join("results/tiny")) {
        std::fs::remove_file(run.join("checkpoint.safetensors")).expect("weights");
    }
    let without = fail(folder.path(), 1, &["look", "results/tiny"]);
    assert!(without.contains("no run is done and has kept its weights"), "{without}");
}
