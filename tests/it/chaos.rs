//! Sweeps whose processes are killed at random end as those that were left alone.

use crate::support::{fathom, outcomes, with_experiment};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Four runs of some seconds each in all.
const SWEEP: &str = r#"
[sweep]
"network.family" = ["plain", "residual"]
seed = [0, 1]
"#;

const SETS: [&str; 4] =
    ["training.iterations=240", "evaluate.every=40", "data.size=16", "network.width=8"];

fn command(folder: &Path, out: &str) -> Command {
    let program = fathom(folder);
    let mut command = Command::new(program.get_program());
    command.current_dir(folder).env("HOME", folder).env("OMP_NUM_THREADS", "1");
    command.args(["run", "tiny.toml", "--device", "cpu", "--checkpoint", "5", "--out", out]);
    for set in SETS {
        command.args(["--set", set]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A few random numbers, the same every time (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        if fields.and_then(|mut fields| fields.nth(1)?.parse().ok()) == Some(parent) {
            found.push(pid);
        }
    }
    found
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: at worst there is no such process any more.
    unsafe { libc::kill(pid, signal) };
}

/// Strikes at a sweep until it ends; how often, and how it ended.
fn strike(child: &mut Child, dice: &mut Dice) -> (u32, Option<i32>) {
    let mut strikes = 0;
    loop {
        std::thread::sleep(Duration::from_millis(250 + dice.below(700)));
        if let Some(status) = child.try_wait().expect("a child") {
            return (strikes, status.code());
        }
        let signal = if dice.below(2) == 0 { libc::SIGKILL } else { libc::SIGTERM };
        let workers = children(child.id());
        // The supervisor every third time, else one of its workers.
        let target = match workers.len() as u64 {
            n if n > 0 && dice.below(3) > 0 => workers[dice.below(n) as usize],
            _ => child.id() as i32,
        };
        kill(target, signal);
        strikes += 1;
    }
}

/// Strikes, in one sweep after another, until there were so many; each must end as `expected`.
fn survive(strikes: u32, seed: u64) {
    let folder = with_experiment(SWEEP);
    let undisturbed = command(folder.path(), "alone").status().expect("the program starts");
    assert!(undisturbed.success());
    let expected = outcomes(&folder.path().join("alone"));
    assert_eq!(expected.len(), 4);
    let (mut dice, mut done, mut sweeps, mut restarts) = (Dice(seed), 0, 0, 0);
    while done < strikes {
        let out = format!("chaos-{sweeps}");
        loop {
            let mut child = command(folder.path(), &out).spawn().expect("the program starts");
            let (struck, code) = strike(&mut child, &mut dice);
            done += struck;
            restarts += 1;
            assert!(restarts < 40 * strikes, "nothing gets done");
            if code == Some(0) {
                break;
            }
        }
        assert!(outcomes(&folder.path().join(&out)) == expected, "sweep {sweeps} of seed {seed}");
        sweeps += 1;
    }
    println!("{done} strikes, {restarts} starts, {sweeps} sweeps, all bytes as undisturbed");
}

#[test]
fn a_sweep_that_is_struck_twenty_times_ends_as_one_that_was_left_alone() {
    survive(20, 1);
}

/// `scripts/chaos` runs this, with `FATHOM_CHAOS` sweeps of strikes.
#[test]
#[ignore = "takes minutes: scripts/chaos"]
fn many_sweeps_survive() {
    let rounds = std::env::var("FATHOM_CHAOS").ok().and_then(|text| text.parse().ok());
    for seed in 2..2 + rounds.unwrap_or(5) {
        survive(20, seed);
    }
}
