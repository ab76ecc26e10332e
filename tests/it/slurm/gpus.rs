//! Sweeps on a cluster whose node has two GPUs, which are emulated.

use super::{User, arguments};
use crate::cuda::Machine;
use crate::slurm::cluster::Cluster;
use crate::support::{outcomes, with_experiment};
use fathom::record::{State, SweepDir};
use std::collections::BTreeSet;

/// Eight runs.
const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
seed = [0, 1, 2, 3]
"#;

/// A command line that trains on GPUs.
fn on_gpus<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = arguments(more);
    let device = arguments.iter().position(|word| *word == "cpu").expect("a device");
    arguments[device] = "cuda";
    arguments
}

fn machine(folder: &std::path::Path) -> Option<Machine<'_>> {
    Some(Machine::new(folder)?.with("DEVICES", 2))
}

#[test]
fn each_task_has_its_own_gpu_and_a_lost_one_costs_no_run() {
    let folder = with_experiment(SWEEP);
    let Some(gpus) = machine(folder.path()) else { return };
    let Some(cluster) = Cluster::start_with_gpus() else { return };
    // The first process that does so much work loses its device.
    let once = folder.path().join("lost-once");
    let gpus = gpus.with("LOST", 20_000).with("LOST_ONCE", once.display());
    let user = User { cluster: &cluster, folder: folder.path(), gpus: Some(gpus) };
    let submit = |more: &[&str]| {
        user.fathom(&on_gpus(
            &[&["--on", "slurm", "--out", "struck", "--mem", "1500M"], more].concat(),
        ))
    };
    let (code, said) = submit(&["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("#SBATCH --gres=gpu:1\n"), "{said}");
    let (code, said) = submit(&[]);
    assert_eq!(code, Some(0), "{said}");
    let (run, _) = user.under_way("struck", &[]);
    cluster.ask("scontrol", &["requeue", &user.task_of("struck", &run)]);
    user.wait_for_an_empty_queue();
    // The array had six tasks; what is left is submitted by the same command.
    let (code, said) = submit(&[]);
    assert_eq!(code, Some(0), "{said}");
    user.wait_for_an_empty_queue();
    let runs = SweepDir::new(folder.path().join("struck")).runs().expect("results");
    let mut seen = BTreeSet::new();
    for run in &runs {
        assert_eq!(run.status().expect("a status").state, State::Done, "{}", run.id());
        let execution = run.manifest().expect("a manifest").execution;
        assert_eq!(execution.device, "cuda:0", "each is the first of its task");
        seen.insert(execution.gpu.expect("a GPU").uuid);
    }
    assert_eq!((runs.len(), seen.len()), (8, 2), "{seen:?}");
    assert!(once.exists(), "a device was lost");

    // A task sees one GPU and one core.
    let mut sbatch = std::process::Command::new("sbatch");
    sbatch.env("SLURM_CONF", cluster.config()).current_dir(folder.path());
    user.gpus.as_ref().expect("given above").equip(&mut sbatch);
    let program = assert_cmd::cargo::cargo_bin!("fathom");
    let wrap = format!("--wrap={} doctor", program.display());
    let job = ["--gres=gpu:1", "--cpus-per-task=1", "--mem=1500M", "--output=doctor.txt", &wrap];
    assert!(sbatch.args(job).output().expect("it starts").status.success());
    cluster.wait("doctor", |cluster| cluster.ask("squeue", &["--noheader"]).trim().is_empty());
    let told = std::fs::read_to_string(folder.path().join("doctor.txt")).expect("its output");
    for expected in ["machine    1 cores", "hidden     1 of 2", "1 device: --device auto takes"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }

    let alone = machine(folder.path()).expect("looked for before");
    let alone = User { cluster: &cluster, folder: folder.path(), gpus: Some(alone) };
    let (code, said) = alone.fathom(&on_gpus(&["--out", "left-alone"]));
    assert_eq!(code, Some(0), "{said}");
    let [struck, alone] = ["struck", "left-alone"].map(|out| outcomes(&folder.path().join(out)));
    assert_eq!(struck, alone);
}

#[test]
fn a_task_whose_gpu_is_taken_says_so_in_a_sentence() {
    let folder = with_experiment("");
    let Some(gpus) = machine(folder.path()) else { return };
    let Some(cluster) = Cluster::start_with_gpus() else { return };
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("writable");
    for device in ["0", "1"] {
        // This very process has both.
        std::fs::write(taken.join(device), std::process::id().to_string()).expect("writable");
    }
    let gpus = gpus.with("EXCLUSIVE", taken.display());
    let user = User { cluster: &cluster, folder: folder.path(), gpus: Some(gpus) };
    let (code, said) =
        user.fathom(&on_gpus(&["--on", "slurm", "--out", "refused", "--mem", "1500M"]));
    assert_eq!(code, Some(0), "{said}");
    user.wait_for_an_empty_queue();
    let (_, said) = user.fathom(&["status", "refused", "--format", "csv"]);
    assert!(said.contains(",lost-device,"), "{said}");
    assert!(said.contains("another process has this GPU, which is in exclusive mode"), "{said}");
}
