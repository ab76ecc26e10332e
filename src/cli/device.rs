//! `--device`: what a user may write, and the devices that it stands for on this machine.

use super::gpus;
use anyhow::{Result, ensure};
use fathom_gpu::ThisMachine;
use fathom_protocol::Probe;
use std::fmt;
use std::str::FromStr;

/// A value of `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// These GPUs; the first one if none is listed.
    Cuda(Vec<u32>),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let list = match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(Vec::new())),
            _ => text.strip_prefix("cuda:"),
        };
        let indices =
            list.and_then(|list| list.split(',').map(|index| index.parse().ok()).collect());
        let indices: Vec<u32> = indices.ok_or("valid are auto, cpu, cuda, cuda:0, cuda:0,1")?;
        for (place, index) in indices.iter().enumerate() {
            if indices[..place].contains(index) {
                return Err(format!(
                    "{index} is listed twice; --jobs 2 trains two runs at the same time on each GPU"
                ));
            }
        }
        Ok(Self::Cuda(indices))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(indices) if indices.is_empty() => f.write_str("cuda"),
            Self::Cuda(indices) => {
                let indices: Vec<String> = indices.iter().map(u32::to_string).collect();
                write!(f, "cuda:{}", indices.join(","))
            }
        }
    }
}

/// Parses a `--device` of a command that uses one device.
///
/// # Errors
/// When it is no device, or more than one.
pub fn one_device(text: &str) -> Result<Device, &'static str> {
    let is_one = |device: &Device| !matches!(device, Device::Cuda(indices) if indices.len() > 1);
    let device = text.parse().ok().filter(is_one);
    device.ok_or("expected one device: auto, cpu, cuda or cuda:0")
}

impl Device {
    /// The devices that this stands for on this machine, as the worker names them; at least one.
    ///
    /// # Errors
    /// When the machine lacks a device; for `auto` also when there are GPUs that CUDA cannot use.
    pub fn all(&self, probe: &Probe) -> Result<Vec<String>> {
        let indices = match self {
            Self::Auto => return Ok(vec![gpus::auto(probe, &ThisMachine)?]),
            Self::Cpu => return Ok(vec!["cpu".into()]),
            Self::Cuda(indices) if indices.is_empty() => &[0],
            Self::Cuda(indices) => indices.as_slice(),
        };
        if let Err(why) = &probe.cuda_library {
            anyhow::bail!("--device {self}: {why}");
        }
        let usable = probe.cuda_devices;
        ensure!(
            indices.iter().all(|index| i64::from(*index) < usable),
            "--device {self}: libtorch sees {usable} CUDA devices; run fathom doctor for details"
        );
        Ok(indices.iter().map(|index| format!("cuda:{index}")).collect())
    }

    /// The first of the devices that this stands for.
    ///
    /// # Errors
    /// Those of [`Device::all`].
    pub fn first(&self, probe: &Probe) -> Result<String> {
        Ok(self.all(probe)?.swap_remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_listed_once_and_must_be_there() {
        let probe = gpus::tests::probe(2);
        let names = |text: &str| text.parse::<Device>().unwrap().all(&probe);
        assert_eq!(names("cpu").unwrap(), ["cpu"]);
        assert_eq!(names("cuda").unwrap(), ["cuda:0"]);
        assert_eq!(names("cuda:1,0").unwrap(), ["cuda:1", "cuda:0"]);
        let absent = names("cuda:2").unwrap_err().to_string();
        assert!(absent.starts_with("--device cuda:2: libtorch sees 2 CUDA devices"), "{absent}");
    }

    #[test]
    fn what_is_no_device_is_refused_before_the_machine_is_asked() {
        let twice = "cuda:0,0".parse::<Device>().unwrap_err();
        assert!(twice.starts_with("0 is listed twice; --jobs 2"), "{twice}");
        for wrong in ["gpu", "0", "cuda:", "cuda0", "cuda:-1", "cuda:x", ""] {
            let refused = wrong.parse::<Device>().unwrap_err();
            assert_eq!(refused, "valid are auto, cpu, cuda, cuda:0, cuda:0,1", "{wrong}");
        }
        for wrong in ["gpu", "cuda:0,1"] {
            let refused = one_device(wrong).unwrap_err();
            assert_eq!(refused, "expected one device: auto, cpu, cuda or cuda:0");
        }
        for right in ["auto", "cpu", "cuda", "cuda:1"] {
            assert_eq!(one_device(right).unwrap().to_string(), right);
        }
    }
}
