//! `fathom doctor`.

use super::gpus;
use super::stderr::so_many;
use anyhow::Result;
use fathom_gpu::{Driver, Gpu, Hidden, Installed, ThisMachine, hidden};
use fathom_protocol::{Checked, CudaDevice, Probe};
use fathom_record::Revision;
use fathom_sweep::Worker;
use std::fmt::Write as _;
use std::io::Write as _;
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
    let driver = ThisMachine.installed();
    let visible = std::env::var(gpus::VISIBLE).ok();
    describe_driver(out, driver.as_ref(), visible.as_deref())?;
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
    let is_well = describe_cuda(out, &probe, driver.as_ref(), visible.as_deref())?
        && try_devices(out, &probe, &worker)?;
    if probe.build != fathom_base::program().build {
        writeln!(
            out,
            "build      worker and program are of different builds: cargo build --release"
        )?;
        return Ok(false);
    }
    writeln!(out, "{}", if is_well { "all well" } else { "not well: see above" })?;
    Ok(is_well)
}

/// The driver and all GPUs of the machine.
fn describe_driver(
    out: &mut String,
    driver: Option<&Result<Installed, String>>,
    visible: Option<&str>,
) -> std::fmt::Result {
    let installed = match driver {
        None => return writeln!(out, "driver     no NVIDIA driver"),
        Some(Err(words)) => return writeln!(out, "driver     NVIDIA: {words}"),
        Some(Ok(installed)) => installed,
    };
    let Installed { version, cuda, gpus } = installed;
    writeln!(out, "driver     NVIDIA {version}, which supports CUDA {cuda}")?;
    for Gpu { name, uuid, capability, is_exclusive, slices } in gpus {
        let exclusive = if *is_exclusive { ", for one process at a time" } else { "" };
        let slices = match slices.len() {
            0 => String::new(),
            count => format!(", cut into {} (MIG)", so_many(count, "slice")),
        };
        writeln!(out, "GPU        {name}, capability {capability}{exclusive}{slices}, {uuid}")?;
    }
    let value = visible.unwrap_or_default();
    match hidden(visible, gpus) {
        Hidden::Nothing => Ok(()),
        Hidden::All => writeln!(out, "hidden     all GPUs: {} is empty", gpus::VISIBLE),
        Hidden::Some(count) => {
            writeln!(out, "hidden     {count} of {}: {}={value}", gpus.len(), gpus::VISIBLE)
        }
        Hidden::Unknown(entry) => {
            writeln!(out, "hidden     {}={value}: there is no {entry}", gpus::VISIBLE)
        }
    }
}

/// What libtorch makes of it; false where there are GPUs and CUDA cannot use them.
fn describe_cuda(
    out: &mut String,
    probe: &Probe,
    driver: Option<&Result<Installed, String>>,
    visible: Option<&str>,
) -> Result<bool> {
    let built = probe.cuda_version.as_deref().unwrap_or("an unknown version");
    let has_gpus = |installed: &Installed| !installed.gpus.is_empty();
    let found = match (&probe.cuda_library, driver) {
        (Ok(()), _) if probe.cuda_devices > 0 => {
            let graphs = if probe.cuda_graphs { "" } else { "; no CUDA graphs: use --no-graphs" };
            let devices = so_many(probe.cuda_devices as usize, "device");
            format!("{built}, {devices}: --device auto takes cuda:0{graphs}")
        }
        (_, Some(driver)) if driver.as_ref().map_or(true, has_gpus) => {
            let why = gpus::obstacle(probe, driver, visible);
            writeln!(out, "CUDA       cannot be used: {why}")?;
            return Ok(false);
        }
        (Ok(()), _) => format!("{built}, no device: --device auto takes the CPU"),
        (Err(why), _) => format!("no: {why}; --device auto takes the CPU"),
    };
    writeln!(out, "CUDA       {found}")?;
    Ok(true)
}

/// Lets every device that libtorch sees compute, each in a process of its own.
fn try_devices(out: &mut String, probe: &Probe, worker: &Worker) -> Result<bool> {
    let mut is_well = true;
    let described = probe.cuda_driver.as_deref().unwrap_or_default();
    for index in 0..probe.cuda_devices {
        let description = match described.get(index as usize) {
            Some(CudaDevice { name, capability, memory_bytes, uuid }) => {
                let memory = gib(memory_bytes / 1024);
                format!("{name}, {memory:.1} GiB, capability {capability}, {uuid}")
            }
            None => "not described by the driver".into(),
        };
        let device = format!("cuda:{index}");
        let found = match worker.check(&device) {
            Ok(Checked { seconds }) => {
                format!("a convolution and a CUDA graph are right ({seconds:.1} s)")
            }
            Err(error) => {
                is_well = false;
                format!("cannot be used: {error:#}")
            }
        };
        writeln!(out, "{device:<10} {description}: {found}")?;
    }
    Ok(is_well)
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
