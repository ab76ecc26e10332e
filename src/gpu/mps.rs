//! NVIDIA's Multi-Process Service: with its daemon, kernels of several processes run on one GPU at the same time;
//! without it the processes take turns.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Name of the control program, which is part of the driver.
const CONTROL: &str = "nvidia-cuda-mps-control";
/// Where containers have the driver's programs, besides the folders of `PATH`.
const DRIVER_FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/nvidia/bin"];
/// Environment variable with the folder through which processes reach the daemon, and its default.
const PIPES: &str = "CUDA_MPS_PIPE_DIRECTORY";
const DEFAULT_PIPES: &str = "/tmp/nvidia-mps";
const LOGS: &str = "CUDA_MPS_LOG_DIRECTORY";
/// Longest time that the daemon may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// A daemon of this process, in a private folder. It ends when the value is dropped, and when the thread that
/// started it ends.
pub struct MpsDaemon {
    program: PathBuf,
    folder: TempDir,
    daemon: Child,
}

/// Whether processes that are started now find a daemon.
pub fn is_mps_running() -> bool {
    let pipes = std::env::var_os(PIPES).map_or(DEFAULT_PIPES.into(), PathBuf::from);
    pipes.join("control").exists()
}

/// The control program, if the machine has one.
fn control_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(DRIVER_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(CONTROL)).find(|program| program.is_file())
}

impl MpsDaemon {
    /// Starts a daemon; `None` on a machine without MPS.
    ///
    /// # Errors
    /// If the daemon does not start.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(program) = control_program() else { return Ok(None) };
        // Short, because the name of a socket has at most 107 bytes. Processes of other containers may share the
        // parent, so that the number of this one is not enough.
        let folder = tempfile::Builder::new().prefix("fathom-mps-").tempdir()?;
        for part in ["pipe", "log"] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        let mut command = command(&program, folder.path());
        command.arg("-f").stdin(Stdio::null());
        // A group of its own, since Ctrl-C is for fathom alone.
        command.process_group(0);
        // SAFETY: prctl is async-signal-safe, and the closure does nothing else.
        unsafe {
            command.pre_exec(|| {
                // The daemon ends with this process, even if that is killed.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let mut daemon = Self { daemon: command.spawn()?, program, folder };
        daemon.wait_for_control()?;
        Ok(Some(daemon))
    }

    fn wait_for_control(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        while !self.folder.path().join("pipe/control").exists() {
            if let Some(status) = self.daemon.try_wait()? {
                return Err(io::Error::other(format!("{CONTROL} ended with {status}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{CONTROL} does not start")));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Variables by which a process finds the daemon.
    pub fn environment(&self) -> [(OsString, OsString); 2] {
        environment(self.folder.path())
    }

    /// Asks the daemon to end, which it does when no process uses it any more.
    fn quit(&mut self) -> io::Result<()> {
        let mut client = command(&self.program, self.folder.path());
        let mut client = client.stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = client.stdin.take() {
            input.write_all(b"quit\n")?;
        }
        let begun = Instant::now();
        while self.daemon.try_wait()?.is_none() && begun.elapsed() < PATIENCE {
            std::thread::sleep(POLL);
        }
        let _ = client.kill();
        client.wait()?;
        Ok(())
    }
}

impl Drop for MpsDaemon {
    fn drop(&mut self) {
        let _ = self.quit();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn environment(folder: &Path) -> [(OsString, OsString); 2] {
    [(PIPES.into(), folder.join("pipe").into()), (LOGS.into(), folder.join("log").into())]
}

/// The control program for the daemon of a folder.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.envs(environment(folder)).stdout(Stdio::null()).stderr(Stdio::null());
    // The daemon numbers the GPUs that it sees anew; its clients choose among all of them.
    command.env_remove("CUDA_VISIBLE_DEVICES");
    command
}
