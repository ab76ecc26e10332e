use crate::Experiment;
use std::path::Path;

#[test]
fn a_wrong_number_of_set_is_told_as_a_number() {
    let text = "name = \"t\"\n";
    let error = Experiment::parse(Path::new("t.toml"), text, &["training.momentum=1.5".to_owned()]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("training.momentum = 1.5: expected a number"), "{error}");
}

#[test]
fn a_list_without_brackets_is_told_to_have_them_and_a_key_is_given_once() {
    let refused = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Experiment::parse(Path::new("t.toml"), "name = \"t\"\n", &sets).unwrap_err().to_string()
    };
    let said = refused(&["seed=0,1"]);
    assert!(said.ends_with("for a sweep over these values: --set 'seed=[0,1]'"), "{said}");
    let said = refused(&["network.depth=8", "seed=1", "network.depth = 14"]);
    let expected = "--set network.depth = 14: network.depth is given twice; a list is swept over: network.depth=[…]";
    assert_eq!(said, expected);
}

#[test]
fn more_images_than_a_known_set_has_are_refused_where_the_number_stands() {
    let text = "name = \"t\"\n[data]\nsource = \"mnist\"\ntrain = 70000\n[network]\nfamily = \"plain\"\n\
                depth = 8\n[training]\niterations = 9\n";
    let parse = |text: &str| Experiment::parse(Path::new("t.toml"), text, &[]);
    let error = parse(text).unwrap_err().to_string();
    assert_eq!(error, "t.toml:4: data.train = 70000: mnist has 60000 training images");
    assert!(parse(&text.replace("70000", "60000")).is_ok());
    let deep = parse(&text.replace("70000", "6000").replace("depth = 8", "depth = 100000"));
    let error = deep.unwrap_err().to_string();
    assert!(error.ends_with("100000 is not 6n+2; the nearest is 99998"), "{error}");
}

#[test]
fn a_given_standardisation_has_a_value_for_each_channel() {
    let said = |colour: bool, mean: &str, std: &str| {
        let text = format!(
            "name = \"t\"\n[data]\nsource = \"shapes\"\ncolour = {colour}\nstandardise = \"given\"\n\
             mean = {mean}\nstd = {std}\n[network]\nfamily = \"plain\"\ndepth = 8\n[training]\niterations = 9\n"
        );
        let found = Experiment::parse(Path::new("t.toml"), &text, &[]);
        found.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(said(true, "[0, 0, 0]", "[1, 1, 1]"), Ok(()));
    assert_eq!(said(false, "[0]", "[1]"), Ok(()));
    for (colour, mean, std, expected) in [
        (
            true,
            "[0, 0]",
            "[1, 1]",
            "t.toml:6: data.mean: 2 values, but the images are of 3 channels: give 3",
        ),
        (true, "[]", "[]", "t.toml:6: data.mean: 0 values, but the images are of 3 channels"),
        (true, "[0, 0, 0]", "[1]", "t.toml:7: data.std: 1 value, but the images are of 3 channels"),
        (true, "[0, 0, 0, 0]", "[1, 1, 1, 1]", "t.toml:6: data.mean: 4 values, but"),
        (
            false,
            "[0, 0, 0]",
            "[1, 1, 1]",
            "t.toml:6: data.mean: 3 values, but the images are grey: give one",
        ),
        (true, "[0, 0, 0]", "[1, 0, 1]", "t.toml:7: data.std: must be above zero"),
    ] {
        let found = said(colour, mean, std).unwrap_err();
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn ids_are_readable_as_far_as_a_file_name_may_be_long() {
    let ids = |arm: &str, at: &str| -> Vec<String> {
        let text = format!(
            "name = \"t\"\ndata = {{ source = \"shapes\" }}\nnetwork = {{ family = \"plain\", depth = 8 }}\n\
             training = {{ iterations = 900, schedule = {{ kind = \"step\" }} }}\n[sweep]\n\
             \"training.schedule.at\" = [[1], [{at}]]\n[[arm]]\nname = \"{arm}\"\n"
        );
        let experiment = Experiment::parse(Path::new("t.toml"), &text, &[]).expect("valid");
        experiment.runs.into_iter().map(|run| run.id).collect()
    };
    let short = ids("a", "2, 3");
    assert!(short[1].starts_with("a-plain-8-_2_3_-s0-"), "{short:?}");
    let many: Vec<String> = (1..100).map(|at| at.to_string()).collect();
    let long = ids(&"é".repeat(300), &many.join(","));
    assert!(long.iter().all(|id| id.len() <= 150), "{long:?}");
    assert_ne!(long[0], long[1]);
    let without = ids("a", &many.join(","));
    assert!(without[1].starts_with("a-plain-8-s0-"), "{without:?}");
}
