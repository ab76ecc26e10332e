//! NVIDIA GPUs as the driver knows them, whatever libtorch makes of them: by the driver's management
//! library (NVML), which comes with every driver and needs no CUDA.

mod visible;

pub use visible::{Hidden, hidden};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::ComputeMode;
use nvml_wrapper::error::NvmlError;

/// The driver and its GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Version of the driver, such as `580.65.06`.
    pub version: String,
    /// The newest CUDA that it supports, such as `13.0`.
    pub cuda: String,
    /// Its GPUs, in the order of their places on the bus.
    pub gpus: Vec<Gpu>,
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Model, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Identity, such as `GPU-…`.
    pub uuid: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Whether only one process at a time may use it.
    pub is_exclusive: bool,
    /// Identities of the slices (MIG) that it is cut into, such as `MIG-…`.
    pub slices: Vec<String>,
}

/// Whoever knows the GPUs of a machine.
pub trait Driver {
    /// The driver, or why it does not answer; `None` where there is no driver.
    fn installed(&self) -> Option<Result<Installed, String>>;
}

/// The driver of this machine.
pub struct ThisMachine;

impl Driver for ThisMachine {
    fn installed(&self) -> Option<Result<Installed, String>> {
        // The name without a version, which is the default, belongs to development packages.
        match Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init() {
            Ok(nvml) => Some(ask(&nvml).map_err(|error| error.to_string())),
            // Libraries that lie on a machine without a GPU, such as a login node.
            Err(NvmlError::DriverNotLoaded | NvmlError::NoPermission) => None,
            Err(NvmlError::LibloadingError(_)) => loaded_version().map(|version| {
                Err(format!("the driver {version} is loaded, but libnvidia-ml.so.1 is missing"))
            }),
            Err(error) => Some(Err(error.to_string())),
        }
    }
}

fn ask(nvml: &Nvml) -> Result<Installed, NvmlError> {
    let cuda = nvml.sys_cuda_driver_version()?;
    let mut gpus = Vec::new();
    for index in 0..nvml.device_count()? {
        let device = nvml.device_by_index(index)?;
        let capability = device.cuda_compute_capability()?;
        let slices = (0..device.mig_device_count().unwrap_or_default())
            .filter_map(|slice| device.mig_device_by_index(slice).ok()?.uuid().ok());
        gpus.push(Gpu {
            name: device.name()?,
            uuid: device.uuid()?,
            capability: format!("{}.{}", capability.major, capability.minor),
            is_exclusive: matches!(device.compute_mode(), Ok(ComputeMode::ExclusiveProcess)),
            slices: slices.collect(),
        });
    }
    Ok(Installed {
        version: nvml.sys_driver_version()?,
        cuda: format!("{}.{}", cuda / 1000, cuda % 1000 / 10),
        gpus,
    })
}

/// The driver's version, where one answers.
pub fn driver_version() -> Option<String> {
    ThisMachine.installed()?.ok().map(|installed| installed.version)
}

/// The version of the driver's kernel module, where one is loaded.
fn loaded_version() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    // NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul …
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}
