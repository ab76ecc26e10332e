//! `fathom-train` as a child process.

use super::Executor;
use crate::protocol::{BUILD, EvalJob, Evaluated, Event, Job, Measured, Probe};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
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
            probe.build == BUILD,
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

    /// How long a few updates of a run take.
    ///
    /// # Errors
    /// Whatever would keep the run from training.
    pub fn measure(&self, job: &Job) -> Result<Measured> {
        self.ask("measure", job.threads, job)
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
            let told = told.trim().trim_start_matches("error: ");
            match output.status.signal() {
                Some(signal) => bail!("the worker was killed by signal {signal}"),
                None => bail!("{told}"),
            }
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn command(&self, task: &str, threads: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(task).env("OMP_NUM_THREADS", threads.to_string());
        // f32 is f32: the shorter mantissa of TF32 is not used behind its back.
        command.env("NVIDIA_TF32_OVERRIDE", "0");
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
    fn run(&self, job: &Job, on_event: &mut dyn FnMut(Event)) -> Result<(), String> {
        let log = job.directory.join("log.txt");
        let mut attempt = || -> Result<(bool, ExitStatus)> {
            let errors =
                File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
            let mut child = self
                .command("run", job.threads)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(errors)
                .spawn()
                .with_context(|| format!("cannot start {}", self.program.display()))?;
            let mut input = child.stdin.take().context("the worker has no input")?;
            // A worker that dies at once is told by its exit status, not by a broken pipe.
            let _ = input.write_all(&serde_json::to_vec(job)?);
            drop(input);
            let output = BufReader::new(child.stdout.take().context("the worker has no output")?);
            let mut ended = false;
            for line in output.lines() {
                if let Ok(event) = serde_json::from_str(&line?) {
                    ended |= event == Event::Ended;
                    on_event(event);
                }
            }
            Ok((ended, child.wait()?))
        };
        match attempt() {
            Ok((true, _)) => Ok(()),
            Ok((false, status)) => Err(cause(status, &log)),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

/// Why a worker ended without a word.
fn cause(status: ExitStatus, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    match (status.signal(), last_words(&text)) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, None) => format!("ended with {status}"),
        (None, Some(words)) => words.to_owned(),
    }
}

/// The last line of what a worker told, which is its error.
fn last_words(text: &str) -> Option<&str> {
    let last = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(last.trim_start_matches("error: "))
}
