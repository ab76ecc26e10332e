//! `fathom plot TABLE --columns X,Y,…`: columns of a CSV table.

use super::style::Scale;
use super::{Args, make_folder, write};
use crate::Usage;
use crate::stderr::log;
use crate::stdout;
use anyhow::{Context, Result};
use fathom_plot::Columns;
use fathom_record::ForeignTable;
use std::path::Path;
use std::process::ExitCode;

/// Draws columns of a table and prints the path of each file.
///
/// # Errors
/// When the table cannot be read or lacks a column.
pub fn draw(args: &Args) -> Result<ExitCode> {
    let path = &args.dir;
    if args.columns.is_empty() || path.is_dir() {
        let message = match path.is_dir() {
            true => "is a directory, and --columns needs a CSV table",
            false => "is a table: give --columns X,Y,…",
        };
        return Err(Usage(format!("{} {message}", path.display())).into());
    }
    let context = || path.display().to_string();
    let table = ForeignTable::read(path)?;
    for name in args.columns.iter().chain(&args.group_by) {
        table.column(name).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
    }
    let columns = Columns {
        names: args.columns.clone(),
        group_by: args.group_by.clone(),
        log_x: args.x == Scale::Log,
        log_y: args.y == Scale::Log,
        smooth: args.smooth,
        width: args.width,
        source: context(),
    };
    let figure = columns.lay_out(&table).with_context(context)?;
    for note in &figure.notes {
        log(format!("note: {}: {note}", path.display()));
    }
    let out = args.out.as_deref().or(path.parent()).unwrap_or(Path::new("."));
    // The parent of a bare file name is empty.
    if !out.as_os_str().is_empty() {
        make_folder(out)?;
    }
    let stem = path.file_stem().context("the table has no file name")?.to_string_lossy();
    let svg = figure.svg()?;
    for format in &args.format {
        let bytes = format.encode(&svg)?;
        let file = out.join(format!("{stem}-{}.{format}", name(args)));
        write(&file, &bytes)?;
        stdout::write_line(file.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The part of a figure's name that tells it from other figures of the table, such as
/// `loss-by-step`.
fn name(args: &Args) -> String {
    let [x, ys @ ..] = &args.columns[..] else { return String::new() };
    let mut parts = ys.to_vec();
    parts.push(format!("by-{x}"));
    parts.extend(args.group_by.iter().map(|key| format!("for-{key}")));
    parts.extend((args.x == Scale::Log).then(|| "x-log".to_owned()));
    parts.extend((args.y == Scale::Log).then(|| "y-log".to_owned()));
    parts.extend((args.smooth > 1).then(|| format!("smooth-{}", args.smooth)));
    let plain = |letter: char| letter.is_alphanumeric() || "._-%".contains(letter);
    parts.join("-").chars().map(|letter| if plain(letter) { letter } else { '_' }).collect()
}
