//! `fathom status --watch`: a table that is updated in a terminal.

use super::runs_table;
use crate::Usage;
use crate::table::{Format, render};
use anyhow::Result;
use console::{Term, truncate_str};
use fathom_record::State;
use fathom_sweep::{Activity, RunStatus};
use std::collections::BTreeMap;
use std::time::Duration;

/// Shows the runs that `statuses` returns, every so often, until all of them have ended.
///
/// # Errors
/// When standard output is no terminal, or the statuses cannot be read.
pub fn watch(
    every: Duration,
    title: &str,
    statuses: impl Fn() -> Result<Vec<RunStatus>>,
) -> Result<()> {
    let term = Term::stdout();
    if !term.is_term() {
        let message = "--watch needs a terminal; without it, status prints its table once";
        return Err(Usage(message.into()).into());
    }
    term.clear_screen()?;
    loop {
        let runs = statuses()?;
        let (height, width) = term.size();
        let lines = screen(title, &runs, width.into(), height.into())?;
        term.move_cursor_to(0, 0)?;
        for line in lines {
            term.clear_line()?;
            term.write_line(&line)?;
        }
        term.clear_to_end_of_screen()?;
        if runs.iter().all(has_ended) {
            return Ok(());
        }
        std::thread::sleep(every);
    }
}

fn has_ended(run: &RunStatus) -> bool {
    match run.activity {
        Activity::Running => false,
        Activity::Idle(state) => state.is_final(),
        Activity::Damaged => true,
    }
}

/// The lines of a screen: counts, and as many runs as fit. Runs that train are shown first, then
/// failed ones, then those that wait.
fn screen(title: &str, runs: &[RunStatus], width: usize, height: usize) -> Result<Vec<String>> {
    let mut counts = BTreeMap::<Activity, usize>::new();
    for run in runs {
        *counts.entry(run.activity).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(activity, n)| format!("{n} {activity}")).collect();
    // Title, header, number of runs left out, and the line on which the cursor stays.
    let room = height.saturating_sub(4).max(1);
    let mut indices: Vec<usize> = (0..runs.len()).collect();
    if indices.len() > room {
        indices.sort_by_key(|index| rank(runs[*index].activity));
        indices.truncate(room);
        indices.sort_unstable();
    }
    let shown: Vec<RunStatus> = indices.iter().map(|index| runs[*index].clone()).collect();
    let mut lines = vec![format!("{title}: {}", counts.join(", "))];
    lines.extend(render(&runs_table(&shown), Format::Table)?.lines().map(str::to_owned));
    let left = runs.len() - shown.len();
    if left > 0 {
        lines.push(format!("… and {left} more"));
    }
    Ok(lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect())
}

/// Runs of lower rank are shown first.
fn rank(activity: Activity) -> usize {
    match activity {
        Activity::Running => 0,
        Activity::Idle(State::Pending) => 2,
        Activity::Idle(State::Done | State::Diverged) => 3,
        Activity::Damaged
        | Activity::Idle(
            State::Interrupted
            | State::OutOfMemory
            | State::BadData
            | State::LostDevice
            | State::Killed
            | State::Disk
            | State::Failed,
        ) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_and_failed_runs_are_shown_first() {
        use Activity::{Idle, Running};
        let activities = [
            Idle(State::Done),
            Idle(State::Pending),
            Running,
            Idle(State::Failed),
            Idle(State::Done),
            Running,
        ];
        let run = |(index, activity): (usize, &Activity)| RunStatus {
            id: format!("run-{index}"),
            activity: *activity,
            is_ours: true,
            step: 0,
            iterations: None,
            train_err_pct: None,
            test_err_pct: None,
            steps_per_second: None,
            seconds: 0.0,
            left_seconds: None,
            message: String::new(),
            task: None,
        };
        let runs: Vec<RunStatus> = activities.iter().enumerate().map(run).collect();
        let lines = screen("results/x", &runs, 200, 40).unwrap();
        assert_eq!(lines[0], "results/x: 2 running, 1 pending, 2 done, 1 failed");
        assert_eq!(lines.len(), 2 + 6);
        let lines = screen("results/x", &runs, 20, 7).unwrap();
        assert_eq!(lines.len(), 2 + 3 + 1);
        let names: Vec<&str> = lines[2..5].iter().map(|line| &line[..5]).collect();
        assert_eq!(names, ["run-2", "run-3", "run-5"]);
        assert_eq!(lines[5], "… and 3 more");
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= 20));
    }
}
