//! The batch script of an array job.

use super::limit;
use fathom_base::quoted;
use std::fmt::Write;
use std::path::Path;

/// Seconds before its end at which a task is signalled, if its time limit is long enough.
const SIGNAL_LEAD: u64 = 120;

/// An array job and the command of its tasks.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// Working directory of the job; relative paths start here.
    pub folder: &'a Path,
    /// Path of the script without its ending; the logs are written beside it.
    pub stem: &'a Path,
    /// Number of tasks.
    pub tasks: usize,
    /// Most tasks that run at the same time.
    pub at_once: Option<u16>,
    /// Cores of one task.
    pub cpus: usize,
    /// Memory of one task, as `sbatch` takes it.
    pub memory: &'a str,
    /// Partition of the cluster.
    pub partition: Option<&'a str>,
    /// Time limit of one task.
    pub time: Option<&'a str>,
    /// Generic resources, such as `gpu:1`.
    pub gres: Option<&'a str>,
    /// Additional options of `sbatch`.
    pub more: &'a [String],
    /// Command of a task.
    pub command: &'a [String],
}

impl Script<'_> {
    /// The text of the script. Its shell is replaced by fathom (`exec`), so that fathom receives the
    /// signals; it returns the task to the queue when a time limit or a preemption ends it.
    pub fn text(&self) -> String {
        let mut text = "#!/bin/bash\n".to_owned();
        let mut option = |name: &str, value: &str| {
            let _ = writeln!(text, "#SBATCH --{name}={}", quoted(value));
        };
        let throttle = self.at_once.map(|most| format!("%{most}")).unwrap_or_default();
        let stem = self.stem.display().to_string().replace('%', "%%");
        option("job-name", &format!("fathom-{}", self.name));
        option("array", &format!("0-{}{throttle}", self.tasks.saturating_sub(1)));
        option("chdir", &self.folder.display().to_string());
        option("output", &format!("{stem}-%a.log"));
        option("open-mode", "append");
        option("ntasks", "1");
        option("cpus-per-task", &self.cpus.to_string());
        option("mem", self.memory);
        option("signal", &format!("B:USR1@{}", self.signal_lead()));
        for (name, value) in
            [("partition", self.partition), ("time", self.time), ("gres", self.gres)]
        {
            if let Some(value) = value {
                option(name, value);
            }
        }
        text += "#SBATCH --requeue\n";
        for more in self.more {
            let _ = writeln!(text, "#SBATCH {more}");
        }
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "exec {}", words.join(" "));
        text
    }

    /// Seconds before the time limit at which the task is signalled: time for a step and a checkpoint.
    fn signal_lead(&self) -> u64 {
        let limit = self.time.and_then(limit::seconds);
        limit.map_or(SIGNAL_LEAD, |limit| SIGNAL_LEAD.min(limit / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_asks_for_what_its_tasks_need() {
        let command = ["/opt/fathom", "task", "my results", "--array", "1"].map(str::to_owned);
        let more = ["--account=lab".to_owned()];
        let script = Script {
            name: "quick",
            folder: Path::new("/home/me"),
            stem: Path::new("my results/slurm/1"),
            tasks: 8,
            at_once: Some(4),
            cpus: 2,
            memory: "900M",
            partition: Some("gpu"),
            time: Some("4:00:00"),
            gres: Some("gpu:1"),
            more: &more,
            command: &command,
        };
        let expected = "#!/bin/bash\n\
            #SBATCH --job-name=fathom-quick\n\
            #SBATCH --array=0-7%4\n\
            #SBATCH --chdir=/home/me\n\
            #SBATCH --output='my results/slurm/1-%a.log'\n\
            #SBATCH --open-mode=append\n\
            #SBATCH --ntasks=1\n\
            #SBATCH --cpus-per-task=2\n\
            #SBATCH --mem=900M\n\
            #SBATCH --signal=B:USR1@120\n\
            #SBATCH --partition=gpu\n\
            #SBATCH --time=4:00:00\n\
            #SBATCH --gres=gpu:1\n\
            #SBATCH --requeue\n\
            #SBATCH --account=lab\n\
            exec /opt/fathom task 'my results' --array 1\n";
        assert_eq!(script.text(), expected);
        let short = Script { time: Some("2"), ..script };
        assert!(short.text().contains("--signal=B:USR1@30\n"), "a quarter of two minutes");
    }
}
