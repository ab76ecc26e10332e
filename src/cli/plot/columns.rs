//! `fathom plot TABLE --columns X,Y,…`: columns of a CSV table.

use super::Args;
use super::style::{Format, Scale};
use crate::Usage;
use crate::stdout;
use anyhow::{Context, Result};
use fathom_base::write_atomically;
use fathom_plot::{Columns, to_pdf};
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
    let text = std::fs::read_to_string(path).with_context(context)?;
    let columns = Columns {
        names: args.columns.clone(),
        group_by: args.group_by.clone(),
        log_x: args.x == Scale::Log,
        log_y: args.y == Scale::Log,
        source: context(),
    };
    let out = args.out.as_deref().or(path.parent()).unwrap_or(Path::new("."));
    let stem = path.file_stem().context("the table has no file name")?;
    for format in &args.format {
        let bytes = match format {
            Format::Svg => columns.svg(&text).with_context(context)?.into_bytes(),
            Format::Png => columns.png(&text).with_context(context)?,
            Format::Pdf => to_pdf(&columns.svg(&text).with_context(context)?)?,
        };
        let figure = out.join(stem).with_extension(format.word());
        write_atomically(&figure, &bytes)?;
        stdout::write_line(figure.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
