//! The lines of `fathom doctor` on GPUs and CUDA.

use crate::gpus;
use crate::text::plural;
use anyhow::Result;
use fathom_gpu::{Gpu, Hidden, Installed, hidden};
use fathom_protocol::{Checked, CudaDevice, Probe};
use fathom_sweep::Worker;
use std::fmt::Write as _;

/// Describes the driver and all GPUs of the machine. `visible` is the value of
/// [`VISIBLE`](gpus::VISIBLE).
///
/// # Errors
/// Never: writing to a string succeeds.
pub fn describe_driver(
    out: &mut String,
    driver: Option<&Result<Installed, String>>,
    visible: Option<&str>,
) -> std::fmt::Result {
    let installed = match driver {
        None => return writeln!(out, "driver     no NVIDIA driver"),
        Some(Err(error)) => return writeln!(out, "driver     NVIDIA: {error}"),
        Some(Ok(installed)) => installed,
    };
    let Installed { version, cuda, gpus } = installed;
    writeln!(out, "driver     NVIDIA {version}, which supports CUDA {cuda}")?;
    for Gpu { name, uuid, capability, is_exclusive, slices } in gpus {
        let exclusive = if *is_exclusive { ", for one process at a time" } else { "" };
        let slices = match slices.len() {
            0 => String::new(),
            count => format!(", cut into {} (MIG)", plural(count, "slice")),
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

/// Describes whether libtorch can use CUDA; returns false if there are GPUs and it cannot.
///
/// # Errors
/// Never: writing to a string succeeds.
pub fn describe_cuda(
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
            let devices = plural(probe.cuda_devices as usize, "device");
            format!("{built}, {devices}: --device auto takes cuda:0{graphs}")
        }
        (_, Some(driver)) if driver.as_ref().map_or(true, has_gpus) => {
            let why = gpus::obstacle(probe, driver, visible);
            writeln!(out, "CUDA       cannot be used: {why}")?;
            return Ok(false);
        }
        (Ok(()), _) => format!("{built}, no device: --device auto selects the CPU"),
        (Err(why), _) => format!("no: {why}; --device auto selects the CPU"),
    };
    writeln!(out, "CUDA       {found}")?;
    Ok(true)
}

/// Checks every device that libtorch sees, each in a process of its own; returns false if one does
/// not work.
///
/// # Errors
/// Never: writing to a string succeeds.
pub fn check_devices(out: &mut String, probe: &Probe, worker: &Worker) -> Result<bool> {
    let mut all_work = true;
    let described = probe.cuda_driver.as_deref().unwrap_or_default();
    for index in 0..probe.cuda_devices {
        let description = match described.get(index as usize) {
            Some(CudaDevice { name, capability, memory_bytes, uuid }) => {
                let memory = gib(*memory_bytes);
                format!("{name}, {memory:.1} GiB, capability {capability}, {uuid}")
            }
            None => "not described by the driver".into(),
        };
        let device = format!("cuda:{index}");
        let found = match worker.check(&device) {
            Ok(Checked { seconds }) => {
                format!(
                    "convolution, fused normalisation and CUDA graph are right ({seconds:.1} s)"
                )
            }
            Err(error) => {
                all_work = false;
                format!("cannot be used: {error:#}")
            }
        };
        writeln!(out, "{device:<10} {description}: {found}")?;
    }
    Ok(all_work)
}

/// Bytes in GiB.
pub fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}
