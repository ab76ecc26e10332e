//! What needs no worker.

use crate::support::{fail, fathom, succeed, with_experiment};

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
    let folder = with_experiment("[sweep]\n\"training.bach\" = [1, 2]\n");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(errors.contains("tiny.toml:23: unknown key training.bach"), "{errors}");
    assert!(errors.contains("did you mean training.batch?"), "{errors}");
}

#[test]
fn a_new_experiment_can_be_planned_at_once_and_says_what_to_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = fathom(folder.path()).args(["new", "my-own.1"]).output().expect("starts");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("fill in what is marked CHANGE (lines 1, 2, 6, "), "{said}");
    let text = std::fs::read_to_string(folder.path().join("my-own.1.toml")).expect("a file");
    assert!(!text.contains("{name}") && !text.contains("{file}"), "{text}");
    assert!(text.contains("results go to results/my-own.1"), "{text}");
    let plan = succeed(folder.path(), &["plan", "my-own.1.toml", "--format", "csv"]);
    assert_eq!(plan.lines().count(), 1 + 12, "{plan}");
    let said = fail(folder.path(), 1, &["new", "my-own.1"]);
    assert!(said.contains("my-own.1.toml exists already, and is left as it is"), "{said}");
    let said = fail(folder.path(), 2, &["new", "a/b"]);
    assert!(said.contains("has letters, digits, dots, dashes and underscores"), "{said}");
    succeed(folder.path(), &["new", "other", "--data", "cifar10", "--out", "c10.toml"]);
    succeed(folder.path(), &["new", "own_pictures", "--data", "images"]);
    let own = std::fs::read_to_string(folder.path().join("own_pictures.toml")).expect("written");
    assert!(own.contains("path = \"pictures\""), "{own}");
    let text = std::fs::read_to_string(folder.path().join("c10.toml")).expect("a file");
    assert!(text.contains("source = \"cifar10\""), "{text}");
}

#[test]
fn a_depth_outside_the_family_is_refused_with_the_nearest_ones() {
    let folder = with_experiment("[sweep]\n\"network.depth\" = [8, 45]\n");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(errors.contains("tiny.toml:23: network.depth: 45 is not 6n+2"), "{errors}");
    assert!(errors.contains("44 and 50"), "{errors}");
}

#[test]
fn what_is_missing_is_reported_where_it_is_wanted() {
    for (more, said) in [
        (
            "[[arm]]\nname = \"a\"\n\n[[arm]]\n\"training.lr\" = 0.1\n",
            "tiny.toml:26: an [[arm]] needs a name",
        ),
        (
            "[sweep]\n\"training.schedule.kind\" = [\"cosine\", \"step\"]\n",
            "tiny.toml:23: training.schedule.at is",
        ),
        (
            "[[claim]]\nname = \"c\"\nof = { arm = \"a\" }\nat_most = 5\n",
            "there is no arm \"a\": the runs have no arms",
        ),
    ] {
        let folder = with_experiment(more);
        let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
        assert!(errors.contains(said), "{errors}");
    }
    let errors = fail(std::path::Path::new("/"), 2, &["inspect", "residual"]);
    assert!(errors.contains("--depth: must be given, or --blocks instead"), "{errors}");
}

#[test]
fn normalisation_of_a_single_value_is_refused() {
    for (family, sets, said) in [
        (
            "mlp",
            "training.batch=1",
            "training.batch: 1 is too few for BatchNorm: layer1.bn1 would take",
        ),
        ("mlp", "evaluate.train_images=1", "evaluate.train_images: 1 is too few for BatchNorm"),
        (
            "lenet network.norm=batch data.size=12",
            "training.batch=1",
            "training.batch: 1 is too few",
        ),
        ("plain data.size=16", "network.norm=batch", ""),
        ("plain network.depth=8", "training.batch=1", ""),
        ("mlp network.norm=layer", "training.batch=1", ""),
        (
            "mlp network.norm=group network.width=8 network.norm_groups=8",
            "training.batch=2",
            "network.norm: ",
        ),
    ] {
        let folder = with_experiment("");
        let mut arguments = vec!["plan", "tiny.toml", "--set"];
        let family = format!("network.family={family}");
        arguments.extend(family.split(' ').flat_map(|set| ["--set", set]).skip(1));
        arguments.extend(["--set", sets]);
        if said.is_empty() {
            succeed(folder.path(), &arguments);
            continue;
        }
        let errors = fail(folder.path(), 2, &arguments);
        assert!(
            errors.contains(said) && errors.contains("over one value"),
            "{family} {sets}: {errors}"
        );
    }
}

