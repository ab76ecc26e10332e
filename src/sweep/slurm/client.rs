//! Slurm's programs, and what they say.

use fathom_record::TaskId;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Why Slurm does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its programs are not here.
    #[error(
        "{0} is not installed here: --on slurm is for a machine from which a Slurm cluster takes \
         jobs, such as its login node"
    )]
    Missing(String),
    /// Nobody answers.
    #[error("Slurm's controller does not answer ({0})")]
    Away(String),
    /// As many jobs as it may hold are queued.
    #[error("Slurm's queue is full")]
    Full,
    /// In its words.
    #[error("Slurm refuses: {0}")]
    Other(String),
}

/// What Slurm holds of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `PENDING`, `RUNNING`, …
    pub state: String,
    /// Why it waits, as far as it does.
    pub reason: String,
    /// Where it runs.
    pub node: String,
}

/// Tasks that wait or run.
pub type Queue = BTreeMap<TaskId, Place>;

/// How much Slurm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks of one array.
    pub array: usize,
    /// Jobs that it knows at a time, of everybody together; those that ended count for a while.
    pub jobs: Option<usize>,
}

/// The cluster that this machine belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slurm;

impl Slurm {
    /// How much it takes.
    ///
    /// # Errors
    /// When it is not here or does not answer.
    pub fn limits(self) -> Result<Limits, Refusal> {
        Ok(limits(&call("scontrol", &["show", "config"])?))
    }

    /// Names of the partitions.
    ///
    /// # Errors
    /// As for [`Slurm::limits`].
    pub fn partitions(self) -> Result<Vec<String>, Refusal> {
        let told = call("sinfo", &["--noheader", "--format=%R"])?;
        let mut names: Vec<String> = told.lines().map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Hands over a script; the number of the job.
    ///
    /// # Errors
    /// [`Refusal::Full`] at once, where `sbatch` would try again for minutes; else in Slurm's words.
    pub fn submit(self, script: &Path) -> Result<u64, Refusal> {
        let mut child = start("sbatch", &["--parsable".into(), script.display().to_string()])?;
        let mut errors = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("temporarily unable to accept job") {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Refusal::Full);
                }
                errors += &line;
                errors.push('\n');
            }
        }
        let told = end("sbatch", child, errors)?;
        // With several clusters: number;cluster.
        let number = told.trim().split(';').next().and_then(|number| number.parse().ok());
        number.ok_or_else(|| Refusal::Other(format!("sbatch says {}", told.trim())))
    }

    /// Tasks of these jobs that wait or run; those that it no longer knows are missing.
    ///
    /// # Errors
    /// When it is not here or does not answer.
    pub fn queue(self, jobs: &[u64]) -> Result<Queue, Refusal> {
        if jobs.is_empty() {
            return Ok(Queue::new());
        }
        let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
        let of = format!("--jobs={}", jobs.join(","));
        let told = call("squeue", &["--noheader", "--array", &of, "--format=%F|%K|%T|%r|%N"]);
        match told {
            Err(Refusal::Other(words)) if words.contains("Invalid job id") => Ok(Queue::new()),
            told => Ok(queue(&told?)),
        }
    }

    /// The state of one job, such as `RUNNING`.
    ///
    /// # Errors
    /// When Slurm does not know it, is not here or does not answer.
    pub fn state(self, job: u64) -> Result<String, Refusal> {
        let of = format!("--jobs={job}");
        Ok(call("squeue", &["--noheader", &of, "--format=%T"])?.trim().to_owned())
    }

    /// Queues a task again that runs or has ended.
    ///
    /// # Errors
    /// When Slurm does not.
    pub fn requeue(self, task: &str) -> Result<(), Refusal> {
        call("scontrol", &["requeue", task]).map(drop)
    }

    /// Ends jobs.
    ///
    /// # Errors
    /// When Slurm does not.
    pub fn cancel(self, jobs: &[u64]) -> Result<(), Refusal> {
        let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
        let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
        call("scancel", &jobs).map(drop)
    }
}

fn start(program: &str, arguments: &[String]) -> Result<Child, Refusal> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Refusal::Missing(program.into()),
        _ => Refusal::Other(format!("{program}: {error}")),
    })
}

/// Waits for a program whose standard error was read.
fn end(program: &str, mut child: Child, errors: String) -> Result<String, Refusal> {
    let failed = |error: std::io::Error| Refusal::Other(format!("{program}: {error}"));
    let mut told = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut told).map_err(failed)?;
    }
    if child.wait().map_err(failed)?.success() { Ok(told) } else { Err(refusal(&errors)) }
}

fn call(program: &str, arguments: &[&str]) -> Result<String, Refusal> {
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let output = start(program, &arguments)?.wait_with_output();
    let output = output.map_err(|error| Refusal::Other(format!("{program}: {error}")))?;
    if !output.status.success() {
        return Err(refusal(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What was said on standard error, without the names of who said it.
fn refusal(errors: &str) -> Refusal {
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
        Refusal::Away(lines.pop().unwrap_or_default())
    } else {
        Refusal::Other(words)
    }
}

fn limits(config: &str) -> Limits {
    let value = |name: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim_start().strip_prefix('=')?.trim().parse().ok())
    };
    // Indices stay below this number.
    Limits { array: value("MaxArraySize").unwrap_or(1001usize).max(1), jobs: value("MaxJobCount") }
}

fn queue(told: &str) -> Queue {
    let place = |line: &str| {
        let [job, index, state, reason, node] = line.split('|').collect::<Vec<_>>()[..] else {
            return None;
        };
        let task = (job.parse().ok()?, index.parse().ok()?);
        Some((task, Place { state: state.into(), reason: reason.into(), node: node.into() }))
    };
    told.lines().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_says_is_told_without_its_programs_names() {
        let words = "sbatch: error: invalid partition specified: nope\n\
                     sbatch: error: Batch job submission failed: Invalid partition name specified\n";
        let expected = "invalid partition specified: nope; Invalid partition name specified";
        assert_eq!(refusal(words), Refusal::Other(expected.into()));
        let gone = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n";
        let expected = "Unable to contact slurm controller (connect failure)";
        assert_eq!(refusal(gone), Refusal::Away(expected.into()));
    }

    #[test]
    fn tables_of_slurm_are_read() {
        let config = "MaxArraySize            = 101\nMaxJobCount             = 40\n";
        assert_eq!(limits(config), Limits { array: 101, jobs: Some(40) });
        assert_eq!(limits("").array, 1001);
        let told = "7|0|RUNNING|None|node[1-2]\n7|1|PENDING|Resources|\n9|N/A|RUNNING|None|a\n";
        let queue = queue(told);
        assert_eq!(queue.len(), 2, "what is no task of an array is none of ours");
        assert_eq!(queue[&(7, 0)].node, "node[1-2]");
        assert_eq!(queue[&(7, 1)].reason, "Resources");
    }
}
