//! `fathom status --watch`: the table, again and again, in a terminal.

use super::super::Usage;
use super::super::table::{Format, Table};
use super::STATE;
use anyhow::Result;
use console::{Term, truncate_str};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What waits for something of itself.
const ENDED: [&str; 2] = ["done", "diverged"];

/// Shows what `table` finds, every so often, until all runs have ended.
///
/// # Errors
/// When there is no terminal, or the table cannot be made.
pub fn watch(every: Duration, title: &str, table: impl Fn() -> Result<Table>) -> Result<()> {
    let term = Term::stdout();
    if !term.is_term() {
        let message = "--watch is for a terminal; without it, status prints its table once";
        return Err(Usage(message.into()).into());
    }
    term.clear_screen()?;
    loop {
        let table = table()?;
        let (height, width) = term.size();
        let lines = screen(title, &table, (usize::from(width), usize::from(height)))?;
        term.move_cursor_to(0, 0)?;
        for line in lines {
            term.clear_line()?;
            term.write_line(&line)?;
        }
        term.clear_to_end_of_screen()?;
        if table.rows.iter().all(|row| ENDED.contains(&state(row))) {
            return Ok(());
        }
        std::thread::sleep(every);
    }
}

fn state(row: &[Value]) -> &str {
    row[STATE].as_str().unwrap_or_default()
}

/// As much as there is room for: counts, and runs that train, then those that failed, then others.
fn screen(title: &str, table: &Table, (width, height): (usize, usize)) -> Result<Vec<String>> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for row in &table.rows {
        *counts.entry(state(row)).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    // Title, header, what is left out, and the line on which the cursor stays.
    let room = height.saturating_sub(4).max(1);
    let mut places: Vec<usize> = (0..table.rows.len()).collect();
    if places.len() > room {
        let rank = |place: &usize| match state(&table.rows[*place]) {
            "running" => 0,
            "pending" => 2,
            ended if ENDED.contains(&ended) => 3,
            _ => 1,
        };
        places.sort_by_key(rank);
        places.truncate(room);
        places.sort_unstable();
    }
    let mut shown = Table::new(table.headers.iter().cloned());
    for place in &places {
        shown.row(table.rows[*place].iter().cloned());
    }
    let mut lines = vec![format!("{title}: {}", counts.join(", "))];
    lines.extend(shown.render(Format::Table)?.lines().map(str::to_owned));
    let left = table.rows.len() - places.len();
    if left > 0 {
        lines.push(format!("… and {left} more"));
    }
    Ok(lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::COLUMNS;
    use super::*;

    #[test]
    fn what_trains_and_what_failed_is_shown_first() {
        let mut table = Table::new(COLUMNS);
        for (place, state) in
            ["done", "pending", "running", "failed", "done", "running"].iter().enumerate()
        {
            let mut cells = vec![Value::Null; COLUMNS.len()];
            cells[0] = format!("run-{place}").into();
            cells[STATE] = (*state).into();
            table.row(cells);
        }
        let lines = screen("results/x", &table, (200, 40)).unwrap();
        assert_eq!(lines[0], "results/x: 2 done, 1 failed, 1 pending, 2 running");
        assert_eq!(lines.len(), 2 + 6);
        let lines = screen("results/x", &table, (20, 7)).unwrap();
        assert_eq!(lines.len(), 2 + 3 + 1);
        let names: Vec<&str> = lines[2..5].iter().map(|line| &line[..5]).collect();
        assert_eq!(names, ["run-2", "run-3", "run-5"]);
        assert_eq!(lines[5], "… and 3 more");
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= 20));
    }
}
