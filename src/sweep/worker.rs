//! `fathom-train` as a child process.

use super::{Ended, Executor, Shutdown};
use anyhow::{Context, Result, bail, ensure};
use fathom_protocol::{
    BenchJob, Benched, CheckJob, Checked, EvalJob, Evaluated, Event, HELD, Job, Landscape,
    LandscapeJob, MeasureJob, Measured, Peaks, PeaksJob, Probe, STOPPED,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Names the worker's file where it is neither beside this program nor in a folder of `PATH`.
const VARIABLE: &str = "FATHOM_TRAIN";

/// The worker: beside this program, else in a folder of `PATH`, unless `FATHOM_TRAIN` names it.
pub struct Worker {
    program: PathBuf,
}

impl Worker {
    /// Finds it; it need not start.
    ///
    /// # Errors
    /// When it is not there, with the command that builds it.
    pub fn find() -> Result<Self> {
        if let Some(program) = std::env::var_os(VARIABLE).map(PathBuf::from) {
            ensure!(program.exists(), "{VARIABLE}: there is no {}", program.display());
            return Ok(Self { program });
        }
        let here = std::env::current_exe().context("where is this program?")?;
        let beside = here.with_file_name("fathom-train");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let elsewhere = std::env::split_paths(&path).map(|folder| folder.join("fathom-train"));
        let found = std::iter::once(beside.clone()).chain(elsewhere).find(|file| file.is_file());
        let program = found.with_context(|| {
            format!("the worker {} is missing: {}", beside.display(), remedy(&beside))
        })?;
        Ok(Self { program })
    }

    /// Finds the worker, makes sure that it starts and is of this build, and asks what it has.
    ///
    /// # Errors
    /// When it does not, with the command that mends it.
    pub fn ready() -> Result<(Self, Probe)> {
        let worker = Self::find()?;
        let probe = worker.probe()?;
        ensure!(
            probe.build == fathom_base::program().build,
            "the worker {} is of another build than this program: {}",
            worker.program.display(),
            remedy(&worker.program)
        );
        Ok((worker, probe))
    }

    /// What the worker says of itself and of its libtorch.
    ///
    /// # Errors
    /// When it does not start.
    pub fn probe(&self) -> Result<Probe> {
        let output = Command::new(&self.program)
            .arg("probe")
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            bail!(
                "the worker {} does not start: {}; {}",
                self.program.display(),
                told.trim(),
                remedy(&self.program)
            );
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("{} is of another build: {}", self.program.display(), remedy(&self.program))
        })
    }

    /// Loss and errors of given weights.
    ///
    /// # Errors
    /// What the worker says: weights that do not fit, data that is not there, memory.
    pub fn eval(&self, job: &EvalJob) -> Result<Evaluated> {
        self.ask("eval", job.threads, job)
    }

    /// Looks at a net that was trained.
    ///
    /// # Errors
    /// What the worker says: weights that do not fit, data that is not there or another.
    pub fn look(&self, job: &LandscapeJob) -> Result<Landscape> {
        self.ask("look", job.threads, job)
    }

    /// How long the updates of a run take, timed for so many seconds.
    ///
    /// # Errors
    /// Whatever would keep the run from training.
    pub fn measure(&self, job: &Job, seconds: f64) -> Result<Measured> {
        let threads = job.threads;
        self.ask("measure", threads, &MeasureJob { job: job.clone(), seconds })
    }

    /// Whether a GPU does what training asks of it.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, device: &str) -> Result<Checked> {
        let (build, supervisor) = (fathom_base::program().build.into(), std::process::id());
        self.ask("check", 1, &CheckJob { build, device: device.into(), supervisor })
    }

    /// How fast a net trains.
    ///
    /// # Errors
    /// What the worker says: memory, a device that is not there.
    pub fn bench(&self, job: &BenchJob) -> Result<Benched> {
        self.ask("bench", job.threads, job)
    }

    /// What the machine can do at best.
    ///
    /// # Errors
    /// As for [`Worker::bench`].
    pub fn peaks(&self, job: &PeaksJob) -> Result<Peaks> {
        self.ask("peaks", job.threads, job)
    }

    /// One question, one answer.
    fn ask<A: DeserializeOwned>(
        &self,
        task: &str,
        threads: usize,
        job: &impl Serialize,
    ) -> Result<A> {
        let mut child = self
            .command(task, threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut input = child.stdin.take().context("the worker has no input")?;
        let _ = input.write_all(&serde_json::to_vec(job)?);
        drop(input);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            match output.status.signal() {
                Some(signal) => bail!("the worker was killed by signal {signal}"),
                None => bail!("{}", last_words(&told).unwrap_or("the worker said nothing")),
            }
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn command(&self, task: &str, threads: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(task).env("OMP_NUM_THREADS", threads.to_string());
        if std::env::var_os("GOMP_SPINCOUNT").is_none() {
            // Threads that wait for each other spin for some hundred microseconds, not for
            // milliseconds: those would be taken from whatever else runs on their core, which may
            // be what they wait for.
            command.env("GOMP_SPINCOUNT", "10000");
        }
        if std::env::var_os("CUBLAS_WORKSPACE_CONFIG").is_none() {
            // Without it cuBLAS refuses to be deterministic; else it makes no difference.
            command.env("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
        }
        command
    }

    /// Its path.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// How to build the worker that lies here.
fn remedy(program: &Path) -> &'static str {
    if program.parent().is_some_and(|folder| folder.ends_with("debug")) {
        "run scripts/setup, then cargo build"
    } else {
        "run scripts/setup, then cargo build --release"
    }
}

impl Executor for Worker {
    fn run(&self, job: &Job, control: &Shutdown, on_event: &mut dyn FnMut(Event)) -> Ended {
        let log = job.directory.join("log.txt");
        match self.train(job, &log, control, on_event) {
            Ok((ended, status, said)) => judge(ended, status, &said),
            Err(error) => Ended::Silent(format!("{error:#}")),
        }
    }
}

impl Worker {
    /// Whether it said that it ended, how it did, and what it said on its standard error.
    fn train(
        &self,
        job: &Job,
        log: &Path,
        control: &Shutdown,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(bool, ExitStatus, String)> {
        let words = serde_json::to_vec(job)?;
        let (errors, from) = open_log(log)?;
        let mut child = self
            .command("run", job.threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // A terminal's Ctrl-C is for the supervisor alone, which passes it on.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let told = control.child(child.id());
        if let Some(mut input) = child.stdin.take() {
            // A worker that dies at once is told by its exit status, not by a broken pipe.
            let _ = input.write_all(&words);
        }
        let mut ended = false;
        if let Some(output) = child.stdout.take() {
            // A line that cannot be read is none of ours; an output that cannot is over.
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if let Ok(event) = serde_json::from_slice(&line) {
                    ended |= event == Event::Ended;
                    on_event(event);
                }
            }
        }
        wait_without_reaping(child.id());
        drop(told);
        let status = child.wait()?;
        let said = std::fs::read(log).unwrap_or_default();
        let from = usize::try_from(from)?.min(said.len());
        Ok((ended, status, String::from_utf8_lossy(&said[from..]).into_owned()))
    }
}

/// Opens a run's log behind what earlier attempts left there, and tells where that ends.
fn open_log(log: &Path) -> Result<(File, u64)> {
    let open = || -> std::io::Result<(File, u64)> {
        let mut file = File::options().append(true).create(true).open(log)?;
        if file.metadata()?.len() > 0 {
            file.write_all(b"--- started again\n")?;
        }
        let from = file.metadata()?.len();
        Ok((file, from))
    };
    open().with_context(|| format!("cannot write {}", log.display()))
}

/// Returns when the process has ended; its number stays its own until it is waited for.
fn wait_without_reaping(pid: u32) {
    loop {
        // SAFETY: waitid only writes into `info`, for which all zeros are valid.
        let answer = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        let was_interrupted =
            answer != 0 && std::io::Error::last_os_error().kind() == ErrorKind::Interrupted;
        if !was_interrupted {
            return;
        }
    }
}

/// How a worker ended, from whether it said so, its exit status and its log.
fn judge(ended: bool, status: ExitStatus, said: &str) -> Ended {
    let words = || last_words(said).map_or_else(|| format!("ended with {status}"), str::to_owned);
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(STOPPED) => Ended::Stopped,
        (Some(code), _) if code == i32::from(HELD) => Ended::Held(words()),
        _ if ended => Ended::Reported,
        (_, Some(signal)) => Ended::Killed { signal },
        _ => Ended::Silent(words()),
    }
}

/// The last line of what a worker told, which is its error.
fn last_words(text: &str) -> Option<&str> {
    let last = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(last.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that is a shell script. This process never has the program open for writing, which
    /// a fork of another test could carry on.
    fn script(folder: &Path, text: &str) -> Worker {
        let (draft, program) = (folder.join("draft"), folder.join("worker"));
        std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
        let install = Command::new("install").args(["-m", "755"]).arg(draft).arg(&program).status();
        assert!(install.unwrap().success());
        Worker { program }
    }

    fn train(text: &str, control: &Shutdown, on_event: &mut dyn FnMut(Event)) -> (Ended, String) {
        let folder = tempfile::tempdir().unwrap();
        let run = &crate::tests::runs()[0];
        let job = crate::tests::job(run, folder.path());
        let log = folder.path().join("log.txt");
        std::fs::write(&log, "error: of before\n").unwrap();
        let worker = script(folder.path(), text);
        let ended = worker.run(&job, control, on_event);
        (ended, std::fs::read_to_string(&log).unwrap())
    }

    #[test]
    fn exit_codes_signals_and_last_words_tell_how_a_worker_ended() {
        let end = |text: &str| train(text, &Shutdown::new(), &mut |_| {}).0;
        let said = "echo '{\"event\":\"ended\"}'";
        assert_eq!(end(&format!("cat >/dev/null; {said}")), Ended::Reported);
        assert_eq!(end(&format!("cat >/dev/null; {said}; exit 1")), Ended::Reported);
        assert_eq!(end("exit 75"), Ended::Stopped);
        let held = end("echo 'error: run.lock is held by me' >&2; exit 76");
        assert_eq!(held, Ended::Held("run.lock is held by me".into()));
        assert_eq!(end("kill -KILL $$"), Ended::Killed { signal: 9 });
        assert_eq!(end("echo 'error: no' >&2; exit 1"), Ended::Silent("no".into()));
        let silent = end("exit 1");
        assert_eq!(silent, Ended::Silent("ended with exit status: 1".into()));
    }

    #[test]
    fn the_log_keeps_what_was_said_before() {
        let (_, log) = train("echo again >&2; exit 1", &Shutdown::new(), &mut |_| {});
        assert!(log.starts_with("error: of before\n--- started again\n"), "{log}");
        assert!(log.ends_with("again\n"), "{log}");
    }

    #[test]
    fn a_signal_is_passed_on_and_a_second_one_kills() {
        let step = "echo '{\"event\":\"progress\",\"step\":1}'";
        let control = Shutdown::new();
        let stops =
            format!("cat >/dev/null; trap 'exit 75' TERM; {step}; while :; do sleep 0.01; done");
        let ended = train(&stops, &control, &mut |_| {
            control.signal(libc::SIGINT);
        });
        assert_eq!(ended.0, Ended::Stopped);
        let control = Shutdown::new();
        let hears = format!("cat >/dev/null; trap '' TERM; {step}; while :; do sleep 0.01; done");
        let ended = train(&hears, &control, &mut |_| {
            let now = std::time::Instant::now();
            control.signal_at(libc::SIGINT, now);
            control.signal_at(libc::SIGINT, now + std::time::Duration::from_secs(1));
        });
        assert_eq!(ended.0, Ended::Killed { signal: libc::SIGKILL });
    }
}
