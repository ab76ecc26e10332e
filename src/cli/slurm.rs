//! `fathom run --on slurm`: runs become the tasks of array jobs.

use super::Usage;
use super::options::{Machine, with};
use super::stderr::{say, so_many};
use anyhow::{Context, Result, anyhow, bail};
use fathom_base::write_atomically;
use fathom_protocol::{Interval, Probe};
use fathom_record::{SCHEMA, SweepDir, TaskArray};
use fathom_spec::Run;
use fathom_sweep::slurm::{Limits, Refusal, Script, Slurm, tasks};
use fathom_sweep::{Options, reserved};
use std::path::{Path, PathBuf};

/// Where runs are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// On this machine
    #[default]
    Local,
    /// As tasks of a Slurm cluster
    Slurm,
}

/// What is asked of Slurm.
#[derive(clap::Args)]
#[command(next_help_heading = "Slurm")]
pub struct Flags {
    /// Where runs are run
    #[arg(long, value_enum, default_value_t)]
    on: On,
    /// Partition [default: the cluster's]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Time limit of a task, such as 4:00:00; a task that is not done by then goes on in a new one
    /// [default: the partition's]
    #[arg(long, value_name = "LIMIT")]
    time: Option<String>,
    /// Generic resources of a task [default: gpu:1 with --device cuda]
    #[arg(long, value_name = "GRES")]
    gres: Option<String>,
    /// Memory of a task, such as 4G [default: what plan says and half as much again; with GPUs 8G
    /// for each run side by side]
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,
    /// Runs that a task trains, --jobs of them side by side, the rest one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs_per_task: u32,
    /// Tasks that may run at once [default: as many as Slurm finds room for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    at_once: Option<u16>,
    /// A further option of sbatch, such as --sbatch=--account=lab; may be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
}

/// Runs, and what of the command line their tasks must know.
pub struct Order<'a> {
    /// Of the experiment.
    pub name: &'a str,
    /// Those that are wanted, done or not.
    pub runs: &'a [Run],
    /// Of the results.
    pub directory: &'a SweepDir,
    /// `--set`.
    pub sets: &'a [String],
    /// What of a machine runs may have.
    pub machine: &'a Machine,
    /// `--checkpoint`.
    pub checkpoint: Option<Interval>,
}

impl Flags {
    /// Whether runs go to Slurm.
    pub fn is_wanted(&self) -> bool {
        self.on == On::Slurm
    }

    /// # Errors
    /// When something is asked for that has no meaning where the runs go.
    pub fn check(&self, smoke: bool, max_hours: bool) -> Result<(), Usage> {
        let given = [
            (self.partition.is_some(), "--partition"),
            (self.time.is_some(), "--time"),
            (self.gres.is_some(), "--gres"),
            (self.mem.is_some(), "--mem"),
            (self.runs_per_task != 1, "--runs-per-task"),
            (self.at_once.is_some(), "--at-once"),
            (!self.sbatch.is_empty(), "--sbatch"),
        ];
        let given: Vec<&str> =
            given.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        if !self.is_wanted() && !given.is_empty() {
            return Err(Usage(format!("{}: only with --on slurm", given.join(", "))));
        }
        for (set, name, instead) in
            [(smoke, "--smoke", "try it here first"), (max_hours, "--max-hours", "see --time")]
        {
            if self.is_wanted() && set {
                return Err(Usage(format!("{name}: not with --on slurm: {instead}")));
            }
        }
        Ok(())
    }

