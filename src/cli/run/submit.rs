//! Submission to Slurm.

use super::report::report;
use super::{Args, Prepared};
use crate::stderr::log;
use crate::stdout;
use crate::text::{plural, word};
use crate::{slurm, task};
use anyhow::Result;
use fathom_data::locate::from_environment;
use fathom_record::SweepDir;
use fathom_spec::Experiment;
use fathom_sweep::slurm::{Resources, Submission, SubmissionReport, SubmittedArray};
use fathom_sweep::{Options, Shutdown, SweepReport};
use std::process::ExitCode;

/// Prints the script of the first array.
///
/// # Errors
/// When the directory's files are damaged.
pub fn preview(args: &Args, experiment: &Experiment, directory: &SweepDir) -> Result<()> {
    let options = args.slurm.options_without_worker(&args.machine, directory)?;
    let resources = args.slurm.resources();
    let command = task_command(args, directory, &options);
    let submission = submission(experiment, directory, &options, &resources, &command);
    let (tasks, script) = submission.preview()?;
    stdout::write(script)?;
    log(format!("{} runs in {tasks} tasks; nothing was submitted", experiment.runs.len()));
    Ok(())
}

impl Prepared<'_> {
    /// Submits the runs that are left; when there are none, reports the results.
    pub(super) fn submit(mut self) -> Result<ExitCode> {
        let (args, directory) = (self.args, self.directory);
        let resources = args.slurm.resources();
        loop {
            let found = self.submit_rest(&resources)?;
            if found.submitted + found.queued > 0 {
                describe(&found, directory);
                if self.has_second_stage_ahead() {
                    log("the same command submits the second stage when these runs are done");
                }
                return Ok(ExitCode::SUCCESS);
            }
            if self.add_runs()?.is_empty() {
                directory.load()?.write(&directory.curves())?;
                let nothing = SweepReport::default();
                return report(
                    &self.experiment,
                    directory,
                    args.format,
                    &nothing,
                    &Shutdown::new(),
                );
            }
        }
    }

    fn submit_rest(&self, resources: &Resources) -> Result<SubmissionReport> {
        let Self { args, experiment, directory, options } = self;
        let command = task_command(args, directory, options);
        let submission = submission(experiment, directory, options, resources, &command);
        submission.submit(&mut |SubmittedArray { job, runs, tasks }| {
            log(format!("job {job}: {} in {}", plural(runs, "run"), plural(tasks, "task")));
        })
    }
}

fn describe(found: &SubmissionReport, directory: &SweepDir) {
    let root = word(directory.root());
    let SubmissionReport { done, queued, submitted } = found;
    if *submitted == 0 {
        log(format!("{done} runs are done, {queued} wait or run: fathom status {root}"));
        return;
    }
    if done + queued > 0 {
        log(format!("{done} runs were done before, {queued} waited or ran"));
    }
    log(format!("fathom status {root} shows them, fathom cancel {root} cancels them"));
}

fn submission<'a>(
    experiment: &'a Experiment,
    directory: &'a SweepDir,
    options: &'a Options,
    resources: &'a Resources,
    task_command: &'a slurm::TaskCommand,
) -> Submission<'a> {
    let (name, runs) = (&experiment.name, &experiment.runs);
    Submission { name, runs, directory, options, resources, task_command }
}

fn task_command<'a>(
    args: &'a Args,
    directory: &'a SweepDir,
    options: &'a Options,
) -> impl Fn(u32) -> Result<Vec<String>> + 'a {
    let jobs = options.jobs;
    // The tasks may start without the environment of this command.
    let data_dir = options.data_dir.clone().or_else(from_environment);
    let (checkpoint, keep_state, sets) = (args.checkpoint, args.keep_state, &args.chosen.sets);
    move |array| {
        let data_dir = data_dir.as_deref();
        task::command(directory, array, jobs, checkpoint, keep_state, data_dir, sets)
    }
}
