//! `fathom new`.

use super::Usage;
use super::choice::choice;
use super::stderr::log;
use super::stdout;
use anyhow::{Result, bail, ensure};
use fathom_base::write_atomically;
use fathom_data::Source;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a commented experiment file to start from
#[derive(clap::Args)]
pub struct Args {
    /// Name of the experiment: letters, digits, dots, dashes, underscores
    name: String,
    /// Data set
    #[arg(long, value_parser = choice::<Source>(), default_value = Source::Shapes.word())]
    data: Source,
    /// File to write [default: NAME.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// An experiment file with placeholders such as `{name}`.
const TEMPLATE: &str = include_str!("new/template.toml");

pub fn run(args: &Args) -> Result<ExitCode> {
    let name = &args.name;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        bail!(Usage(format!(
            "\"{name}\": an experiment's name has letters, digits, dots, dashes and underscores, since its results \
             are written to a folder of that name"
        )));
    }
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    let file = path.display().to_string();
    let path_of_images = if args.data == Source::Images {
        "path = \"pictures\"            # CHANGE: folder with train/CLASS/ and test/CLASS/\n"
    } else {
        ""
    };
    let placeholders = [
        ("{path}", path_of_images),
        ("{name}", name.as_str()),
        ("{source}", args.data.word()),
        ("{file}", &file),
        ("{results}", &format!("results/{name}")),
    ];
    let text = placeholders
        .iter()
        .fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(name, value));
    ensure!(path.symlink_metadata().is_err(), "{file} exists already, and is left as it is");
    write_atomically(&path, text.as_bytes())?;
    stdout::write_line(&file)?;
    let changes: Vec<usize> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.contains("CHANGE:"))
        .map(|(line, _)| line)
        .collect();
    let lines: Vec<String> = changes.iter().map(usize::to_string).collect();
    log(format!(
        "fill in what is marked CHANGE (lines {}), then: fathom plan {file}",
        lines.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}
