//! Outputs that cannot be written: a pipe whose reader has ended, a full disk, closed streams.

use crate::support::command;

#[test]
fn a_reader_that_ends_early_stops_no_other_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/results/cifar10-small");
    let run = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command(folder.path());
        let output = command.args(arguments).stdout(writer).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
    };
    run(&["plot", results, "--out", "figures"]);
    for figure in ["curves.svg", "curves.png", "depth.svg", "depth.png"] {
        assert!(folder.path().join("figures").join(figure).is_file(), "{figure}");
    }
    run(&["export", results, "--tensorboard", "events"]);
    let runs = std::fs::read_dir(folder.path().join("events")).expect("events").count();
    assert_eq!(runs, 30);
}

#[cfg(feature = "train")]
mod trained {
    use super::*;
    use crate::support::{succeed, with_experiment};
    use std::fs::File;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    /// A command line for every sub-command, for a folder with an experiment that has run.
    const COMMANDS: [&str; 28] = [
        "run tiny.toml --device cpu",
        "run tiny.toml --device cpu --dry-run",
        "new {fresh}",
        "plan tiny.toml",
        "plan tiny.toml --format json",
        "status results/tiny",
        "status results/tiny --summary --format csv",
        "cancel results/tiny",
        "plot results/tiny --out {fresh}",
        "report results/tiny --out {fresh}.html",
        "report results/tiny --splice page.md --check",
        "compare results/tiny results/tiny",
        "compare results/tiny --over depth",
        "import log.csv --train-error err --set seed=1 --set network.depth=8 --out {fresh}",
        "export results/tiny --wide",
        "export results/tiny --table markdown",
        "export results/tiny --tensorboard {fresh}",
        "check results/tiny",
        "inspect residual --depth 20",
        "inspect residual --depth 20 --format json",
        "eval --run {run}",
        "landscape results/tiny --points 3 --directions 1",
        "bench plain --depth 8 --width 2 --size 8 --batch 2 --seconds 0.1",
        "data list",
        "data verify shapes",
        "data show shapes --out {fresh}.png",
        "doctor",
        "help run",
    ];

    const CLAIM: &str = r#"
[sweep]
"network.depth" = [8, 14]
seed = [0, 1]

[[claim]]
name = "deeper is no better"
metric = "train_loss"
of = { depth = 8 }
no_worse_than = { depth = 14 }
margin = 50
"#;

    /// The command line in the folder. Each call writes new files.
    fn fathom(folder: &Path, line: &str, fresh: &str) -> Command {
        let runs = std::fs::read_dir(folder.join("results/tiny/runs")).expect("runs");
        let run = runs.map(|run| run.expect("readable").path()).min().expect("a run");
        let line = line.replace("{fresh}", fresh).replace("{run}", run.to_str().expect("text"));
        let mut command = command(folder);
        command.args(line.split(' '));
        command
    }

    #[test]
    fn every_command_survives_closed_pipes_and_full_disks() {
        let folder = with_experiment(CLAIM);
        let folder = folder.path();
        succeed(folder, &["run", "tiny.toml", "--device", "cpu"]);
        std::fs::write(folder.join("page.md"), "No tables.\n").expect("writable");
        std::fs::write(folder.join("log.csv"), "step,err\n0,90\n10,50\n").expect("writable");
        let help = succeed(folder, &["--help"]);
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in listed.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().expect("a name");
            let is_command = line.starts_with("  ") && !line.starts_with("   ");
            let is_covered = COMMANDS.iter().any(|line| line.split(' ').next() == Some(name));
            assert!(!is_command || is_covered, "{name} is missing here");
        }

        for (at, line) in COMMANDS.into_iter().enumerate() {
            let start = |way: &str| fathom(folder, line, &format!("fresh-{at}-{way}"));
            let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
            let whole = start("whole").output().expect("it starts");

            let (reader, closed) = std::io::pipe().expect("a pipe");
            drop(reader);
            let piped = start("piped").stdout(closed.try_clone().expect("a pipe")).output();
            let piped = piped.expect("it starts");
            assert_eq!(piped.status.code(), whole.status.code(), "{line}: {}", said(&piped));
            let silent = start("silent").stdout(Stdio::null()).stderr(closed).output();
            assert_eq!(silent.expect("it starts").status.code(), whole.status.code(), "{line}");

            let full = File::options().write(true).open("/dev/full").expect("Linux has it");
            let full = start("full").stdout(full).output().expect("it starts");
            if whole.stdout.is_empty() {
                assert_eq!(full.status.code(), whole.status.code(), "{line}: {}", said(&full));
            } else if line != "help run" {
                assert_eq!(full.status.code(), Some(1), "{line}: {}", said(&full));
                let last =
                    "error: cannot write to standard output: No space left on device (os error 28)";
                assert_eq!(said(&full).lines().last(), Some(last), "{line}");
            }
            for output in [&whole, &piped, &full] {
                assert!(!said(output).contains("panicked"), "{line}: {}", said(output));
            }
        }
    }
}
