//! `fathom inspect`.

use super::choice::choice;
use super::network::{ImageFlags, KeyFlags};
use super::stderr::log;
use super::stdout;
use super::table::{Format, print};
use anyhow::Result;
use fathom_arch::{Audit, AuditPart};
use fathom_record::Table;
use serde_json::Value;
use std::process::ExitCode;

/// Print a network layer by layer
///
/// Prints output shapes, parameters, multiply-adds and receptive fields
#[derive(clap::Args)]
pub struct Args {
    /// Family (plain, residual, …) or published net (resnet50, densenet121, lenet, …)
    network: String,
    #[command(flatten)]
    images: ImageFlags,
    /// Format of the table
    #[arg(long, value_parser = choice::<Format>(), default_value_t)]
    format: Format,
    #[command(flatten)]
    keys: KeyFlags,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let described = args.keys.describe(&args.network)?;
    args.keys.check_effect(&described)?;
    let (input, classes) = args.images.of(&described);
    let audit = described.build(input, classes)?.audit();
    if args.format == Format::Json {
        let text = serde_json::to_string_pretty(&audit)? + "\n";
        stdout::write(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&layers(&audit), args.format)?;
    if args.format == Format::Table {
        // A blank line separates the layers from their sums.
        stdout::write_line("")?;
        let without = described.without_transitions(input, classes)?.map(|net| net.audit());
        print(&parts(&audit, without.as_ref()), args.format)?;
    }
    log(format!("{} parameters, {} multiply-adds", audit.parameters, audit.macs));
    described.note.iter().for_each(log);
    Ok(ExitCode::SUCCESS)
}

fn shape(dims: [usize; 3]) -> Value {
    dims.map(|side| side.to_string()).join("×").into()
}

/// One row for each layer.
fn layers(audit: &Audit) -> Table {
    let columns = ["layer", "kind", "output", "parameters", "macs", "receptive_field"];
    let mut table = Table::new(columns);
    for row in &audit.layers {
        table.row([
            row.name.as_str().into(),
            row.kind.as_str().into(),
            shape(row.output),
            row.parameters.into(),
            row.macs.into(),
            row.receptive_field.into(),
        ]);
    }
    table
}

/// One row for each stage, dense block and transition, then the totals with the shape of the input of
/// the last layer.
fn parts(audit: &Audit, without_transitions: Option<&Audit>) -> Table {
    let mut table = Table::new(["part", "output", "parameters", "macs"]);
    for AuditPart { name, output, parameters, macs } in audit.parts() {
        table.row([name.into(), shape(output), parameters.into(), macs.into()]);
    }
    let total = |name: &str, audit: &Audit| {
        let last = audit.layers.iter().rev().find(|row| row.kind != "fully connected");
        let output = last.map_or(Value::Null, |row| shape(row.output));
        [name.into(), output, audit.parameters.into(), audit.macs.into()]
    };
    table.row(total("total", audit));
    if let Some(audit) = without_transitions {
        table.row(total("without transitions", audit));
    }
    table
}
