//! What a command costs: time of the processor and memory.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a process took, its children included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Of all its threads, in the program and in the kernel.
    pub seconds: f64,
    /// Most that it held at once; no less than what the tester holds when it is started, as Linux
    /// counts from before the program is loaded.
    pub megabytes: f64,
}

/// Runs a command line of the program that should succeed; returns its standard output and what it
/// took.
#[expect(clippy::zombie_processes, reason = "wait4 waits, and tells what it took")]
pub fn of(folder: &Path, line: &str) -> (String, Usage) {
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
