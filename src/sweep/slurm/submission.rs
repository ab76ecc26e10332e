//! Submission of runs as array jobs.

use super::script::Script;
use super::{Limits, Slurm, SlurmError};
use crate::worker_slot::order;
use crate::{Options, reserved_memory};
use anyhow::{Result, anyhow};
use fathom_base::write_atomically;
use fathom_record::{SCHEMA, SweepDir, TaskArray};
use fathom_spec::Run;

/// What each task asks Slurm for; `None` is the default of the cluster or of [`Submission`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Partition of the cluster.
    pub partition: Option<String>,
    /// Time limit, as `sbatch` takes it.
    pub time: Option<String>,
    /// Generic resources, such as `gpu:1`.
    pub gres: Option<String>,
    /// Memory, as `sbatch` takes it.
    pub memory: Option<String>,
    /// Number of runs of one task, at least 1.
    pub runs_per_task: usize,
    /// Most tasks that run at the same time.
    pub at_once: Option<u16>,
    /// Additional options of `sbatch`.
    pub sbatch: Vec<String>,
}

/// Runs to be submitted.
pub struct Submission<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// All runs of the experiment, whether done or not.
    pub runs: &'a [Run],
    /// The results directory.
    pub directory: &'a SweepDir,
    /// How the tasks run their runs.
    pub options: &'a Options,
    /// What each task asks for.
    pub resources: &'a Resources,
    /// The command of the tasks of the array with this number.
    pub task_command: &'a dyn Fn(u32) -> Result<Vec<String>>,
}

/// An array job that Slurm has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmittedArray {
    /// Number of the job.
    pub job: u64,
    /// Number of runs.
    pub runs: usize,
    /// Number of tasks.
    pub tasks: usize,
}

/// Result of a submission, in numbers of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmissionReport {
    /// Runs that were done before.
    pub done: usize,
    /// Runs that waited or ran before.
    pub queued: usize,
    /// Runs that were submitted.
    pub submitted: usize,
}

impl Submission<'_> {
    /// The number of tasks, and the script of an array with all of them, without submitting it.
    ///
    /// # Errors
    /// When the command of a task cannot be made.
    pub fn preview(&self) -> Result<(usize, String)> {
        let tasks = self.tasks(self.runs.iter().collect());
        Ok((tasks.len(), self.script(1, &tasks)?))
    }

    /// Submits the runs that are not done and do not wait or run already. `on_array` is called for
    /// each array that Slurm accepts.
    ///
    /// # Errors
    /// When Slurm refuses. Arrays accepted before are recorded, and are not submitted again.
    pub fn submit(&self, on_array: &mut dyn FnMut(SubmittedArray)) -> Result<SubmissionReport> {
        let none = |error: SlurmError| anyhow!("{error}: nothing was submitted");
        let directory = self.directory;
        let jobs: Vec<u64> = directory.arrays()?.values().filter_map(|array| array.job).collect();
        let queue = Slurm.queue(&jobs).map_err(none)?;
        let tasks_of_runs = directory.tasks_of_runs()?;
        let (mut left, mut report) = (Vec::new(), SubmissionReport::default());
        for run in self.runs {
            if directory.run(&run.id).status()?.state.is_final() {
                report.done += 1;
            } else if tasks_of_runs.get(&run.id).is_some_and(|task| queue.contains_key(task)) {
                report.queued += 1;
            } else {
                left.push(run);
            }
        }
        if left.is_empty() {
            return Ok(report);
        }
        report.submitted = left.len();
        let limits = Slurm.limits().map_err(none)?;
        let tasks = self.tasks(left);
        // No number is used again: Slurm may have accepted an array whose job is not known here, as this program was
        // killed before it wrote it.
        let mut number = directory.arrays()?.into_keys().max().unwrap_or_default();
        let mut submitted = 0;
        for chunk in tasks.chunks(limits.array) {
            number += 1;
            let job = self.submit_array(number, chunk).map_err(|error| {
                let error = with_advice(error, &limits);
                match submitted {
                    0 => anyhow!("{error}: nothing was submitted"),
                    _ => anyhow!(
                        "{error}: {submitted} of {} tasks were submitted; the same command \
                         submits the rest",
                        tasks.len()
                    ),
                }
            })?;
            submitted += chunk.len();
            let runs = chunk.iter().map(Vec::len).sum();
            on_array(SubmittedArray { job, runs, tasks: chunk.len() });
        }
        Ok(report)
    }

    /// Ids of the runs of each task, in the order in which a local sweep would begin them.
    fn tasks(&self, mut runs: Vec<&Run>) -> Vec<Vec<String>> {
        order(&mut runs);
        let ids = |runs: &[&Run]| runs.iter().map(|run| run.id.clone()).collect();
        runs.chunks(self.resources.runs_per_task).map(ids).collect()
    }

    /// Writes and submits one array; the number of its job.
    fn submit_array(&self, number: u32, tasks: &[Vec<String>]) -> Result<u64> {
        let directory = self.directory;
        let mut array = TaskArray { schema: SCHEMA, job: None, tasks: tasks.to_vec() };
        directory.write_array(number, &array)?;
        let script = directory.array_script(number);
        write_atomically(&script, self.script(number, tasks)?.as_bytes())?;
        let job = Slurm.submit(&script)?;
        array.job = Some(job);
        directory.write_array(number, &array)?;
        Ok(job)
    }

    fn script(&self, number: u32, tasks: &[Vec<String>]) -> Result<String> {
        let Self { options, resources, .. } = self;
        let memory = match &resources.memory {
            Some(memory) => memory.clone(),
            None if options.on_cpu() => megabytes(self.runs, options.jobs),
            None => format!("{}G", 8 * options.jobs),
        };
        let chooses_gpu =
            |option: &String| option.starts_with("--gpu") || option.starts_with("--gres");
        let gres = match &resources.gres {
            None if !options.on_cpu() && !resources.sbatch.iter().any(chooses_gpu) => Some("gpu:1"),
            gres => gres.as_deref(),
        };
        Ok(Script {
            name: self.name,
            folder: &std::env::current_dir()?,
            stem: &self.directory.array_script(number).with_extension(""),
            tasks: tasks.len(),
            at_once: resources.at_once,
            cpus: options.jobs * options.threads,
            memory: &memory,
            partition: resources.partition.as_deref(),
            time: resources.time.as_deref(),
            gres,
            more: &resources.sbatch,
            command: &(self.task_command)(number)?,
        }
        .text())
    }
}

