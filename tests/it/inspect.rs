//! `fathom inspect`.

use crate::support::{fail, fathom, succeed};

/// What `inspect` says as JSON.
fn inspect(arguments: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let all: Vec<&str> =
        ["inspect"].iter().chain(arguments).chain(&["--format", "json"]).copied().collect();
    serde_json::from_str(&succeed(folder.path(), &all)).expect("json")
}

#[test]
fn inspect_counts_what_the_papers_count() {
    let audit = inspect(&["plain", "--depth", "56"]);
    assert_eq!((&audit["parameters"], &audit["macs"]), (&853_018.into(), &125_485_696.into()));
    let first = &audit["layers"][0];
    assert_eq!(first["name"], "conv1");
    assert_eq!(first["output"], serde_json::json!([16, 32, 32]));
    assert_eq!(first["receptive_field"], 3);
    let dense = "dense --depth 100 --growth 12 --bottleneck --compression 0.5";
    let audit = inspect(&dense.split(' ').collect::<Vec<_>>());
    assert_eq!(audit["parameters"], 769_162);
    assert_eq!(inspect(&["resnet152"])["parameters"], 60_192_808);
    assert_eq!(inspect(&["resnet152", "--classes", "10"])["parameters"], 58_164_298);
    assert_eq!(inspect(&["densenet201"])["parameters"], 20_013_928);
    assert_eq!(inspect(&["lenet", "--norm", "group", "--norm-groups", "2"])["macs"], 416_520);
}

#[test]
fn inspect_refuses_what_cannot_be_and_says_what_can() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = |arguments: &str| {
        let arguments: Vec<&str> = ["inspect"].into_iter().chain(arguments.split(' ')).collect();
        fail(folder.path(), 2, &arguments)
    };
    for (arguments, said) in [
        ("residul", "did you mean residual?"),
        ("residual --depth 8 --stride-first", "--stride-first: only with --block bottleneck"),
        ("residual --depth 8 --norm-groups 2", "--norm-groups: only with --norm group"),
        ("residual --depth 8 --size 100000000", "100000000 is not in 1..=4096"),
        ("plain --depth 99998 --width 4096 --size 4096", "at most 1e15 can be counted"),
        ("plain --depth 45", "--depth: 45 is not 6n+2; the nearest are 44 and 50"),
        ("plain --depth 8 --growth 12", "plain has no --growth; it has --depth"),
        ("resnet18 --size 16", "the smallest valid size is 17×17"),
        ("densenet121 --size 28", "the smallest valid size is 29×29"),
        ("plain --depth 8 --norm group --norm-groups 5", "every layer is 4"),
        ("plain --depth 8 --width wide", "--width wide: expected a whole number from 1 to 4096"),
        ("residual --depth 8 --init fixup", "for nets without normalisation"),
        ("plain --depth 8 --init fixup", "expected one of \"he-fan-out\""),
        ("mlp", "--depth must be given"),
        ("residual --depth 18 --stem imagenet --block bottleneck", "these are 50, 101 and 152"),
    ] {
        let errors = refused(arguments);
        assert!(errors.contains(said), "{arguments}: {errors}");
    }
}

#[test]
fn inspect_tells_people_the_stages_and_a_dense_net_s_transitions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = succeed(folder.path(), &["inspect", "densenet-textbook"]);
    let row = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    // Each block adds 4 × 32 channels, each transition halves them.
    assert_eq!(row("denseblock1 ")[1], "192×24×24");
    assert_eq!(row("transition1 ")[1], "96×12×12");
    assert_eq!(row("total ")[1..3], ["248×1×1", "757322"]);
    assert_eq!(row("without transitions ")[2], "576×1×1");
}

#[test]
fn inspect_tells_the_two_dense_nets_of_the_textbook_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inspect = |name: &str| {
        let output = fathom(folder.path()).args(["inspect", name]).output().expect("starts");
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).matches("dropout 0.5").count();
        (text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (dropouts, text) = inspect("densenet-textbook");
    assert_eq!(dropouts, 0);
    assert!(text.contains("without bottlenecks and dropout; densenet-textbook-tf2 has"), "{text}");
    let (dropouts, text) = inspect("densenet-textbook-tf2");
    assert_eq!(dropouts, 16);
    assert!(text.contains("with bottlenecks and dropout after each 3x3 convolution"), "{text}");
    assert!(!inspect("densenet121").1.contains("textbook"));
}
