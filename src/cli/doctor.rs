//! `fathom doctor`.

use crate::protocol::BUILD;
use crate::record::Revision;
use crate::sweep::Worker;
use anyhow::Result;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Result<ExitCode> {
    let mut report = String::new();
    let is_well = examine(&mut report)?;
    std::io::stdout().lock().write_all(report.as_bytes())?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes what is there, line by line; false where something must be mended.
fn examine(out: &mut String) -> Result<bool> {
    let Revision { version, git, dirty } = Revision::of_this_build();
    let dirty = if dirty { ", sources changed since" } else { "" };
    writeln!(out, "fathom     {version} ({}{dirty})", &git[..git.len().min(12)])?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(out, "machine    {cores} cores, {}", memory())?;
    writeln!(out, "driver     {}", driver())?;
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
    let graphs = if probe.cuda_graphs { "" } else { "; no CUDA graphs: use --no-graphs" };
    let cuda = match &probe.cuda_library {
        Ok(()) if probe.cuda_devices > 0 => {
            format!("{} devices: --device cuda uses the first{graphs}", probe.cuda_devices)
        }
        Ok(()) => "the library loads, but no device can be used: see what nvidia-smi says".into(),
        Err(why) => format!("no: {why}"),
    };
    writeln!(out, "CUDA       {cuda}")?;
    if probe.build != BUILD {
        writeln!(
            out,
            "build      worker and program are of different builds: cargo build --release"
        )?;
        return Ok(false);
    }
    writeln!(out, "all well")?;
    Ok(true)
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> Option<u64> {
        text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    match (kib("MemTotal:"), kib("MemAvailable:")) {
        (Some(total), Some(free)) => {
            format!("{:.1} GiB of memory, {:.1} available", gib(total), gib(free))
        }
        _ => "memory unknown".into(),
    }
}

fn gib(kib: u64) -> f64 {
    kib as f64 / (1 << 20) as f64
}

fn driver() -> String {
    let version = Path::new("/proc/driver/nvidia/version");
    std::fs::read_to_string(version)
        .ok()
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "no NVIDIA driver".into())
}
