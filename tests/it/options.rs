//! Options that contradict each other, have no effect, or are out of range.

use crate::support::{fail, fathom, succeed, with_experiment};
use tempfile::TempDir;

/// A folder with a results directory `mine` whose only run is `8-s1`.
fn with_run() -> TempDir {
    let folder = with_experiment("");
    std::fs::write(folder.path().join("log.csv"), "step,test_err_pct\n0,90\n8,50\n")
        .expect("writable");
    let import = "import log.csv --out mine --set depth=8 --set seed=1";
    succeed(folder.path(), &import.split(' ').collect::<Vec<_>>());
    folder
}

#[test]
fn options_of_another_case_are_refused_before_anything_is_computed() {
    let folder = with_run();
    std::fs::write(folder.path().join("b.md"), "no table\n").expect("writable");
    let too_many = "expected a whole number from 1 to 100000000";
    for (line, said) in [
        ("eval --run mine/runs/8-s1 --depth 14", "--depth: only with --weights"),
        (
            "eval --run mine",
            "--run mine: this is a results directory; name one run, such as mine/runs/8-s1",
        ),
        (
            "eval --weights w --network mlp --depth 2 --data mnist --path p",
            "--path: only for the data set images",
        ),
        ("landscape mine --only zzz*", "--only zzz*: matches none of 1 runs, such as 8-s1"),
        ("landscape mine --only [", "--only [: "),
        ("plan tiny.toml --only [", "--only [: "),
        ("plan tiny.toml --set data.train=99999999999999", too_many),
        ("plan tiny.toml --set data.test=9223372036854775807", too_many),
        ("plan tiny.toml --set training.batch=9223372036854775807", too_many),
        ("plan tiny.toml --set training.lr=1 --set training.lr=2", "training.lr is given twice"),
        ("report --splice b.md", "no line is a marker"),
        ("data show mnist --colour", "--colour: only for the data set shapes"),
        ("data show shapes --labels coarse", "--labels: only for the data set cifar100"),
        ("data show shapes --test-share 0.2", "--test-share: only for the data set images"),
        ("data show images", "images: give their folder by --path DIR"),
        ("data verify mnist --path im", "--path: only for the data set images"),
        ("bench residual --depth 8 --norm-groups 2", "--norm-groups: only with --norm group"),
        ("plot log.csv --columns step,hours", "there is no column hours"),
    ] {
        let errors = fail(folder.path(), 2, &line.split(' ').collect::<Vec<_>>());
        assert!(errors.contains(said), "{line}: {errors}");
    }
}

#[test]
fn an_empty_variable_stands_for_no_folder_of_data_sets() {
    let folder = with_experiment("");
    for line in ["plan tiny.toml", "data list"] {
        let mut command = fathom(folder.path());
        let output = command.env("FATHOM_DATA", "").args(line.split(' ')).output().expect("starts");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_plan_tells_that_no_run_fits_the_memory_that_is_given() {
    let folder = with_experiment("");
    let plan = ["plan", "tiny.toml", "--memory", "0.0001"];
    let output = fathom(folder.path()).args(plan).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("need more memory than the 100.000 kB that --memory allows"), "{said}");
}
