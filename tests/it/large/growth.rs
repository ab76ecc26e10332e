//! How commands grow with the number of runs.

use super::sweep::{self, Size};
use super::usage::{self, Usage};
use std::fmt::Write;

/// Evaluations of each run.
const ROWS: usize = 20;

const COMMANDS: [(&str, &str); 4] = [
    ("plan", "plan tiny.toml"),
    ("status", "status results/large"),
    ("check", "check results/large"),
    ("plot", "plot results/large"),
];

/// What nobody should have to wait for.
const MOST: Usage =
    Usage { seconds: if cfg!(debug_assertions) { 25.0 } else { 5.0 }, megabytes: 1000.0 };

fn measured(runs: usize) -> Vec<(&'static str, Usage)> {
    let (folder, _) = sweep::written(Size { seeds: runs / 10, rows: ROWS });
    COMMANDS.map(|(name, line)| (name, usage::of(folder.path(), line).1)).into()
}

#[test]
fn ten_thousand_runs_are_planned_told_checked_and_drawn_in_five_seconds_and_ten_times_those_of_1000()
 {
    let (few, many) = (measured(1000), measured(10_000));
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        println!("{name}: {few:?}, {many:?}");
        for used in [few, many] {
            assert!(
                used.seconds < MOST.seconds && used.megabytes < MOST.megabytes,
                "{name}: {used:?}"
            );
        }
        // Were it quadratic, this would be a hundred.
        let ratio = many.seconds / few.seconds.max(0.1);
        assert!(ratio < 20.0, "{name}: {ratio}");
    }
}

/// Writes the table that `results/bench` keeps to the file that `FATHOM_GROWTH` names.
#[test]
#[ignore = "measures for the table in results/bench"]
fn growth() {
    let path = std::env::var_os("FATHOM_GROWTH").expect("FATHOM_GROWTH names a file");
    let mut table = "command,runs,seconds,peak_memory_mb\n".to_owned();
    for runs in [500, 1000, 2000, 4000, 6000, 8000, 10_000] {
        for (name, Usage { seconds, megabytes }) in measured(runs) {
            writeln!(table, "{name},{runs},{seconds:.3},{megabytes:.0}").expect("memory");
        }
    }
    std::fs::write(path, table).expect("writable");
}