    /// `cpu`, or `cuda` where that or a GPU is asked for, or runs have begun on one.
    fn device(&self, machine: &Machine, directory: &SweepDir) -> Result<&'static str> {
        let wants_gpu = |text: &String| text.contains("gpu");
        let before = directory.execution()?.map(|stored| stored.device);
        Ok(match machine.device.as_str() {
            "cpu" => "cpu",
            "cuda" => "cuda",
            "auto" => match before.as_deref() {
                Some("cuda") => "cuda",
                None if self.gres.iter().chain(&self.sbatch).any(wants_gpu) => "cuda",
                _ => "cpu",
            },
            other => {
                let message = "with --on slurm expected auto, cpu or cuda: Slurm chooses the GPU";
                return Err(Usage(format!("--device {other}: {message}")).into());
            }
        })
    }

    /// How the tasks run their runs: on whatever machines, the same for all.
    ///
    /// # Errors
    /// When earlier runs bind to another way, or GPUs are asked for and the worker has no CUDA.
    pub fn options(
        &self,
        machine: &Machine,
        probe: &Probe,
        directory: &SweepDir,
    ) -> Result<Options> {
        let device = self.device(machine, directory)?;
        if let (false, Err(why)) = (device == "cpu", &probe.cuda_library) {
            bail!("--device cuda: {why}");
        }
        // Each GPU is the first one of its task.
        let device = if device == "cpu" { "cpu" } else { "cuda:0" };
        let jobs = machine.jobs.map_or(1, usize::from);
        with(machine, vec![device.into()], (jobs, 1), Some(directory))
    }

    /// Prints the script of the first array.
    ///
    /// # Errors
    /// When the directory's files are damaged.
    pub fn show(&self, order: &Order) -> Result<()> {
        let device = self.device(order.machine, order.directory)?;
        let jobs = order.machine.jobs.map_or(1, usize::from);
        let options = with(order.machine, vec![device.into()], (jobs, 1), Some(order.directory))?;
        let all: Vec<&Run> = order.runs.iter().collect();
        let tasks = tasks(all, self.runs_per_task as usize);
        print!("{}", self.script(order, &options, 1, &tasks)?);
        say(format!("{} runs in {} tasks; nothing was submitted", order.runs.len(), tasks.len()));
        Ok(())
    }

    /// Hands over what is neither done nor waits or runs already; false when nothing of the sort is
    /// left, nor waits or runs.
    ///
    /// # Errors
    /// When Slurm refuses. What it took before is kept, and not handed over again.
    pub fn submit(&self, order: &Order, options: &Options) -> Result<bool> {
        let Order { directory, runs, .. } = order;
        let refused = |refusal: Refusal| anyhow!("{refusal}: nothing was submitted");
        let jobs: Vec<u64> = directory.arrays()?.values().filter_map(|array| array.job).collect();
        let queue = Slurm.queue(&jobs).map_err(refused)?;
        let given = directory.tasks_of_runs()?;
        let (mut left, mut queued, mut done) = (Vec::new(), 0, 0);
        for run in *runs {
            if directory.run(&run.id).status()?.state.is_final() {
                done += 1;
            } else if given.get(&run.id).is_some_and(|task| queue.contains_key(task)) {
                queued += 1;
            } else {
                left.push(run);
            }
        }
        let root = directory.root().display();
        if left.is_empty() {
            if queued > 0 {
                say(format!("{done} runs are done, {queued} wait or run: fathom status {root}"));
            }
            return Ok(queued > 0);
        }
        let limits = Slurm.limits().map_err(refused)?;
        let tasks = tasks(left, self.runs_per_task as usize);
        let (mut submitted, all) = (0, tasks.len());
        // One that was not taken is written anew.
        let taken = directory.arrays()?.into_iter().filter(|(_, array)| array.job.is_some());
        let mut number = taken.map(|(number, _)| number).max().unwrap_or_default();
        for tasks in tasks.chunks(limits.array) {
            number += 1;
            let job = self.array(order, options, number, tasks).map_err(|error| {
                let error = in_context(error, &limits);
                match submitted {
                    0 => anyhow!("{error}: nothing was submitted"),
                    _ => anyhow!(
                        "{error}: {submitted} of {all} tasks were submitted; the same command \
                         submits the rest"
                    ),
                }
            })?;
            submitted += tasks.len();
            let runs: usize = tasks.iter().map(Vec::len).sum();
            say(format!("job {job}: {} in {}", so_many(runs, "run"), so_many(tasks.len(), "task")));
        }
        if done + queued > 0 {
            say(format!("{done} runs were done before, {queued} waited or ran"));
        }
        say(format!("fathom status {root} shows them, fathom cancel {root} takes them back"));
        Ok(true)
    }

    /// Writes and submits one array.
    fn array(
        &self,
        order: &Order,
        options: &Options,
        number: u32,
        tasks: &[Vec<String>],
    ) -> Result<u64> {
        let directory = order.directory;
        let mut array = TaskArray { schema: SCHEMA, job: None, tasks: tasks.to_vec() };
        directory.write_array(number, &array)?;
        let script = directory.array_script(number);
        write_atomically(&script, self.script(order, options, number, tasks)?.as_bytes())?;
        let job = Slurm.submit(&script)?;
        array.job = Some(job);
        directory.write_array(number, &array)?;
        Ok(job)
    }

    fn script(
        &self,
        order: &Order,
        options: &Options,
        number: u32,
        tasks: &[Vec<String>],
    ) -> Result<String> {
        let on_cpu = options.devices[0] == "cpu";
        let memory = match &self.mem {
            Some(memory) => memory.clone(),
            None if on_cpu => megabytes(order.runs, options.jobs),
            None => format!("{}G", 8 * options.jobs),
        };
        let chooses_gpu =
            |option: &String| option.starts_with("--gpu") || option.starts_with("--gres");
        let gres = match &self.gres {
            None if !on_cpu && !self.sbatch.iter().any(chooses_gpu) => Some("gpu:1"),
            gres => gres.as_deref(),
        };
        let stem = order.directory.array_script(number).with_extension("");
        Ok(Script {
            name: order.name,
            folder: &std::env::current_dir()?,
            stem: &stem,
            tasks: tasks.len(),
            at_once: self.at_once,
            cpus: options.jobs * options.threads,
            memory: &memory,
            partition: self.partition.as_deref(),
            time: self.time.as_deref(),
            gres,
            more: &self.sbatch,
            command: &command(order, options, number)?,
        }
        .text())
    }
}

