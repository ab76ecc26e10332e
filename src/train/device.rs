//! Opening and configuring devices, and the description of this libtorch.

use super::{cuda_driver, shim};
use anyhow::{Context, Result, anyhow, ensure};
use fathom_protocol::{CudaDevice, Job, Probe};
use fathom_record::{CudaUse, Execution, Gpu};
use fathom_spec::Precision;
use tch::{Cuda, Device};

/// Loads libtorch's CUDA library. A process must call this before any other function of libtorch:
/// libtorch detects CUDA once, at its first operation, and keeps the answer until the process ends.
///
/// # Errors
/// If the library or one of its dependencies is missing.
pub fn load_cuda() -> Result<()> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: loading runs the library's initialisers, which register CUDA with libtorch; no
    // function of it is called from here, and it is never unloaded.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
    let library = library.map_err(|error| {
        let cause = anyhow::Error::from(error);
        anyhow!(
            "this libtorch has no usable CUDA library ({cause:#}); scripts/setup --cuda fetches one"
        )
    })?;
    std::mem::forget(library);
    Ok(())
}

/// The requested CUDA device does not exist, or was lost.
#[derive(Debug, thiserror::Error)]
#[error("{name} does not exist: libtorch sees {devices} CUDA devices; see `fathom doctor`")]
pub(super) struct NoDevice {
    /// Name of the requested device.
    pub name: String,
    /// Number of CUDA devices that libtorch sees.
    pub devices: i64,
}

/// Sets the number of threads of one operation, and opens the device with this name. Never falls
/// back to the CPU.
///
/// # Errors
/// If the name is not that of a device; [`NoDevice`] if the device does not exist.
pub(super) fn open(name: &str, threads: usize) -> Result<Device> {
    tch::set_num_threads(threads as i32);
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|index| index.parse::<usize>().ok()),
        None => None,
    };
    let index =
        index.with_context(|| format!("{name} is not a device; valid: cpu, cuda, cuda:0"))?;
    let devices = Cuda::device_count();
    ensure!((index as i64) < devices, NoDevice { name: name.into(), devices });
    Ok(Device::Cuda(index))
}

/// Configures libtorch for computing on a device in this precision. Returns how the device is used:
/// `cuda` on a GPU, without CUDA graphs and resident images on the CPU.
///
/// # Errors
/// If the device does not support the precision, libtorch cannot capture CUDA graphs, or the fused
/// kernels cannot be compiled.
pub(super) fn configure(device: Device, cuda: CudaUse, precision: Precision) -> Result<CudaUse> {
    let Device::Cuda(index) = device else {
        ensure!(
            precision != Precision::Tf32,
            "training.precision = \"tf32\" is for GPUs: on the CPU there are f32 and bf16"
        );
        return Ok(CudaUse { graphs: false, resident: false, deterministic: true, fused: true });
    };
    shim::device::arithmetic(precision == Precision::Tf32, cuda.deterministic);
    if cuda.graphs {
        ensure!(
            shim::device::can_record(),
            "this libtorch cannot capture CUDA graphs: use --no-graphs"
        );
        shim::device::own_stream(index);
    }
    if cuda.fused {
        let loaded = shim::device::load_norm_kernels(index, precision == Precision::Bf16);
        loaded
            .map_err(|why| anyhow!("the fused kernels are not usable ({why}): use --no-fused"))?;
    }
    Ok(cuda)
}

/// Number of cores that a run may use for its data loader in addition to the threads of its
/// operations, at least one. Concurrent runs share the cores of the machine.
pub(super) fn spare_cores(job: &Job) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / job.jobs.max(1)).saturating_sub(job.threads).max(1)
}

/// The part of a run's manifest that describes how the run is executed.
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
        mps: on_gpu && fathom_gpu::is_mps_running(),
        libtorch: env!("FATHOM_LIBTORCH_VERSION").into(),
        capability: capability(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map(|name| name.trim().to_owned())
            .unwrap_or_default(),
    }
}

/// The GPU with this index in libtorch's order; `None` if the driver does not describe it.
fn gpu(index: usize) -> Option<Gpu> {
    let CudaDevice { name, capability, memory_bytes, uuid } =
        cuda_driver::devices().ok()?.into_iter().nth(index)?;
    let driver = fathom_gpu::driver_version().unwrap_or_default();
    Some(Gpu { name, capability, memory_bytes, uuid, driver })
}

/// Widest vector instruction set of this processor that libtorch has kernels for.
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

/// Describes this worker, its libtorch and its devices, for `fathom doctor`. `cuda_library` is the
/// result of [`load_cuda`].
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

/// Path of the libtorch that this process has loaded.
fn mapped_library() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("libtorch_cpu.so"))?;
    line.find('/').map(|start| line[start..].to_owned())
}
