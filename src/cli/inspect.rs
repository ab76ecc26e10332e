//! `fathom inspect`: a family, with its keys as flags.

use super::Usage;
use super::table::{Format, Table};
use crate::arch::{FAMILIES, Family, FamilyKeys, network};
use crate::key::Default;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A family: plain, residual, preact, dense
    network: String,
    /// Its keys as flags: --depth 56 --width 16
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--KEY VALUE")]
    keys: Vec<String>,
}

/// What is no key of a network.
struct Options {
    input: [usize; 3],
    classes: usize,
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    // Everything that can go wrong here is in the arguments.
    inspect(args).map_err(|error| match error.is::<std::io::Error>() {
        true => error,
        false => Usage(format!("{error:#}")).into(),
    })
}

fn inspect(args: &Args) -> Result<ExitCode> {
    let known: Vec<&str> = FAMILIES.iter().map(|family| family.name()).collect();
    let family = crate::arch::family(&args.network).with_context(|| {
        format!("there is no network \"{}\"; known: {}", args.network, known.join(", "))
    })?;
    let (keys, options) = parse(family, &args.keys)?;
    let net = network(&keys, options.input, options.classes)?;
    let audit = net.audit();
    if options.format == Format::Json {
        let text = serde_json::to_string_pretty(&audit)? + "\n";
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        Table::new(["layer", "kind", "output", "parameters", "macs", "receptive_field"]);
    for row in &audit.layers {
        table.row([
            row.name.as_str().into(),
            row.kind.as_str().into(),
            row.output.map(|side| side.to_string()).join("×").into(),
            row.parameters.into(),
            row.macs.into(),
            row.receptive_field.into(),
        ]);
    }
    table.print(options.format)?;
    eprintln!("{} parameters, {} multiply-adds", audit.parameters, audit.macs);
    Ok(ExitCode::SUCCESS)
}

fn parse(family: &dyn Family, flags: &[String]) -> Result<(FamilyKeys, Options)> {
    let mut keys: FamilyKeys = family
        .keys()
        .iter()
        .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
        .collect();
    keys.insert("network.family".into(), family.name().into());
    let mut options = Options { input: [3, 32, 32], classes: 10, format: Format::default() };
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let name =
            flag.strip_prefix("--").with_context(|| format!("expected a flag, not {flag}"))?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value),
            None => {
                (name, flags.next().with_context(|| format!("--{name} needs a value"))?.as_str())
            }
        };
        match name {
            "size" => {
                let side = value.parse().with_context(|| format!("--size {value}"))?;
                options.input = [options.input[0], side, side];
            }
            "channels" => {
                options.input[0] = value.parse().with_context(|| format!("--{name} {value}"))?
            }
            "classes" => {
                options.classes = value.parse().with_context(|| format!("--{name} {value}"))?
            }
            "format" => {
                options.format = clap::ValueEnum::from_str(value, true)
                    .map_err(|_| anyhow!("--format {value}: table, csv or json"))?;
            }
            _ => {
                let (full, value) = key_value(family, name, value)?;
                keys.insert(full, value);
            }
        }
    }
    ensure!(
        options.input.iter().all(|side| *side > 0) && options.classes > 0,
        "sizes must be above zero"
    );
    for key in family.keys() {
        ensure!(
            key.default != Default::Required || keys.contains_key(key.name),
            "--{} must be given: {} ({})",
            key.name.trim_start_matches("network."),
            key.kind,
            key.help
        );
    }
    Ok((keys, options))
}

fn key_value(family: &dyn Family, name: &str, text: &str) -> Result<(String, Value)> {
    let full = format!("network.{}", name.replace('-', "_"));
    let key = family.keys().iter().find(|key| key.name == full).with_context(|| {
        let flag = |key: &crate::key::Key| {
            format!("--{}", key.name.trim_start_matches("network.").replace('_', "-"))
        };
        let known: Vec<String> = family.keys().iter().map(flag).collect();
        format!(
            "{} has no --{name}; it has {}, --size, --channels, --classes, --format",
            family.name(),
            known.join(", ")
        )
    })?;
    let value = key
        .kind
        .parse(text)
        .with_context(|| format!("--{name} {}: expected {}", json!(text), key.kind))?;
    Ok((full, value))
}
