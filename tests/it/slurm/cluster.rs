//! A Slurm cluster of one node, on the loopback address, for as long as a test lasts.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Daemons with their files in a folder of their own.
pub struct Cluster {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Each counts on both cores.
static ALONE: Mutex<()> = Mutex::new(());

const DAEMONS: [&str; 3] = ["munged", "slurmctld", "slurmd"];

/// Where Debian puts daemons, which users' PATH may lack.
fn daemon(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Cluster {
    /// A cluster with two cores and the partitions `main` and `urgent`, of which the second takes
    /// the first one's place; nothing where Slurm is not installed.
    pub fn start(most_jobs: u32) -> Option<Self> {
        Self::start_with(most_jobs, "", "")
    }

    /// The same with two GPUs, as far as Slurm knows, and tasks that are bound to their cores.
    pub fn start_with_gpus() -> Option<Self> {
        Self::start_with(1000, "GresTypes=gpu\n", " Gres=gpu:2")
    }

    fn start_with(most_jobs: u32, more: &str, of_node: &str) -> Option<Self> {
        if let Some(missing) = DAEMONS.iter().find(|name| daemon(name).is_none()) {
            crate::support::skip(&format!("{missing} is not installed (Debian: slurm-wlm, munge)"));
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["state", "spool"] {
            fs::create_dir(folder.path().join(name)).expect("writable");
        }
        let cluster = Self { folder, _alone: alone };
        cluster.configure(most_jobs, more, of_node);
        cluster.start_munge();
        cluster.run(&daemon("slurmctld").expect("found before"), &["-c"]);
        cluster.run(&daemon("slurmd").expect("found before"), &["-c"]);
        cluster.wait_for_the_node();
        Some(cluster)
    }

    /// The configuration, which Slurm's programs find by `SLURM_CONF`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn configure(&self, most_jobs: u32, more: &str, of_node: &str) {
        if !of_node.is_empty() {
            // Slurm wants device files for its GPUs.
            let gres = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n";
            fs::write(self.folder.path().join("gres.conf"), gres).expect("writable");
        }
        let binding = if of_node.is_empty() { "none" } else { "affinity" };
        let here = self.folder.path().display();
        let whoami = Command::new("id").arg("-un").output().expect("id").stdout;
        let user = String::from_utf8(whoami).expect("a name");
        let user = user.trim();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host");
        let host = host.trim().split('.').next().expect("a name");
        let (ctld, d) = (free_port(), free_port());
        let text = format!(
            "ClusterName=fathom\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
             AuthType=auth/munge\nAuthInfo=socket={here}/munge.socket\nCryptoType=crypto/munge\n\
             SlurmctldPort={ctld}\nSlurmdPort={d}\n\
             StateSaveLocation={here}/state\nSlurmdSpoolDir={here}/spool\n\
             SlurmctldPidFile={here}/slurmctld.pid\nSlurmdPidFile={here}/slurmd.pid\n\
             SlurmctldLogFile={here}/slurmctld.log\nSlurmdLogFile={here}/slurmd.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/{binding}\nSwitchType=switch/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\n\
             SchedulerParameters=sched_interval=1,sched_min_interval=0\n\
             PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\nKillWait=30\n\
             ReturnToService=2\nMaxArraySize=6\nMaxJobCount={most_jobs}\n{more}\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=2 CoresPerSocket=2 RealMemory=4000{of_node}\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n\
             PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10\n"
        );
        fs::write(self.config(), text).expect("writable");
    }

    fn start_munge(&self) {
        use std::io::{Read, Write};
        use std::os::unix::fs::OpenOptionsExt;
        let mut key = [0; 1024];
        fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut key))
            .expect("read");
        let path = self.folder.path().join("munge.key");
        let file = fs::File::options().write(true).create_new(true).mode(0o400).open(&path);
        file.expect("new").write_all(&key).expect("writable");
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let arguments = [
            // The folder is this user's alone, which is as it should be here.
            "--force".to_owned(),
            format!("--key-file={}", file("munge.key")),
            format!("--socket={}", file("munge.socket")),
            format!("--pid-file={}", file("munged.pid")),
            format!("--log-file={}", file("munged.log")),
            format!("--seed-file={}", file("munged.seed")),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run(&daemon("munged").expect("found before"), &arguments);
    }

    fn run(&self, program: &Path, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", program.display());
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.config());
        command
    }

    /// What one of Slurm's programs answers.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let Output { stdout, .. } = self.command(program).args(arguments).output().expect("starts");
        String::from_utf8_lossy(&stdout).into_owned()
    }

    /// Waits until something holds.
    pub fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !holds(self) {
            if since.elapsed() > Duration::from_secs(120) {
                let log = |name: &str| fs::read_to_string(self.folder.path().join(name));
                let queue = self.ask("squeue", &["--array"]);
                panic!("no {what}: {queue}\n{:?}\n{:?}", log("slurmctld.log"), log("slurmd.log"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Lets tasks begin that wait because they were queued again: Slurm makes them wait for two
    /// minutes.
    pub fn hurry(&self) {
        for line in self.ask("squeue", &["--noheader", "--array", "--format=%i %r"]).lines() {
            if let Some((task, "BeginTime")) = line.split_once(' ') {
                self.ask("scontrol", &["update", &format!("jobid={task}"), "StartTime=now"]);
            }
        }
    }

    /// Ends the controller.
    pub fn stop_controller(&self) {
        let pid = self.pid("slurmctld").expect("it runs");
        send(pid, libc::SIGTERM);
        let process = PathBuf::from(format!("/proc/{pid}"));
        self.wait("end of the controller", |_| !process.exists());
    }

    /// Starts it again, with another number of jobs.
    pub fn start_controller(&self, most_jobs: u32) {
        let text = fs::read_to_string(self.config()).expect("readable");
        let keep = |line: &&str| !line.starts_with("MaxJobCount=");
        let lines: Vec<&str> = text.lines().filter(keep).collect();
        let text = format!("{}\nMaxJobCount={most_jobs}\n", lines.join("\n"));
        fs::write(self.config(), text).expect("writable");
        self.run(&daemon("slurmctld").expect("found before"), &[]);
        self.wait_for_the_node();
    }

    fn wait_for_the_node(&self) {
        self.wait("node", |cluster| {
            let state = cluster.ask("sinfo", &["--noheader", "--format=%T"]);
            let state = state.lines().next().unwrap_or_default();
            // With a star where it does not respond.
            ["idle", "mixed", "allocated"].contains(&state)
        });
    }

    fn pid(&self, daemon: &str) -> Option<libc::pid_t> {
        let path = self.folder.path().join(format!("{daemon}.pid"));
        fs::read_to_string(path).ok()?.trim().parse().ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ask("scancel", &["--me"]);
        for name in ["slurmd", "slurmctld", "munged"] {
            if let Some(pid) = self.pid(name) {
                send(pid, libc::SIGTERM);
                for _ in 0..100 {
                    if !PathBuf::from(format!("/proc/{pid}")).exists() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

/// Sends a signal to a process that is known to run.
pub fn send(pid: libc::pid_t, signal: i32) {
    assert!(pid > 1);
    // SAFETY: sends a signal.
    unsafe { libc::kill(pid, signal) };
}
