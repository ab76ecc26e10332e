//! Slurm's command-line programs and their answers.

use fathom_record::TaskId;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Why a request to Slurm failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlurmError {
    /// A program of Slurm is not installed.
    #[error(
        "{0} is not installed here: --on slurm is for a machine from which a Slurm cluster takes \
         jobs, such as its login node"
    )]
    NotInstalled(String),
    /// The controller does not answer.
    #[error("Slurm's controller does not answer ({0})")]
    Unreachable(String),
    /// The queue holds as many jobs as it may.
    #[error("Slurm's queue is full")]
    QueueFull,
    /// Any other refusal, in Slurm's words.
    #[error("Slurm refuses: {0}")]
    Refused(String),
}

/// A task in Slurm's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedTask {
    /// State, such as `PENDING` or `RUNNING`.
    pub state: String,
    /// Reason why the task waits, if it does.
    pub reason: String,
    /// Node on which the task runs; empty while it waits.
    pub node: String,
}

/// Tasks that wait or run.
pub type Queue = BTreeMap<TaskId, QueuedTask>;

/// Limits of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most tasks of one array job.
    pub array: usize,
    /// Most jobs of all users together; jobs that ended count for a while.
    pub jobs: Option<usize>,
}

/// The cluster that this machine belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slurm;

impl Slurm {
    /// Reads the limits of the cluster.
    ///
    /// # Errors
    /// When Slurm is not installed or does not answer.
    pub fn limits(self) -> Result<Limits, SlurmError> {
        Ok(limits(&call("scontrol", &["show", "config"])?))
    }

    /// Names of the partitions.
    ///
    /// # Errors
    /// The errors of [`Slurm::limits`].
    pub fn partitions(self) -> Result<Vec<String>, SlurmError> {
        let output = call("sinfo", &["--noheader", "--format=%R"])?;
        let mut names: Vec<String> = output.lines().map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Submits a script and returns the number of the job.
    ///
    /// # Errors
    /// [`SlurmError::QueueFull`] at once, where `sbatch` would retry for minutes; else in Slurm's words.
    pub fn submit(self, script: &Path) -> Result<u64, SlurmError> {
        let mut child = start("sbatch", &["--parsable".into(), script.display().to_string()])?;
        let mut errors = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("temporarily unable to accept job") {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(SlurmError::QueueFull);
                }
                errors += &line;
                errors.push('\n');
            }
        }
        let output = end("sbatch", child, errors)?;
        // With several clusters: number;cluster.
        let number = output.trim().split(';').next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| {
            SlurmError::Refused(format!("unexpected answer of sbatch: {}", output.trim()))
        })
    }

    /// Tasks of these jobs that wait or run; jobs that Slurm no longer knows have none.
    ///
    /// # Errors
    /// When Slurm is not installed or does not answer.
    pub fn queue(self, jobs: &[u64]) -> Result<Queue, SlurmError> {
        if jobs.is_empty() {
            return Ok(Queue::new());
        }
        let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
        let of = format!("--jobs={}", jobs.join(","));
        let answer = call("squeue", &["--noheader", "--array", &of, "--format=%F|%K|%T|%r|%N"]);
        match answer {
            Err(SlurmError::Refused(words)) if words.contains("Invalid job id") => Ok(Queue::new()),
            answer => Ok(queue(&answer?)),
        }
    }

    /// The state of one task such as `7_1`, for example `RUNNING`. The number of its job would not do:
    /// the last task of an array has that of the array, which stands for all tasks.
    ///
    /// # Errors
    /// When Slurm does not know the task, is not installed or does not answer.
    pub fn state(self, task: &str) -> Result<String, SlurmError> {
        let of = format!("--jobs={task}");
        Ok(call("squeue", &["--noheader", &of, "--format=%T"])?.trim().to_owned())
    }

    /// Returns a task that runs or has ended to the queue.
    ///
    /// # Errors
    /// When Slurm refuses.
    pub fn requeue(self, task: &str) -> Result<(), SlurmError> {
        call("scontrol", &["requeue", task]).map(drop)
    }

    /// Cancels jobs.
    ///
    /// # Errors
    /// When Slurm refuses.
    pub fn cancel(self, jobs: &[u64]) -> Result<(), SlurmError> {
        let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
        let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
        call("scancel", &jobs).map(drop)
    }
}

