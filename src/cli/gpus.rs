//! Whether GPUs can be used, from what the driver, libtorch and the environment say.

use anyhow::{Result, bail};
use fathom_gpu::{Driver, Hidden, Installed, hidden};
use fathom_protocol::Probe;

/// The environment variable that hides GPUs from CUDA.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The device of `--device auto`: the first GPU, or the CPU on a machine without an NVIDIA driver or
/// GPU.
///
/// # Errors
/// When there are GPUs and CUDA cannot use them: a sweep for a GPU must not take days on the CPU
/// because of a wrong driver.
pub fn auto(probe: &Probe, driver: &dyn Driver) -> Result<String> {
    if probe.cuda_devices > 0 {
        return Ok("cuda:0".into());
    }
    let Some(installed) = driver.installed() else { return Ok("cpu".into()) };
    if installed.as_ref().is_ok_and(|installed| installed.gpus.is_empty()) {
        return Ok("cpu".into());
    }
    let visible = std::env::var(VISIBLE).ok();
    bail!(
        "--device auto: this machine has an NVIDIA driver, but CUDA cannot be used: {}; or choose \
         the CPU by --device cpu",
        obstacle(probe, &installed, visible.as_deref())
    )
}

/// Why libtorch sees no device although there is a driver, and the remedy. `visible` is the value of
/// [`VISIBLE`].
pub fn obstacle(
    probe: &Probe,
    installed: &Result<Installed, String>,
    visible: Option<&str>,
) -> String {
    let installed = match installed {
        Ok(installed) => installed,
        Err(error) => return format!("the driver does not answer ({error}): restart the machine"),
    };
    if let Err(why) = &probe.cuda_library {
        return why.clone();
    }
    match hidden(visible, &installed.gpus) {
        Hidden::All => return format!("{VISIBLE} is empty, which hides all GPUs: unset it"),
        Hidden::Unknown(entry) => {
            return format!("{VISIBLE} names {entry}, which is no GPU of this machine: correct it");
        }
        Hidden::Nothing | Hidden::Some(_) => {}
    }
    if let Some(built) = &probe.cuda_version
        && major(built) > major(&installed.cuda)
    {
        return format!(
            "this libtorch is built for CUDA {built}, and the driver {} supports CUDA {}: \
             scripts/setup --cuda fetches a build that fits, or install a newer driver",
            installed.version, installed.cuda
        );
    }
    match &probe.cuda_driver {
        Err(error) => format!("{error}: run nvidia-smi for details"),
        Ok(_) => "libtorch sees no device: run nvidia-smi for details".into(),
    }
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use fathom_gpu::Gpu;

    /// A machine with this driver, for tests.
    pub struct Fake(pub Option<Result<Installed, String>>);

    impl Driver for Fake {
        fn installed(&self) -> Option<Result<Installed, String>> {
            self.0.clone()
        }
    }

    pub fn installed(cuda: &str, gpus: usize) -> Installed {
        let gpu = |at: usize| Gpu { uuid: format!("GPU-{at}"), ..Gpu::default() };
        let gpus = (0..gpus).map(gpu).collect();
        Installed { version: "550.54".into(), cuda: cuda.into(), gpus }
    }

    pub fn probe(devices: i64) -> Probe {
        Probe {
            build: String::new(),
            libtorch: "2.11.0".into(),
            library: String::new(),
            capability: String::new(),
            threads: 1,
            cuda_library: Ok(()),
            cuda_devices: devices,
            cuda_graphs: true,
            cuda_version: Some("13.0".into()),
            cuda_driver: Ok(Vec::new()),
            kernels: String::new(),
        }
    }

    #[test]
    fn auto_takes_the_cpu_only_where_there_is_no_gpu() {
        let auto = |devices, driver| auto(&probe(devices), &Fake(driver));
        assert_eq!(auto(2, Some(Ok(installed("13.0", 2)))).unwrap(), "cuda:0");
        assert_eq!(auto(0, None).unwrap(), "cpu");
        assert_eq!(auto(0, Some(Ok(installed("13.0", 0)))).unwrap(), "cpu");
        let refused = auto(0, Some(Ok(installed("12.4", 1)))).unwrap_err().to_string();
        assert_eq!(
            refused,
            "--device auto: this machine has an NVIDIA driver, but CUDA cannot be used: this \
             libtorch is built for CUDA 13.0, and the driver 550.54 supports CUDA 12.4: \
             scripts/setup --cuda fetches a build that fits, or install a newer driver; or choose \
             the CPU by --device cpu"
        );
        let broken = auto(0, Some(Err("Driver/library version mismatch".into())));
        assert!(broken.unwrap_err().to_string().contains("does not answer (Driver/library"));
    }

    #[test]
    fn every_obstacle_is_named() {
        let two = Ok(installed("13.0", 2));
        let why = |probe: &Probe, visible| obstacle(probe, &two, visible);
        assert!(why(&probe(0), Some("")).contains("hides all GPUs: unset it"));
        assert!(why(&probe(0), Some("0,5")).contains("names 5, which is no GPU"));
        let cpu_build = Probe { cuda_library: Err("a CPU build".into()), ..probe(0) };
        assert_eq!(why(&cpu_build, None), "a CPU build");
        let silent = Probe { cuda_driver: Err("system not yet initialized".into()), ..probe(0) };
        assert!(why(&silent, None).starts_with("system not yet initialized"));
        assert!(why(&probe(0), Some("1")).starts_with("libtorch sees no device"));
    }
}
