//! `fathom doctor`.

use crate::protocol::BUILD;
use crate::record::Revision;
use crate::sweep::Worker;
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Result<ExitCode> {
    let Revision { version, git, dirty } = Revision::of_this_build();
    let dirty = if dirty { ", sources changed since" } else { "" };
    println!("fathom     {version} ({}{dirty})", &git[..git.len().min(12)]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("machine    {cores} cores, {}", memory());
    println!("driver     {}", driver());
    let worker = match Worker::find() {
        Ok(worker) => worker,
        Err(error) => {
            println!("worker     {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    println!("worker     {}", worker.program().display());
    let probe = match worker.probe() {
        Ok(probe) => probe,
        Err(error) => {
            println!("libtorch   {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    };
    println!("libtorch   {} from {}", probe.libtorch, probe.library);
    println!("processor  {} kernels, {} threads by default", probe.capability, probe.threads);
    match &probe.cuda_library {
        Ok(()) if probe.cuda_devices > 0 => {
            println!("CUDA       {} devices: --device cuda uses the first", probe.cuda_devices);
        }
        Ok(()) => println!(
            "CUDA       the library loads, but no device can be used: check the driver with nvidia-smi"
        ),
        Err(why) => println!("CUDA       no: {why}"),
    }
    if probe.build != BUILD {
        println!("build      worker and program are of different builds: cargo build --release");
        return Ok(ExitCode::FAILURE);
    }
    println!("all well");
    Ok(ExitCode::SUCCESS)
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
