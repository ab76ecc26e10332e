//! A process that trains one run after the other.

use anyhow::Result;
use fathom_protocol::{Event, Job};
use fathom_record::CudaUse;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A worker process that trains runs on one device, all in the same way. It ends when it is dropped.
pub(super) struct Trainer {
    pub(super) process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Description of the command that started it.
    command: String,
    device: String,
    cuda: CudaUse,
    /// Number of runs so far.
    pub(super) runs: usize,
}

/// Program, arguments and environment of a command.
fn describe(command: &Command) -> String {
    format!("{command:?}")
}

/// What a worker process said at the end of a run.
pub(super) struct RunEnd {
    /// Whether it sent [`Event::Ended`].
    pub(super) ended: bool,
    /// Whether it waits for another run.
    pub(super) is_ready: bool,
}

impl Trainer {
    /// Starts a process for a job, with its standard error in this file. `command` is that of the worker.
    pub(super) fn start(mut command: Command, job: &Job, errors: File) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C in a terminal is for the supervisor alone, which forwards it.
            .process_group(0)
            .spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let (output, command) = (BufReader::new(output), describe(&command));
        let (device, cuda) = (job.device.clone(), job.cuda);
        Ok(Self { process, input, output, command, device, cuda, runs: 0 })
    }

    /// Whether the process is the one that `command` would start for this run.
    pub(super) fn fits(&self, command: &Command, job: &Job) -> bool {
        self.command == describe(command) && self.device == job.device && self.cuda == job.cuda
    }

    /// Whether the process still waits.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Trains a run, until the worker is ready for another one or has closed its output.
    pub(super) fn train(&mut self, job: &Job, on_event: &mut dyn FnMut(Event)) -> Result<RunEnd> {
        self.runs += 1;
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        if let Some(input) = &mut self.input {
            // A worker that dies at once is reported by its exit status, not by a broken pipe.
            let _ = input.write_all(&line);
        }
        let (mut ended, mut line) = (false, Vec::new());
        while self.output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            match serde_json::from_slice(&line) {
                Ok(Event::Ready) => return Ok(RunEnd { ended, is_ready: true }),
                Ok(event) => {
                    ended |= event == Event::Ended;
                    on_event(event);
                }
                // Lines that are no events were printed by libraries.
                Err(_) => {}
            }
            line.clear();
        }
        Ok(RunEnd { ended, is_ready: false })
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        // A process that waits ends when its input does.
        self.input = None;
        let _ = self.process.wait();
    }
}
