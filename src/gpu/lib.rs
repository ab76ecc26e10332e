//! The NVIDIA driver and the GPUs of a machine, independent of libtorch and CUDA. The source is NVML, the
//! management library that is part of every driver.

mod mps;
mod visible;

pub use mps::{MpsDaemon, is_mps_running};
pub use visible::{Hidden, hidden};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::ComputeMode;
use nvml_wrapper::error::NvmlError;

/// An installed driver and its GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Version of the driver, such as `580.65.06`.
    pub version: String,
    /// Newest version of CUDA that it supports, such as `13.0`.
    pub cuda: String,
    /// Its GPUs in the order of their PCI bus addresses.
    pub gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Model name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// UUID, such as `GPU-…`.
    pub uuid: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Whether its compute mode admits only one process at a time.
    pub is_exclusive: bool,
    /// UUIDs of its MIG devices, such as `MIG-…`.
    pub slices: Vec<String>,
}

/// A source of information about the driver, which tests replace.
pub trait Driver {
    /// The driver, or the reason why it cannot be queried; `None` on a machine without a driver.
    fn installed(&self) -> Option<Result<Installed, String>>;
}

/// The driver of this machine.
pub struct ThisMachine;

impl Driver for ThisMachine {
    fn installed(&self) -> Option<Result<Installed, String>> {
        // The default name, which has no version, is part of development packages only.
        match Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init() {
            Ok(nvml) => Some(query(&nvml).map_err(|error| error.to_string())),
            // The library is installed on a machine without a GPU, such as a login node.
            Err(NvmlError::DriverNotLoaded | NvmlError::NoPermission) => None,
            Err(NvmlError::LibloadingError(_)) => loaded_version().map(|version| {
                Err(format!("the driver {version} is loaded, but libnvidia-ml.so.1 is missing"))
            }),
            Err(error) => Some(Err(error.to_string())),
        }
    }
}

fn query(nvml: &Nvml) -> Result<Installed, NvmlError> {
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

/// Version of the driver, if it can be queried.
pub fn driver_version() -> Option<String> {
    ThisMachine.installed()?.ok().map(|installed| installed.version)
}

/// Version of the driver's kernel module, if it is loaded.
fn loaded_version() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    // NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul …
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}
