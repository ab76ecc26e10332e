//! Devices, and what libtorch says of itself.

use super::{cuda_driver, shim};
use anyhow::{Context, Result, anyhow, ensure};
use fathom_protocol::{CudaDevice, Job, Probe};
use fathom_record::{CudaUse, Execution, Gpu};
use fathom_spec::Precision;
use tch::{Cuda, Device};

/// Loads libtorch's CUDA library. It must be the first thing that a process does with libtorch:
/// whether there is CUDA is asked once, at the first operation, and remembered for the life of the
/// process.
///
/// # Errors
/// When the library or one that it needs is not there.
pub fn load_cuda() -> Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: loading runs the library's initialisers, which register CUDA with libtorch; nothing
    // of it is called from here, and it is never unloaded.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| {
        let cause = anyhow::Error::from(error);
        anyhow!(
            "this libtorch has no CUDA that works here ({cause:#}); scripts/setup --cuda fetches one"
        )
    })?;
    std::mem::forget(library);
    Ok(())
}

/// A CUDA device that was asked for and is not there, or no longer.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not there: libtorch sees {devices} CUDA devices; `fathom doctor` says more")]
pub(super) struct NoDevice {
    /// The device's name.
    pub name: String,
    /// Number of devices that are there.
    pub devices: i64,
}

/// The device of this name, ready to be used.
///
/// # Errors
/// When the name is not one of a device; [`NoDevice`] when it is not there: never a silent run on
/// the CPU.
pub(super) fn open(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name.strip_prefix("cuda") {
        Some("") => 0,
        Some(rest) => rest
            .strip_prefix(':')
            .and_then(|index| index.parse().ok())
            .with_context(|| format!("{name} is no device; valid: cpu, cuda, cuda:0"))?,
        None => return Err(anyhow!("{name} is no device; valid: cpu, cuda, cuda:0")),
    };
    let devices = Cuda::device_count();
    ensure!((index as i64) < devices, NoDevice { name: name.into(), devices });
    Ok(Device::Cuda(index))
}

/// Gets a device ready for numbers of this precision, and says which ways of using a GPU it has:
/// none on the processor.
///
/// # Errors
/// When the device does not have such numbers, or cannot be used as it should.
pub(super) fn fast(device: Device, cuda: CudaUse, precision: Precision) -> Result<CudaUse> {
    let Device::Cuda(index) = device else {
        ensure!(
            precision != Precision::Tf32,
            "training.precision = \"tf32\" is for GPUs: on the CPU there are f32 and bf16"
        );
        return Ok(CudaUse { graphs: false, resident: false, deterministic: true });
    };
    shim::device::arithmetic(precision == Precision::Tf32, cuda.deterministic);
    if cuda.graphs {
        ensure!(
            shim::device::can_record(),
            "this libtorch cannot record CUDA graphs: --no-graphs does without"
        );
        shim::device::own_stream(index);
    }
    Ok(cuda)
}

/// Cores that a run may have besides the threads of its operations, at least one: runs side by side
/// share the machine.
pub(super) fn spare_cores(job: &Job) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / job.jobs.max(1)).saturating_sub(job.threads).max(1)
}

/// What goes into a manifest about how a run is executed.
pub(super) fn execution(device: Device, job: &Job) -> Execution {
    let on_gpu = device != Device::Cpu;
    Execution {
        device: match device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".into(),
        },
        threads: job.threads,
        jobs: job.jobs,
        layout: job.layout,
        cuda: on_gpu.then_some(job.cuda),
        gpu: match device {
            Device::Cuda(index) => gpu(index),
            _ => None,
        },
        libtorch: env!("FATHOM_LIBTORCH_VERSION").into(),
        capability: capability(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim().to_owned())
            .unwrap_or_default(),
    }
}

/// The GPU that is libtorch's device of this index, as far as its driver tells.
fn gpu(index: usize) -> Option<Gpu> {
    let CudaDevice { name, capability, memory_bytes, uuid } =
        cuda_driver::devices().ok()?.into_iter().nth(index)?;
    let driver = fathom_gpu::driver_version().unwrap_or_default();
    Some(Gpu { name, capability, memory_bytes, uuid, driver })
}

/// The widest vector instructions of this processor that libtorch has kernels for.
fn capability() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX512".into();
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "AVX2".into();
        }
    }
    "default".into()
}

/// What `fathom doctor` asks.
pub fn probe(cuda_library: Result<()>) -> Probe {
    Probe {
        build: fathom_base::program().build.into(),
        libtorch: env!("FATHOM_LIBTORCH_VERSION").into(),
        library: mapped_library().unwrap_or_else(|| "statically linked".into()),
        capability: capability(),
        threads: tch::get_num_threads().max(0) as usize,
        cuda_version: cuda_library.is_ok().then(shim::device::cuda_version).flatten(),
        cuda_library: cuda_library.map_err(|error| format!("{error:#}")),
        cuda_driver: cuda_driver::devices(),
        cuda_devices: Cuda::device_count(),
        cuda_graphs: shim::device::can_record(),
        kernels: shim::kernels(),
    }
}

/// The file of libtorch that this process runs with.
fn mapped_library() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("libtorch_cpu.so"))?;
    line.find('/').map(|start| line[start..].to_owned())
}
