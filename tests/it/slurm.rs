//! Sweeps on a real Slurm cluster.

mod cluster;
mod gpus;

use crate::cuda::Machine;
use crate::support::{command, fathom, outcomes, succeed, with_experiment};
use cluster::{Cluster, send};
use fathom::record::{CurveReader, Holder, Lock, SweepDir};
use std::path::Path;
use std::process::Output;

/// Eight runs; of each a few seconds.
const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
"network.depth" = [8, 14]
seed = [0, 1]
"#;

const SETS: [&str; 4] =
    ["training.iterations=1200", "evaluate.every=30", "data.size=16", "network.width=8"];

/// A command line whose experiment is the sweep. A `--set` of `more` comes instead of one of [`SETS`].
fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "tiny.toml", "--device", "cpu", "--checkpoint", "5"];
    arguments.extend(["--threads", "1", "--layout", "nchw"]);
    let key = |set: &str| set.split('=').next().map(str::to_owned);
    let is_replaced = |set: &&&str| more.iter().any(|other| key(other) == key(set));
    let sets = SETS.iter().filter(|set| !is_replaced(set));
    arguments.extend(sets.flat_map(|set| ["--set", *set]));
    arguments.extend(more);
    arguments
}

/// A user of the cluster with an experiment.
struct User<'a> {
    cluster: &'a Cluster,
    folder: &'a Path,
    /// The machine's GPUs, where it has some.
    gpus: Option<Machine<'a>>,
}

impl User<'_> {
    /// Runs fathom, and gives its exit code and what it said.
    fn fathom(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = command(self.folder);
        command.env("SLURM_CONF", self.cluster.config()).args(arguments);
        if let Some(gpus) = &self.gpus {
            gpus.equip(&mut command);
        }
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        let said = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (status.code(), said.concat())
    }

    fn submit(&self, out: &str, more: &[&str]) -> (Option<i32>, String) {
        self.fathom(&arguments(&[&["--on", "slurm", "--out", out], more].concat()))
    }

    /// The states of tasks that wait or run, by their names.
    fn tasks(&self) -> Vec<(String, String)> {
        let told = self.cluster.ask("squeue", &["--noheader", "--array", "--format=%i %T"]);
        let words = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        told.lines().filter_map(words).filter(|(name, _)| name.contains('_')).collect()
    }

    fn wait_for_an_empty_queue(&self) {
        self.cluster.wait("empty queue", |cluster| {
            cluster.hurry();
            self.tasks().is_empty()
        });
    }

    /// Waits until a run trains that is well under way, not near its end and none of those that were
    /// struck (their tasks may still be ending), and gives its name and the process that trains it.
    fn under_way(&self, out: &str, struck: &[String]) -> (String, libc::pid_t) {
        let directory = SweepDir::new(self.folder.join(out));
        let find = || {
            self.cluster.hurry();
            let runs = directory.runs().expect("results").into_iter();
            runs.filter(|run| !struck.contains(&run.id())).find_map(|run| {
                let rows = CurveReader::read(&run.curve_path()).ok()?;
                let step = rows.last()?.step;
                let Ok(Some(Holder::Alive(owner))) = Lock::peek(&run.lock()) else { return None };
                let pid = libc::pid_t::try_from(owner.pid).ok()?;
                (60..600).contains(&step).then(|| (run.id(), pid))
            })
        };
        self.cluster.wait("run under way", |_| find().is_some());
        find().expect("it still is")
    }

    /// The task that Slurm says trains a run.
    fn task_of(&self, out: &str, run: &str) -> String {
        let (_, told) = self.fathom(&["status", out, "--format", "csv"]);
        let row = told.lines().find(|line| line.starts_with(run)).expect("a row");
        let cell = row.rsplit(',').next().expect("cells");
        assert!(cell.contains(" RUNNING ("), "{row}");
        cell.split(' ').next().expect("a task").to_owned()
    }
}

/// The process whose child this is.
fn parent(pid: libc::pid_t) -> libc::pid_t {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().parse().expect("a number")
}

