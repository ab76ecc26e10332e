//! `fathom doctor`.

mod gpu_report;

use super::gpus;
use super::options::cores;
use super::stdout;
use anyhow::Result;
use fathom_gpu::{Driver, ThisMachine};
use fathom_record::Revision;
use fathom_sweep::{Bf16Units, Memory, Worker};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Report on libtorch, CUDA and this machine, and say how to repair what does not work
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Result<ExitCode> {
    let mut report = String::new();
    let works = examine(&mut report)?;
    stdout::write(&report)?;
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the report line by line; returns false if something must be repaired.
fn examine(out: &mut String) -> Result<bool> {
    let Revision { version, git, dirty } = Revision::of_this_build();
    let dirty = if dirty { ", with uncommitted changes" } else { "" };
    writeln!(out, "fathom     {version} ({}{dirty})", &git[..git.len().min(12)])?;
    writeln!(out, "machine    {} cores, {}", cores(), memory())?;
    let driver = ThisMachine.installed();
    let visible = std::env::var(gpus::VISIBLE).ok();
    gpu_report::describe_driver(out, driver.as_ref(), visible.as_deref())?;
    let worker = match Worker::find() {
        Ok(worker) => worker,
        Err(error) => {
            writeln!(out, "worker     {error:#}")?;
            return Ok(false);
        }
    };
    writeln!(out, "worker     {}", worker.program().display())?;
    let probe = match worker.probe() {
        Ok(probe) => probe,
        Err(error) => {
            writeln!(out, "libtorch   {error:#}")?;
            return Ok(false);
        }
    };
    writeln!(out, "libtorch   {} from {}", probe.libtorch, probe.library)?;
    writeln!(out, "processor  {} kernels, {} threads by default", probe.capability, probe.threads)?;
    writeln!(out, "loops      {}", probe.kernels)?;
    writeln!(out, "bf16       {}", Bf16Units::of_this_machine().describe())?;
    let works = gpu_report::describe_cuda(out, &probe, driver.as_ref(), visible.as_deref())?
        && gpu_report::check_devices(out, &probe, &worker)?;
    if probe.build != fathom_base::program().build {
        writeln!(
            out,
            "build      worker and program are of different builds: cargo build --release"
        )?;
        return Ok(false);
    }
    writeln!(
        out,
        "{}",
        if works { "everything works" } else { "something does not work: see above" }
    )?;
    Ok(works)
}

fn memory() -> String {
    match Memory::of_this_machine() {
        Some(Memory { total, available }) => {
            let [total, available] = [total, available].map(gpu_report::gib);
            format!("{total:.1} GiB of memory, {available:.1} available")
        }
        None => "unknown memory".into(),
    }
}