fn start(program: &str, arguments: &[String]) -> Result<Child, SlurmError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SlurmError::NotInstalled(program.into()),
        _ => SlurmError::Refused(format!("{program}: {error}")),
    })
}

/// Waits for a program whose standard error was read already, and returns its standard output.
fn end(program: &str, mut child: Child, errors: String) -> Result<String, SlurmError> {
    let failed = |error: std::io::Error| SlurmError::Refused(format!("{program}: {error}"));
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output).map_err(failed)?;
    }
    if child.wait().map_err(failed)?.success() { Ok(output) } else { Err(parse_error(&errors)) }
}

/// Runs a program and returns its standard output.
fn call(program: &str, arguments: &[&str]) -> Result<String, SlurmError> {
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let output = start(program, &arguments)?.wait_with_output();
    let output = output.map_err(|error| SlurmError::Refused(format!("{program}: {error}")))?;
    if !output.status.success() {
        return Err(parse_error(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The error in a program's standard error, without the names of the programs.
fn parse_error(errors: &str) -> SlurmError {
    let bare = |line: &str| {
        let line = line.rsplit_once("error: ").map_or(line, |(_, words)| words);
        let line = line.rsplit_once(" failed: ").map_or(line, |(_, words)| words);
        line.trim().to_owned()
    };
    let mut lines: Vec<String> = errors.lines().map(bare).filter(|line| !line.is_empty()).collect();
    lines.dedup();
    let words = lines.join("; ");
    let away = ["Unable to contact", "timed out", "authentication", "Connection refused", "munge"];
    if away.iter().any(|sign| words.contains(sign)) {
        SlurmError::Unreachable(lines.pop().unwrap_or_default())
    } else {
        SlurmError::Refused(words)
    }
}

/// Reads the output of `scontrol show config`.
fn limits(config: &str) -> Limits {
    let value = |name: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim_start().strip_prefix('=')?.trim().parse().ok())
    };
    // The indices of tasks stay below MaxArraySize.
    Limits { array: value("MaxArraySize").unwrap_or(1001usize).max(1), jobs: value("MaxJobCount") }
}

/// Reads the output of `squeue`.
fn queue(output: &str) -> Queue {
    let task = |line: &str| {
        let [job, index, state, reason, node] = line.split('|').collect::<Vec<_>>()[..] else {
            return None;
        };
        let task = (job.parse().ok()?, index.parse().ok()?);
        Some((task, QueuedTask { state: state.into(), reason: reason.into(), node: node.into() }))
    };
    output.lines().filter_map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_given_without_the_names_of_programs() {
        let words = "sbatch: error: invalid partition specified: nope\n\
                     sbatch: error: Batch job submission failed: Invalid partition name specified\n";
        let expected = "invalid partition specified: nope; Invalid partition name specified";
        assert_eq!(parse_error(words), SlurmError::Refused(expected.into()));
        let gone = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n";
        let expected = "Unable to contact slurm controller (connect failure)";
        assert_eq!(parse_error(gone), SlurmError::Unreachable(expected.into()));
    }

    #[test]
    fn answers_of_slurm_are_parsed() {
        let config = "MaxArraySize            = 101\nMaxJobCount             = 40\n";
        assert_eq!(limits(config), Limits { array: 101, jobs: Some(40) });
        assert_eq!(limits("").array, 1001);
        let output = "7|0|RUNNING|None|node[1-2]\n7|1|PENDING|Resources|\n9|N/A|RUNNING|None|a\n";
        let queue = queue(output);
        assert_eq!(queue.len(), 2, "jobs that are no array tasks are skipped");
        assert_eq!(queue[&(7, 0)].node, "node[1-2]");
        assert_eq!(queue[&(7, 1)].reason, "Resources");
    }
}
