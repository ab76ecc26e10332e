//! Flags of `fathom run --on slurm`.

use super::Usage;
use super::choice::choice;
use super::device::Device;
use super::options::{Machine, bound};
use anyhow::{Result, bail};
use fathom_base::choice;
use fathom_protocol::Probe;
use fathom_record::SweepDir;
use fathom_sweep::Options;
use fathom_sweep::slurm::Resources;

choice! {
    /// Where runs train.
    #[derive(Default)]
    enum On {
        /// On this machine
        #[default]
        Local,
        /// As tasks of a Slurm cluster
        Slurm,
    }
}

/// The command of the tasks of the array with a given number.
pub type TaskCommand<'a> = dyn Fn(u32) -> Result<Vec<String>> + 'a;

/// Flags for Slurm.
#[derive(clap::Args)]
#[command(next_help_heading = "Slurm")]
pub struct Flags {
    /// Where runs train
    #[arg(long, value_parser = choice::<On>(), default_value_t)]
    on: On,
    /// Partition [default: the cluster's]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Time limit of a task, such as 4:00:00; a task that is not done by then is resumed by a new one
    /// [default: the partition's]
    #[arg(long, value_name = "LIMIT")]
    time: Option<String>,
    /// Generic resources of a task [default: gpu:1 with --device cuda]
    #[arg(long, value_name = "GRES")]
    gres: Option<String>,
    /// Memory of a task, such as 4G [default: one and a half times what `fathom plan` says; with GPUs
    /// 8G for each concurrent run]
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,
    /// Number of runs of a task, of which --jobs train at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs_per_task: u32,
    /// Most tasks that run at the same time [default: as many as Slurm finds room for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    at_once: Option<u16>,
    /// Additional option of sbatch, such as --sbatch=--account=lab; may be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
}

impl Flags {
    /// Whether runs are submitted to Slurm.
    pub fn is_wanted(&self) -> bool {
        match self.on {
            On::Local => false,
            On::Slurm => true,
        }
    }

    /// Checks that flags which need `--on slurm`, or exclude it, are given accordingly.
    ///
    /// # Errors
    /// When they are not.
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

    /// What each task asks Slurm for.
    pub fn resources(&self) -> Resources {
        Resources {
            partition: self.partition.clone(),
            time: self.time.clone(),
            gres: self.gres.clone(),
            memory: self.mem.clone(),
            runs_per_task: self.runs_per_task as usize,
            at_once: self.at_once,
            sbatch: self.sbatch.clone(),
        }
    }

    /// How the tasks run their runs, on whichever nodes.
    ///
    /// # Errors
    /// When earlier runs bind to other options, or GPUs are requested and the worker has no CUDA.
    pub fn options(
        &self,
        machine: &Machine,
        probe: &Probe,
        directory: &SweepDir,
    ) -> Result<Options> {
        let options = self.options_without_worker(machine, directory)?;
        if let (false, Err(why)) = (options.on_cpu(), &probe.cuda_library) {
            bail!("--device cuda: {why}");
        }
        Ok(options)
    }

    /// The options of the submitted tasks, without a check that this machine's worker has CUDA.
    ///
    /// # Errors
    /// When earlier runs bind to other options.
    pub fn options_without_worker(
        &self,
        machine: &Machine,
        directory: &SweepDir,
    ) -> Result<Options> {
        let device = if self.on_gpu(machine, directory)? { "cuda:0" } else { "cpu" };
        let jobs = machine.jobs.number().unwrap_or(1);
        bound(machine, Options::new(vec![device.into()], jobs, 1), Some(directory))
    }

    /// Whether the tasks need a GPU: if that is requested, or earlier runs are on one. Slurm numbers
    /// the GPUs of a task from 0.
    fn on_gpu(&self, machine: &Machine, directory: &SweepDir) -> Result<bool> {
        let wants_gpu = |text: &String| text.contains("gpu");
        let earlier = directory.execution()?.map(|stored| stored.device);
        match &machine.device {
            Device::Cpu => Ok(false),
            Device::Cuda(indices) if indices.is_empty() => Ok(true),
            Device::Auto => Ok(match earlier.as_deref() {
                Some(device) => device == "cuda",
                None => self.gres.iter().chain(&self.sbatch).any(wants_gpu),
            }),
            listed @ Device::Cuda(_) => {
                let message = "with --on slurm expected auto, cpu or cuda: Slurm chooses the GPU";
                Err(Usage(format!("--device {listed}: {message}")).into())
            }
        }
    }
}