#[test]
fn a_value_of_the_wrong_kind_says_what_is_valid() {
    let folder = with_experiment("");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml", "--set", "training.lr=fast"]);
    assert!(errors.contains("--set training.lr=fast: "), "{errors}");
    assert!(errors.contains("expected a number of at least 0"), "{errors}");
}

#[test]
fn a_key_without_an_effect_in_any_run_is_refused() {
    let folder = with_experiment("");
    let idle = ["plan", "tiny.toml", "--set", "training.schedule.factor=0.5"];
    let errors = fail(folder.path(), 2, &idle);
    assert!(errors.contains("training.schedule.factor has no effect in any run: it needs training.schedule.kind = \"step\""), "{errors}");
    let idle = ["plan", "tiny.toml", "--set", "evaluate.layer_images=500"];
    let errors = fail(folder.path(), 2, &idle);
    assert!(errors.contains("layer_images: has no effect without evaluate.layers"), "{errors}");
    succeed(folder.path(), &[&idle[..], &["--set", "evaluate.layers=true"]].concat());
}

#[test]
fn a_key_without_an_effect_in_some_runs_merges_them_and_the_plan_says_so() {
    let folder = with_experiment(
        "[sweep]\n\"network.family\" = [\"plain\", \"residual\"]\n\
         \"network.shortcut_scale\" = [0.5, 1.0]\n",
    );
    let output = crate::support::fathom(folder.path())
        .args(["plan", "tiny.toml", "--format", "csv"])
        .output()
        .expect("the program starts");
    let (table, told) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(table.lines().count(), 1 + 3, "{table}");
    assert!(told.contains("1 combination equals another one"), "{told}");
    assert!(told.contains("network.shortcut_scale has no effect in 2"), "{told}");
}

#[test]
fn set_replaces_a_swept_axis_and_a_list_makes_one() {
    let folder = with_experiment("[sweep]\n\"network.depth\" = [8, 14]\nseed = [0, 1, 2]\n");
    let count = |sets: &[&str]| {
        let mut arguments = vec!["plan", "tiny.toml", "--format", "csv"];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        succeed(folder.path(), &arguments).lines().count() - 1
    };
    assert_eq!(count(&[]), 6);
    assert_eq!(count(&["seed=7"]), 2);
    assert_eq!(count(&["network.depth=[8, 14, 20, 26]", "seed=0"]), 4);
}

#[test]
fn an_override_reaches_only_the_runs_it_names() {
    let folder = with_experiment(
        "[sweep]\n\"network.depth\" = [8, 14]\n[[override]]\nwhen = { depth = 14 }\n\
         set = { \"training.iterations\" = 99 }\n",
    );
    let table = succeed(folder.path(), &["plan", "tiny.toml", "--format", "csv"]);
    let iterations = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).expect("planned");
        line.split(',').nth(1).map(str::to_owned)
    };
    assert_eq!(iterations("plain-8-").as_deref(), Some("8"));
    assert_eq!(iterations("plain-14-").as_deref(), Some("99"));
}

#[test]
fn a_plan_says_that_runs_which_may_end_early_have_upper_bounds() {
    let folder = with_experiment(
        "[[arm]]\nname = \"all\"\n[[arm]]\nname = \"early\"\n\
         \"training.stop_when\" = { metric = \"train_err_pct\", below = 20 }\n",
    );
    let output = fathom(folder.path()).args(["plan", "tiny.toml"]).output().expect("starts");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 of 2 runs may end before their last update"), "{said}");
    assert!(said.contains("upper bounds"), "{said}");
    let output = fathom(folder.path()).args(["plan", "tiny.toml", "--only", "all*"]).output();
    let said = String::from_utf8_lossy(&output.expect("starts").stderr).into_owned();
    assert!(!said.contains("upper bounds"), "{said}");
}

#[test]
fn a_value_that_only_other_families_take_is_refused_with_its_line() {
    let folder = with_experiment("[sweep]\n\"network.init\" = [\"he-fan-in\", \"fixup\"]\n");
    let errors = fail(folder.path(), 2, &["plan", "tiny.toml"]);
    assert!(
        errors.contains("tiny.toml:23: network.init = \"fixup\": expected one of \"he-fan-out\""),
        "{errors}"
    );
}