/// What a task runs: this program, with what its workers must know.
fn command(order: &Order, options: &Options, number: u32) -> Result<Vec<String>> {
    let text = |path: &Path| -> Result<String> {
        path.to_str().map(str::to_owned).with_context(|| format!("{} is no text", path.display()))
    };
    let program = std::env::current_exe().context("where is this program?")?;
    let mut command = vec![text(&program)?, "task".into(), text(order.directory.root())?];
    let mut option = |name: &str, value: String| command.extend([name.to_owned(), value]);
    option("--array", number.to_string());
    option("--jobs", options.jobs.to_string());
    if let Some(interval) = order.checkpoint {
        option("--checkpoint", interval.to_string());
    }
    if let Some(folder) = &order.machine.data_dir {
        option("--data-dir", text(&absolute(folder)?)?);
    }
    for set in order.sets {
        option("--set", set.clone());
    }
    Ok(command)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

/// Memory for the largest of these runs side by side, and half as much again.
fn megabytes(runs: &[Run], jobs: usize) -> String {
    let mut needs: Vec<u64> = runs.iter().map(reserved).collect();
    needs.sort_unstable_by(|a, b| b.cmp(a));
    let bytes: u64 = needs.iter().take(jobs).fold(0, |sum, need| sum.saturating_add(*need));
    format!("{}M", bytes.saturating_add(bytes / 2).div_ceil(1_000_000))
}

/// Why Slurm refused an array, with what would help.
fn in_context(error: anyhow::Error, limits: &Limits) -> String {
    let text = format!("{error:#}");
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Full) => {
            let most =
                limits.jobs.map(|most| format!(" (MaxJobCount = {most})")).unwrap_or_default();
            format!("{text}{most}; --runs-per-task makes fewer tasks")
        }
        Some(Refusal::Other(words)) if words.contains("artition") => match Slurm.partitions() {
            Ok(names) if !names.is_empty() => format!("{text}; there are {}", names.join(", ")),
            _ => text,
        },
        _ => text,
    }
}
