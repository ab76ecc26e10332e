//! What a command costs: time of the processor and memory.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process took, its children included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Of all its threads, in the program and in the kernel.
    pub seconds: f64,
    /// Most that it held at once; no less than what the tester holds when it is started, as Linux
    /// counts from before the program is loaded.
    pub megabytes: f64,
}

/// Megabytes below which what the tester holds does not matter.
const SMALL: f64 = 200.0;

/// Waits until other tests of this process have given their memory back, two minutes at most.
fn wait_until_small() {
    let resident = || -> Option<f64> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * 4096.0 / 1e6)
    };
    let begun = Instant::now();
    while resident().is_some_and(|megabytes| megabytes > SMALL)
        && begun.elapsed() < Duration::from_secs(120)
    {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command line of the program that should succeed; returns its standard output and what it
/// took.
#[expect(clippy::zombie_processes, reason = "wait4 waits, and tells what it took")]
pub fn of(folder: &Path, line: &str) -> (String, Usage) {
    wait_until_small();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("fathom"));
    command.current_dir(folder).args(line.split(' ')).stdout(Stdio::piped());
    // SAFETY: does nothing. With something to be done before the program is loaded, it begins in a
    // copy of the tester, of which what it holds now counts, and not what it ever held.
    unsafe { command.pre_exec(|| Ok(())) };
    let mut child = command.spawn().expect("the program starts");
    let mut printed = String::new();
    let mut output = child.stdout.take().expect("a pipe");
    output.read_to_string(&mut printed).expect("text");
    let pid = child.id().cast_signed();
    let mut status = 0;
    // SAFETY: all of rusage is numbers, for which zeros are values; both pointers are to locals.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(pid, &mut status, 0, &mut usage), pid, "{line}");
        usage
    };
    assert_eq!(status, 0, "{line}");
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.cast_unsigned())
            + Duration::from_micros(time.tv_usec.cast_unsigned())
    };
    let seconds = (time(usage.ru_utime) + time(usage.ru_stime)).as_secs_f64();
    (printed, Usage { seconds, megabytes: usage.ru_maxrss as f64 * 1024.0 / 1e6 })
}