#[test]
fn weights_that_do_not_fit_are_refused_before_anything_is_read_or_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("w.safetensors");
    std::fs::write(&path, b"\x08\0\0\0\0\0\0\0{}      ").expect("writable");
    let eval = |more: &str| {
        let all = format!("eval --weights w.safetensors --network residual --data shapes {more}");
        fail(folder.path(), 1, &all.split_whitespace().collect::<Vec<_>>())
    };
    let errors = eval("--depth 20");
    assert!(errors.contains("97 missing: bn1.bias, "), "{errors}");
    std::fs::write(&path, b"PK").expect("writable");
    assert!(eval("--depth 20").contains("is not a safetensors file"));
    std::fs::remove_file(&path).expect("there");
    assert!(eval("--depth 20").contains("cannot read w.safetensors"));
}

#[test]
fn the_program_that_people_type_is_not_linked_to_libtorch() {
    let program = std::fs::read(assert_cmd::cargo::cargo_bin!("fathom")).expect("built");
    // The name of a library that is linked ends with a zero byte, unlike texts of the program.
    let library = b"libtorch_cpu.so\0";
    assert!(!program.windows(library.len()).any(|window| window == library));
}

#[test]
fn runs_keep_their_names_when_keys_are_added() {
    // The committed results were run before some of the present keys existed.
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = succeed(home, &["plan", "experiments/cifar10-small.toml", "--format", "csv"]);
    let planned: Vec<&str> = table.lines().filter_map(|line| line.split(',').next()).collect();
    let mut count = 0;
    for run in std::fs::read_dir(home.join("results/cifar10-small/runs")).expect("results") {
        let id = run.expect("readable").file_name().into_string().expect("text");
        assert!(planned.contains(&id.as_str()), "{id}");
        count += 1;
    }
    assert_eq!(count, planned.len() - 1, "all but the header of the table are runs");
}

#[test]
fn a_directory_with_runs_of_another_configuration_is_refused_with_what_changed() {
    use fathom::record::{Manifest, Resolved, SCHEMA, SweepDir};
    let folder = with_experiment("");
    let file = folder.path().join("tiny.toml");
    let sets = ["seed=[0, 1]".to_owned()];
    let experiment = fathom::spec::Experiment::load(&file, &sets).expect("a fine experiment");
    let directory = SweepDir::new(folder.path().join("results/tiny"));
    directory.create().expect("writable");
    let resolved = Resolved {
        schema: SCHEMA,
        runs: experiment.configs.clone(),
        arms: experiment.arms.clone(),
        ..Resolved::default()
    };
    directory.write_experiment(&experiment.text, &resolved).expect("writable");
    for run in &experiment.runs {
        let manifest = Manifest {
            schema: SCHEMA,
            id: run.id.clone(),
            arm: None,
            axes: run.axes.clone(),
            config: run.config.clone(),
            execution: Default::default(),
            revision: Default::default(),
            data: Default::default(),
            parameters: 0,
            macs: 0,
        };
        let files = directory.run(&run.id);
        files.create().and_then(|()| files.write_manifest(&manifest)).expect("writable");
    }
    // What --only leaves out is still planned; what --set replaces is not.
    let changed = ["run", "tiny.toml", "--only", "*-s1-*", "--set", "seed=[1, 2]"];
    let lower = ["--set", "training.lr=0.05"];
    let errors = fail(folder.path(), 1, &changed);
    assert!(errors.contains("results/tiny holds 1 run that this experiment does"), "{errors}");
    assert!(errors.contains("\n  seed: 0 -> 2 (1 of 2 runs, plain-8-s0-"), "{errors}");
    let errors = fail(folder.path(), 1, &[&changed[..], &lower[..]].concat());
    assert!(errors.contains("holds 2 runs that this experiment does not have"), "{errors}");
    assert!(errors.contains("\n  training.lr: 0.1 -> 0.05 (2 runs)\n"), "{errors}");
    assert!(errors.contains("give another --out, or change the file or --set back"), "{errors}");
}