/// Memory for the `jobs` largest runs at the same time, and half as much again.
fn megabytes(runs: &[Run], jobs: usize) -> String {
    let mut needs: Vec<u64> = runs.iter().map(reserved_memory).collect();
    needs.sort_unstable_by(|a, b| b.cmp(a));
    let bytes: u64 = needs.iter().take(jobs).fold(0, |sum, need| sum.saturating_add(*need));
    format!("{}M", bytes.saturating_add(bytes / 2).div_ceil(1_000_000))
}

/// The message of an error of a submission, with what would help.
fn with_advice(error: anyhow::Error, limits: &Limits) -> String {
    let text = format!("{error:#}");
    match error.downcast_ref::<SlurmError>() {
        Some(SlurmError::QueueFull) => {
            let most =
                limits.jobs.map(|most| format!(" (MaxJobCount = {most})")).unwrap_or_default();
            format!("{text}{most}; --runs-per-task makes fewer tasks")
        }
        Some(SlurmError::Refused(words)) if words.contains("artition") => {
            match Slurm.partitions() {
                Ok(names) if !names.is_empty() => format!("{text}; there are {}", names.join(", ")),
                Ok(_) | Err(_) => text,
            }
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{directory, options, runs};

    #[test]
    fn a_preview_has_the_resources_that_the_runs_need() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, runs) = (directory(&folder), runs());
        let preview = |options: &Options, resources: &Resources| {
            Submission {
                name: "t",
                runs: &runs,
                directory: &directory,
                options,
                resources,
                task_command: &|number| Ok(vec!["fathom".into(), number.to_string()]),
            }
            .preview()
            .unwrap()
        };
        let resources = Resources { runs_per_task: 3, ..Resources::default() };
        let (tasks, script) = preview(&options(2), &resources);
        assert_eq!(tasks, 2);
        for line in ["array=0-1", "cpus-per-task=2", &format!("mem={}", megabytes(&runs, 2))] {
            assert!(script.contains(&format!("\n#SBATCH --{line}\n")), "{line}: {script}");
        }
        assert!(!script.contains("gres") && script.ends_with("\nexec fathom 1\n"), "{script}");
        let on_gpu = Options { devices: vec!["cuda:0".into()], ..options(2) };
        let (_, script) = preview(&on_gpu, &resources);
        assert!(script.contains("--mem=16G\n") && script.contains("--gres=gpu:1\n"), "{script}");
        let chosen = Resources { sbatch: vec!["--gpus=2".into()], ..resources };
        assert!(!preview(&on_gpu, &chosen).1.contains("gres"), "the user chose GPUs");
    }
}
