use super::*;

fn run(id: &str, keys: &[(&str, &str)], seed: Seed) -> RunCurve {
    let first =
        CurveRow { schema: 1, lr: Some(0.1), train_err_pct: Some(90.0), ..CurveRow::default() };
    let last = CurveRow { schema: 1, step: 50, ..CurveRow::default() };
    let mut run = RunCurve {
        id: id.into(),
        axes: BTreeMap::new(),
        keys: BTreeMap::new(),
        seed,
        state: State::Diverged,
        rows: vec![first, last],
    };
    keys.iter().for_each(|(key, value)| run.add(key, (*value).to_owned()));
    run
}

/// What is read again after writing, and the file's text.
fn written(curves: &SweepCurves) -> (SweepCurves, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.csv");
    curves.write(&path).unwrap();
    (SweepCurves::read(&path).unwrap(), std::fs::read_to_string(&path).unwrap())
}

fn read(text: &str) -> Result<SweepCurves> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.csv");
    std::fs::write(&path, text).unwrap();
    SweepCurves::read(&path)
}

#[test]
fn curves_survive_the_file_and_its_columns_have_one_name_each() {
    let keys = |depth| {
        [("arm", "a"), ("network.family", "plain"), ("network.depth", depth), ("training.lr", "1")]
    };
    let curves = SweepCurves { runs: vec![run("a", &keys("8"), 0), run("b", &keys("44"), 1)] };
    assert_eq!(curves.axes(), ["arm", "family", "depth", "lr"]);
    let (read_again, text) = written(&curves);
    assert_eq!(read_again, curves);
    let header =
        "run_id,arm,network.family,network.depth,training.lr,seed,state,schema,step,epoch,lr,";
    assert!(text.starts_with(header), "{text}");
    let mut names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    let message = format!("{:#}", read(&text.replacen(",90.0,", ",ninety,", 1)).unwrap_err());
    let expected = "curves.csv: line 2: column `train_err_pct` has the value `ninety`";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn keys_of_other_programs_do_not_hide_columns_or_each_other() {
    let keys = [("lr", "0.5"), ("network.width", "4"), ("training.width", "8"), ("top5", "x")];
    let mut one = run("a", &keys, 0);
    one.rows[0].extra.insert("top5".into(), 7.5);
    assert_eq!((one.axes["width"].as_str(), one.axes["training.width"].as_str()), ("4", "8"));
    let all: [(&str, &str); 3] = [("training.a", "1"), ("network.a", "2"), ("a", "3")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let run = run("a", &order.map(|place| all[place]), 0);
        let axes = ["training.a", "network.a", "a"].map(|name| run.axes[name].as_str());
        assert_eq!((axes, run.keys.len()), (["1", "2", "3"], 0));
    }
    let curves = SweepCurves { runs: vec![one] };
    let (read_again, text) = written(&curves);
    assert_eq!(read_again, curves);
    let header = "run_id,config.lr,config.top5,training.width,network.width,seed,";
    assert!(text.starts_with(header), "{text}");
    assert_eq!(curves.extra_columns().into_iter().collect::<Vec<_>>(), ["top5"]);
}

#[test]
fn files_of_earlier_versions_are_read() {
    let text = "run_id,family,depth,lr,seed,state,schema,step,epoch,lr,train_err_pct\n\
                a,plain,8,0.1,3,done,1,50,0.5,0.01,12.5\n";
    let found = read(text).unwrap().runs.remove(0);
    let axes = ["family", "depth", "lr"].map(|axis| found.axes[axis].as_str());
    assert_eq!(axes, ["plain", "8", "0.1"]);
    assert_eq!((found.seed, found.state, found.rows[0].lr), (3, State::Done, Some(0.01)));
    for (from, to, expected) in [
        ("run_id,", "id,", "line 1: column 1 should be `run_id`"),
        (",seed,", ",seeds,", "line 1: column `seed` is missing"),
        (",state,", ",ended,", "line 1: column 6 should be `state`"),
        (",3,done", ",three,done", "line 2: column `seed` has the value `three`"),
        (",done,", ",over,", "line 2: column `state` has the value `over`"),
    ] {
        let message = format!("{:#}", read(&text.replacen(from, to, 1)).unwrap_err());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_table_that_was_sorted_doubled_edited_or_cut_is_refused_with_the_line() {
    let (a, b) = ("a,8,1,done,5,90\na,8,1,done,10,80\n", "b,8,2,done,5,70\nb,8,2,done,10,60\n");
    let header = "run_id,network.depth,seed,state,step,train_err_pct\n";
    let interleaved = "a,8,1,done,5,90\nb,8,2,done,5,70\na,8,1,done,10,80\n";
    assert_eq!(read(&format!("{header}{interleaved}")).unwrap().runs.len(), 2);
    let sorted = "a,8,1,done,10,80\na,8,1,done,5,90\n";
    for (rows, expected) in [
        (format!("{a}{sorted}"), "line 4: steps do not ascend: 10 follows 10"),
        (format!("{b}{sorted}"), "line 5: steps do not ascend: 5 follows 10"),
        (format!("{a}{b}{a}"), "line 6: steps do not ascend: 5 follows 10"),
        (
            a.replace("1,done,10", "7,done,10"),
            "line 3: column `seed` has the value `7`, but `1` in the first row of a (line 2)",
        ),
        (
            format!("{b}{}", a.replace("done,10", "diverged,10")),
            "line 5: column `state` has the value `diverged`, but `done` in the first row of a (line 4)",
        ),
        (
            a.replace("8,1,done,10", "44,1,done,10"),
            "line 3: column `network.depth` has the value `44`, but `8` in the first row of a (line 2)",
        ),
        (
            a.trim_end().to_owned(),
            "line 3: the last line has no line end, as of a file that was cut",
        ),
    ] {
        let message = format!("{:#}", read(&format!("{header}{rows}")).unwrap_err());
        assert!(message.ends_with(&format!("curves.csv: {expected}")), "{message}");
    }
}

#[test]
fn a_table_without_the_last_row_of_a_run_that_is_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = crate::SweepDir::new(folder.path());
    let load = |state: &str, keys: &[(&str, Value)]| {
        let text = format!("run_id,seed,state,step,train_err_pct\na,1,{state},50,80\n");
        std::fs::write(directory.curves(), text).unwrap();
        let config = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let runs = [("a".to_owned(), config)].into();
        let resolved = crate::Resolved { schema: 1, runs, ..Default::default() };
        directory.write_experiment("", &resolved).unwrap();
        directory.load()
    };
    let all = |count: u64| ("training.iterations", Value::from(count));
    let message = load("done", &[all(60)]).unwrap_err().to_string();
    let expected =
        "curves.csv: the rows of a end at step 50, but it is done with training.iterations = 60";
    assert!(message.contains(expected), "{message}");
    assert!(load("done", &[all(50)]).is_ok());
    assert!(load("diverged", &[all(60)]).is_ok());
    assert!(load("done", &[all(60), ("training.stop_when.below", 5.into())]).is_ok());
}

#[test]
fn a_planned_run_has_the_axes_of_the_others() {
    let axes = ["arm", "depth", "lr"].map(str::to_owned).into();
    let config = [("network.depth", 44.into()), ("training.batch", 4.into()), ("seed", 2.into())];
    let config = config.map(|(key, value): (&str, Value)| (key.to_owned(), value)).into();
    let planned = RunCurve::planned("b", Some(&"wide".to_owned()), &axes, &config);
    let axes: Vec<_> = planned.axes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(axes, [("arm", "wide"), ("depth", "44")]);
    assert_eq!((planned.seed, planned.state), (2, State::Pending));
}