#[test]
fn a_metric_or_key_that_no_run_has_is_refused_once_with_those_there_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/results/cifar10-small");
    let plot = |more: [&str; 2]| {
        fail(folder.path(), 2, &["plot", results, "--out", "figures", more[0], more[1]])
    };
    let said = plot(["--metric", "test_errr_pct"]);
    assert_eq!(said.matches("train_err_running_pct").count(), 1, "{said}");
    assert!(said.contains("did you mean test_err_pct?"), "{said}");
    for option in ["--group-by", "--colour", "--facet"] {
        let said = plot([option, "dept"]);
        let expected = format!(
            "{option}: the runs do not differ in dept, but in family, depth; did you mean depth?"
        );
        assert!(said.contains(&expected), "{said}");
    }
    let said = plot(["--where", "depth=8,9"]);
    assert!(said.contains("--where: no run has depth = 9; valid: 8, 20, 44"), "{said}");
    let said = plot(["--where", "plain"]);
    assert!(said.contains("expected KEY=VALUE"), "{said}");
    let said = plot(["--figure=depth", "--facet=family"]);
    assert!(
        said.contains("--facet: it has no effect on `depth`, but on curves, panels, rate-depth"),
        "{said}"
    );
    let said = plot(["--figure=depth", "--below=3"]);
    assert!(said.contains("--below: it has no effect on `depth`, but on threshold"), "{said}");
    for (options, figures) in [
        (
            ["--figure=speed", "--y=log"],
            "--y log: it has no effect on `speed`, but on curves, depth, panels, size",
        ),
        (["--figure=size", "--x=log"], "--x log: it has no effect on `size`, but on curves"),
        (
            ["--figure=depth", "--group-by=family"],
            "--group-by: it has no effect on `depth`, but on curves",
        ),
        (["--figure=depth", "--smooth=3"], "--smooth: it has no effect on `depth`, but on curves"),
        (["--figure=panels", "--y-max=5"], "--y-max: it has no effect on `panels`, but on curves"),
        (
            ["--figure=curves", "--trains-below=0.5"],
            "--trains-below: it has no effect on `curves`, but on rate-depth",
        ),
    ] {
        let said = plot(options);
        assert!(said.contains(figures), "{said}");
    }
    assert!(!folder.path().join("figures").exists(), "nothing was drawn");
}

#[test]
fn part_of_a_sweep_is_drawn_for_print_in_three_formats() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/results/cifar10-small");
    let options = "--figure curves,depth --where network.family=plain,depth=8,44 --where depth=20 --color depth --width column \
                   --format svg,png,pdf --out figures";
    let command: Vec<&str> =
        ["plot", results].into_iter().chain(options.split_whitespace()).collect();
    let printed = succeed(folder.path(), &command);
    assert_eq!(printed.lines().count(), 6, "two figures in three formats: {printed}");
    let read = |ending: &str| {
        std::fs::read(folder.path().join("figures/curves").with_extension(ending)).expect("drawn")
    };
    let svg = String::from_utf8(read("svg")).expect("text");
    assert!(svg.starts_with("<svg width=\"84mm\""), "{}", &svg[..100]);
    let words: Vec<&str> =
        svg.lines().filter(|line| !line.starts_with('<')).map(str::trim).collect();
    let words = words.join(" ");
    let conditions = "where family = plain; depth = 8 or 20 or 44.";
    assert!(words.contains(conditions) && !words.contains("Residual"), "{words}");
    assert!(read("pdf").starts_with(b"%PDF"));
    let picture = image::load_from_memory(&read("png")).expect("a picture");
    assert_eq!(picture.width(), 992, "84 mm at 300 pixels per inch");
    // A table is drawn for print too, but has no runs to choose from.
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/results/bench/cpu-depth.csv");
    let draw = ["plot", table, "--columns", "depth,images_per_s", "--out", "figures"];
    succeed(folder.path(), &[&draw[..], &["--width", "page"]].concat());
    let svg = folder.path().join("figures/cpu-depth-images_per_s-by-depth.svg");
    let svg = std::fs::read_to_string(svg).expect("drawn");
    assert!(svg.starts_with("<svg width=\"174mm\""), "{}", &svg[..100]);
    // What cannot be written there can go elsewhere.
    let taken = [&draw[..4], &["--out", "figures/cpu-depth-images_per_s-by-depth.svg/x"]].concat();
    let said = fail(folder.path(), 1, &taken);
    assert!(said.contains("cannot create ") && said.contains("or give another --out"), "{said}");
    let said = fail(folder.path(), 2, &[&draw[..], &["--where", "depth=8"]].concat());
    assert!(said.contains("--where: it chooses among the runs of a results directory"), "{said}");
}
