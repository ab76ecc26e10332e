//! Memory and age of this process.

use super::shim;
use procfs::Current;
use procfs::process::Process;
use std::time::Instant;
use tch::Device;

/// Peak memory of this process in bytes: memory that libtorch reserved on the GPU for training on a
/// GPU, the resident set otherwise; 0 if the system does not report it.
pub(super) fn peak_memory(device: Device) -> u64 {
    if let Device::Cuda(index) = device {
        return shim::device::device_memory(index)[1];
    }
    let status = Process::myself().and_then(|process| process.status());
    status.ok().and_then(|status| status.vmhwm).unwrap_or_default() * 1024
}

/// Returns memory that earlier runs have left, and makes [`peak_memory`] begin anew, as far as the system permits it.
pub(super) fn forget_peak_memory(device: &str) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only returns free memory to the system.
    unsafe {
        libc::malloc_trim(0);
    }
    // Resets the peak of the resident set (proc_pid_clear_refs(5)); it may be forbidden in a container.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    if device.starts_with("cuda") {
        shim::device::empty_cache();
        shim::device::reset_peak_memory();
    }
}

/// Seconds since the start of this process, with the resolution of a kernel tick. Includes the time
/// before `main`, in which libtorch is loaded. Measured from `started` if the system does not report
/// the age of a process.
pub(super) fn process_age(started: Instant) -> f64 {
    age().unwrap_or_default().max(started.elapsed().as_secs_f64())
}

fn age() -> procfs::ProcResult<f64> {
    let ticks = Process::myself()?.stat()?.starttime;
    let started = ticks as f64 / procfs::ticks_per_second() as f64;
    Ok(procfs::Uptime::current()?.uptime - started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_older_than_its_tests_and_its_peak_memory_covers_what_it_touched() {
        let started = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let age = process_age(started);
        assert!((0.03..3600.0).contains(&age), "{age}");
        let touched = vec![1u8; 64 << 20];
        let peak = peak_memory(Device::Cpu);
        assert!(peak > touched.len() as u64, "{peak}");
    }
}
