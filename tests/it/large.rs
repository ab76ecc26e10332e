//! What reads a results directory, on a large one.

mod growth;
pub mod sweep;
mod usage;

use std::path::Path;
use sweep::LARGE;
use usage::Usage;

/// What a command may take, so that nobody waits for a figure. Time is the processor's, which other
/// processes hardly lengthen; programs that are not optimised have more of it.
const MOST: Usage =
    Usage { seconds: if cfg!(debug_assertions) { 10.0 } else { 2.0 }, megabytes: 500.0 };

/// What a command line printed, which it must have done within the limit.
fn within_limits(folder: &Path, line: &str) -> String {
    let (printed, used) = usage::of(folder, line);
    println!("{line}: {used:?}");
    assert!(used.seconds < MOST.seconds && used.megabytes < MOST.megabytes, "{line}: {used:?}");
    printed
}

#[test]
fn two_hundred_runs_of_five_hundred_rows_are_read_and_drawn_in_two_seconds() {
    let (folder, directory) = sweep::written(LARGE);
    let curves = directory.load().expect("sound files");
    assert_eq!(curves.runs.len(), LARGE.runs());
    assert!(curves.runs.iter().all(|run| run.rows.len() == LARGE.rows));

    let printed = within_limits(folder.path(), "plot results/large");
    let drawn = |kind: &str| printed.lines().filter(|line| line.ends_with(kind)).count();
    assert!(drawn(".svg") >= 2 && drawn(".svg") == drawn(".png"), "{printed}");
    for figure in printed.lines() {
        let length = folder.path().join(figure).metadata().expect(figure).len();
        assert!(length > 5_000, "{figure}: {length} bytes");
    }
    let table = within_limits(folder.path(), "status results/large --format csv");
    assert_eq!(table.lines().filter(|line| line.contains(",done,")).count(), LARGE.runs());
    let table = within_limits(folder.path(), "status results/large --summary --format csv");
    assert_eq!(table.lines().count(), 1 + 2 * 5 * 5);
    let verdicts = within_limits(folder.path(), "check results/large --format csv");
    assert_eq!(verdicts.matches("\nsupported,").count(), 2, "{verdicts}");

    // Without `runs/`, from curves.csv alone: the parameters that `size` needs are in no column.
    curves.write(&directory.curves()).expect("writable");
    std::fs::remove_dir_all(directory.root().join("runs")).expect("there");
    let without_size: String =
        printed.split_inclusive('\n').filter(|line| !line.contains("size.")).collect();
    assert_eq!(within_limits(folder.path(), "plot results/large"), without_size);
}