#[test]
fn tasks_that_are_requeued_killed_preempted_and_stopped_give_the_curves_of_undisturbed_runs() {
    let Some(cluster) = Cluster::start(1000) else { return };
    let folder = with_experiment(SWEEP);
    let user = User { cluster: &cluster, folder: folder.path(), gpus: None };

    let (code, said) = user.submit("struck", &[]);
    assert_eq!(code, Some(0), "{said}");
    // The cluster takes arrays of six tasks at most.
    assert!(said.contains("6 runs in 6 tasks") && said.contains("2 runs in 2 tasks"), "{said}");
    let (code, said) = user.submit("struck", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("wait or run"), "nothing is submitted twice: {said}");

    let mut struck = Vec::new();
    let mut next = || {
        let (run, pid) = user.under_way("struck", &struck);
        struck.push(run.clone());
        (run, pid)
    };
    cluster.ask("scontrol", &["requeue", &user.task_of("struck", &next().0)]);
    send(parent(next().1), libc::SIGKILL);
    send(next().1, libc::SIGKILL);
    next();
    cluster.ask(
        "sbatch",
        &[
            "--output=/dev/null",
            "--partition=urgent",
            "--cpus-per-task=2",
            "--mem=10",
            "--wrap=true",
        ],
    );
    cluster.wait("preemption", |cluster| {
        cluster
            .ask("squeue", &["--noheader", "--format=%P %T"])
            .lines()
            .all(|line| line.starts_with("main"))
    });
    // As at the end of a time limit: the task asks for its return by itself. The last task of an array
    // has the number of the array, to which the tasks belong that wait meanwhile.
    let task = std::iter::repeat_with(|| user.task_of("struck", &next().0))
        .find(|task| task.ends_with("_5"))
        .expect("the last task");
    cluster.ask("scancel", &["--signal=USR1", "--batch", &task]);
    cluster.wait("its return", |_| {
        user.tasks().iter().any(|(name, state)| *name == task && state == "PENDING")
    });

    user.wait_for_an_empty_queue();
    // The task that was killed is the only one that does not come back by itself.
    let (code, said) = user.submit("struck", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 run in 1 task"), "{said}");
    user.wait_for_an_empty_queue();
    let (code, said) = user.submit("struck", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("struck: 8 done"), "{said}");

    succeed(folder.path(), &arguments(&["--out", "left-alone", "--jobs", "2"]));
    let (struck, alone) = (folder.path().join("struck"), folder.path().join("left-alone"));
    assert_eq!(outcomes(&struck), outcomes(&alone));
    for derived in ["curves.csv", "summary.csv"] {
        assert!(struck.join(derived).exists(), "{derived}");
    }
}

#[test]
fn what_slurm_refuses_is_said_in_a_sentence_and_loses_nothing() {
    let Some(cluster) = Cluster::start(10) else { return };
    let folder = with_experiment(SWEEP);
    let user = User { cluster: &cluster, folder: folder.path(), gpus: None };
    let submit = |more: &[&str]| {
        user.submit("results/tiny", &[&["--set", "training.iterations=40"], more].concat())
    };

    let (code, said) = submit(&["--partition", "nope"]);
    assert_eq!(code, Some(1), "{said}");
    let expected = "error: Slurm refuses: invalid partition specified: nope; Invalid partition name \
                    specified; there are main, urgent: nothing was submitted\n";
    assert_eq!(said, expected);

    cluster
        .ask("sbatch", &["--output=/dev/null", "--hold", "--array=0-2", "--mem=10", "--wrap=true"]);
    let (code, said) = submit(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("6 runs in 6 tasks"), "{said}");
    let expected = "error: Slurm's queue is full (MaxJobCount = 10); --runs-per-task makes fewer \
                    tasks: 6 of 8 tasks were submitted; the same command submits the rest\n";
    assert!(said.ends_with(expected), "{said}");

    cluster.stop_controller();
    let (code, said) = submit(&[]);
    assert_eq!(code, Some(1), "{said}");
    let expected = "error: Slurm's controller does not answer (Unable to contact slurm controller \
                    (connect failure)): nothing was submitted\n";
    assert_eq!(said, expected);
    let (code, said) = user.fathom(&["status", "results/tiny"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note: the Slurm tasks of the runs are not known: Slurm's controller"));

    cluster.start_controller(1000);
    let (code, said) = submit(&["--runs-per-task", "2"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 runs in 1 task"), "{said}");
    cluster.ask("scancel", &["--state=PENDING", "--name=wrap"]);
    user.wait_for_an_empty_queue();
    let (code, said) = user.fathom(&["status", "results/tiny", "--format", "csv"]);
    assert_eq!((code, said.matches(",done,").count()), (Some(0), 8), "{said}");
    let (code, said) = submit(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("results/tiny: 8 done"), "{said}");
}

#[test]
fn a_sweep_is_cancelled_and_goes_on() {
    let Some(cluster) = Cluster::start(1000) else { return };
    let folder = with_experiment("");
    let user = User { cluster: &cluster, folder: folder.path(), gpus: None };
    let (code, said) = user.submit("cancelled", &["--jobs", "2", "--time", "5"]);
    assert_eq!(code, Some(0), "{said}");
    let script =
        std::fs::read_to_string(folder.path().join("cancelled/slurm/1.sh")).expect("a script");
    assert!(script.contains("\n#SBATCH --cpus-per-task=2\n"), "{script}");
    assert!(script.contains("\n#SBATCH --signal=B:USR1@75\n"), "{script}");
    user.under_way("cancelled", &[]);
    let (code, said) = user.fathom(&["cancel", "cancelled"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cancelled: 1 task cancelled"), "{said}");
    user.wait_for_an_empty_queue();
    let (_, said) = user.fathom(&["status", "cancelled", "--format", "csv"]);
    assert!(said.contains(",interrupted,"), "{said}");
    let (_, said) = user.fathom(&["cancel", "cancelled"]);
    assert!(said.contains("no run is in progress or queued"), "{said}");

    // A cluster may not let tasks return: then the status has the command.
    let (code, said) = user.submit("cancelled", &["--sbatch=--no-requeue"]);
    assert_eq!(code, Some(0), "{said}");
    let (run, _) = user.under_way("cancelled", &[]);
    let task = user.task_of("cancelled", &run);
    cluster.ask("scancel", &["--signal=USR1", "--batch", &task]);
    user.wait_for_an_empty_queue();
    let (_, said) = user.fathom(&["status", "cancelled", "--format", "csv"]);
    assert!(said.contains("not queued again (Slurm refuses: "), "{said}");
    assert!(said.contains(&format!("): scontrol requeue {task}")), "{said}");

    let (code, said) = user.submit("cancelled", &[]);
    assert_eq!(code, Some(0), "{said}");
    user.wait_for_an_empty_queue();
    let (code, said) = user.submit("cancelled", &[]);
    assert_eq!(code, Some(0), "{said}");
    succeed(folder.path(), &arguments(&["--out", "left-alone"]));
    let [cancelled, alone] =
        ["cancelled", "left-alone"].map(|out| outcomes(&folder.path().join(out)));
    assert_eq!(cancelled, alone);
}

#[test]
fn the_second_stage_is_submitted_when_the_first_is_done() {
    let Some(cluster) = Cluster::start(1000) else { return };
    let folder = with_experiment(crate::stages::STAGES);
    let user = User { cluster: &cluster, folder: folder.path(), gpus: None };
    let submit = || {
        let command = ["run", "tiny.toml", "--device", "cpu", "--threads", "1", "--layout", "nchw"];
        let (code, said) =
            user.fathom(&[&command, &["--on", "slurm", "--runs-per-task", "6"][..]].concat());
        assert_eq!(code, Some(0), "{said}");
        user.wait_for_an_empty_queue();
        said
    };
    let said = submit();
    assert!(said.contains("12 runs in 2 tasks"), "{said}");
    assert!(
        said.contains("the same command submits the second stage when these runs are done"),
        "{said}"
    );
    let (_, said) = user.fathom(&["status", "results/tiny"]);
    assert!(said.contains("then `fathom run` adds the runs of the second stage"), "{said}");

    let said = submit();
    assert!(said.contains("second stage: 6 runs with these values"), "{said}");
    assert!(
        said.contains("6 runs in 1 task") && said.contains("12 runs were done before"),
        "{said}"
    );
    let said = submit();
    assert!(said.contains("results/tiny: 18 done"), "{said}");
    assert!(folder.path().join("results/tiny/claims.json").exists());
}

#[test]
fn without_slurm_a_machine_says_so() {
    let folder = with_experiment("");
    let mut command = fathom(folder.path());
    command.args(arguments(&["--on", "slurm"])).env("PATH", folder.path());
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: scontrol is not installed here: --on slurm is for"), "{said}");
    assert!(!folder.path().join("results").exists(), "nothing is left behind");
}
