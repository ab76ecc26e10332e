use super::*;

#[test]
fn every_error_names_the_line_the_key_and_what_would_be_valid() {
    for (text, expected) in [
        (
            "name = \"t\"\nnetwrok = 1",
            "t.toml:2: unknown key netwrok; did you mean network? (valid: ",
        ),
        ("name = \"a/b\"", "t.toml:1: name: \"a/b\": expected letters, digits, '-', '_' and '.'"),
        (
            &format!("name = \"{}\"", "x".repeat(101)),
            "t.toml:1: name: it has 101 characters; expected at most 100",
        ),
        ("note = \"x\"", "t.toml: the experiment has no name: add name = "),
        ("name = 1", "t.toml:1: name: expected a string"),
        ("note = \"a\\u001bb\"", "t.toml:1: note: expected a text without control characters"),
        ("name = \"t\"\nseed = 1\nseed = 2", "t.toml:3: seed is given twice; it is also in line 2"),
        (
            "[training]\nlr = 1\n[network]\nlr = 1\nlr = 2",
            "t.toml:5: lr is given twice; it is also in line 4",
        ),
        ("[data]\n[network]\n[data]", "t.toml:3: data is given twice; it is also in line 1"),
        (
            "[claim]\nname = \"c\"",
            "t.toml:1: claim: expected tables under the header [[claim]], in double brackets",
        ),
        (
            "[network]\nwidth = 99999999999",
            "network.width = 99999999999: expected, depending on network.family, a whole number from 1 to 4096, or a \
             whole number from 1 to 65536",
        ),
        ("level = 0.7", "t.toml:1: level: 0.7: expected above 0 and below 0.5"),
        ("looks = [5, 3]", "t.toml:1: looks: expected ascending numbers of seeds of at least 2"),
        (
            "[training]\nlr = \"x\"",
            "t.toml:2: training.lr = \"x\": expected a number of at least 0",
        ),
        ("[training]\nlr = 1979-05-27", "t.toml:2: expected a number, text or list, found a date"),
        ("[network]\nfamily = \"plane\"", "network.family = \"plane\": expected one of plain, "),
        ("[sweep]\n\"network.depth\" = 8", "t.toml:2: network.depth: expected a list of values"),
        ("[sweep]\nseed = [0, 0]", "t.toml:2: seed: 0 is given twice"),
        ("[sweep]\nseed = []", "t.toml:2: seed: the list of values is empty"),
        ("[[arm]]\n\"training.lr\" = 1", "t.toml:2: an [[arm]] needs a name"),
        (
            "[[arm]]\nname = \"a/b\"\n[[arm]]\nname = \"a:b\"",
            "the arms \"a/b\" and \"a:b\" have the same name in ids of runs: a_b",
        ),
        ("[[arm]]\nname = \" \"", "t.toml:2: the name of an arm is a line of text"),
        ("[[arm]]\nname = \"a\\nb\"", "t.toml:2: the name of an arm is a line of text"),
        ("[network]\ngain = 0", "network.gain = 0: expected a number from 0.000001 to 1000"),
        ("[training]\nbeta1 = 1", "training.beta1 = 1: expected a number from 0 to 0.9999999"),
        ("[network]\ninit = \"orthogonal\"", "\"delta-orthogonal\", \"fixup\", \"skipinit\""),
        (
            "[[override]]\nwhne = { depth = 8 }",
            "t.toml:2: [[override]]: unknown key whne; did you mean when? (valid: when, set)",
        ),
        ("[[override]]\nwhen = { kind = \"step\" }", "t.toml:2: kind is ambiguous: training."),
        ("[[claim]]\nstep = 1", "t.toml:2: a [[claim]] needs a name"),
        ("[[claim]]\nstep = \"end\"", "t.toml:2: step: expected a number of updates, from 0"),
        ("[[claim]]\nmargin = -1", "t.toml:2: margin: -1: expected at least 0"),
        ("[[claim]]\nof = { seed = 1 }", "t.toml:2: seed: a claim is about all seeds"),
        ("[[claim]]\nalso_differs = [1]", "t.toml:2: also_differs: expected a list of keys"),
        (
            "[[claim]]\nat_most = { published = \"x\", plus = 1 }",
            "t.toml:2: at_most: no published value x; valid: resnet-20/test, ",
        ),
        (
            "[[claim]]\nat_most = { pluss = 1 }",
            "t.toml:2: at_most: unknown key pluss; did you mean plus? (valid: published, plus)",
        ),
        (
            "[[claim]]\nat_most = { plus = 1 }",
            "t.toml:2: at_most: expected a number, or { published = ",
        ),
        (
            "[[claim]]\ntune = { over = \"kind\", seeds = [1], by = \"test_err_pct\" }",
            "t.toml:2: tune: ",
        ),
        ("pairing = \"seeds\"", "t.toml:1: pairing: \"seeds\": expected one of seed, none"),
        ("added_seeds = 3", "t.toml:1: added_seeds: expected a list of whole numbers"),
        ("[[claim]]\nscale = \"ln\"", "t.toml:2: scale: \"ln\": expected one of linear, log, rank"),
        ("[[claim]]\nprimary = 1", "t.toml:2: primary: expected true or false"),
        ("[[claim]]\nlayer = 0", "t.toml:2: layer: expected the position of a layer, from 1"),
        (
            "[[claim]]\nover_layers = \"all\"",
            "over_layers: \"all\": expected one of mean, min, max",
        ),
        (
            "[[claim]]\nupdates_to = { metric = \"train_err_pct\" }",
            "t.toml:2: updates_to: expected { metric = \"train_err_pct\", below = 20 }",
        ),
    ] {
        let error = File::parse(Path::new("t.toml"), text, Names::Known).unwrap_err().to_string();
        assert!(error.starts_with("t.toml:") && error.contains(expected), "{text}: {error}");
    }
}
