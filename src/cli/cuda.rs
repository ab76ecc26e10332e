//! How a GPU is used, on the command line.

use super::Usage;
use anyhow::{Result, ensure};
use fathom_record::{CudaUse, SweepDir, SweepExecution};

/// Switches of what makes training on a GPU fast, so that the gain of each can be measured.
#[derive(clap::Args)]
#[command(next_help_heading = "GPUs")]
pub struct CudaFlags {
    /// Start an update's operations one by one, instead of recording them once and replaying them
    /// as a CUDA graph
    #[arg(long)]
    no_graphs: bool,
    /// Keep images in the processor's memory, and assemble batches there
    #[arg(long)]
    no_resident: bool,
    /// Use only algorithms that give the same bits every time
    #[arg(long)]
    deterministic: bool,
}

impl CudaFlags {
    /// What they say, for this device.
    ///
    /// # Errors
    /// When there is something to say and the device is no GPU.
    pub fn of(&self, device: &str) -> Result<CudaUse, Usage> {
        let cuda = CudaUse {
            graphs: !self.no_graphs,
            resident: !self.no_resident,
            deterministic: self.deterministic,
        };
        if device == "cpu" && cuda != CudaUse::default() {
            return Err(Usage(format!("{}: only on a GPU, and the device is cpu", words(cuda))));
        }
        Ok(cuda)
    }

    /// The same where runs have begun: how they did.
    ///
    /// # Errors
    /// When another way is asked for.
    pub fn bound(&self, stored: &SweepExecution, directory: &SweepDir) -> Result<CudaUse> {
        let asked = self.of(&stored.device)?;
        ensure!(
            asked == CudaUse::default() || asked == stored.cuda,
            "the runs in {} began with {}, and {} would change their last digits: leave it out, or \
             give another --out",
            directory.root().display(),
            words(stored.cuda),
            words(asked)
        );
        Ok(stored.cuda)
    }
}

/// As flags.
fn words(cuda: CudaUse) -> String {
    let all = [
        (!cuda.graphs, "--no-graphs"),
        (!cuda.resident, "--no-resident"),
        (cuda.deterministic, "--deterministic"),
    ];
    let set: Vec<&str> = all.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
    if set.is_empty() { "no switch of GPUs".to_owned() } else { set.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_of_gpus_are_refused_elsewhere_and_bind() {
        let none = CudaFlags { no_graphs: false, no_resident: false, deterministic: false };
        let eager = CudaFlags { no_graphs: true, no_resident: false, deterministic: true };
        assert_eq!(none.of("cpu").unwrap(), CudaUse::default());
        let message = eager.of("cpu").unwrap_err().to_string();
        assert_eq!(message, "--no-graphs --deterministic: only on a GPU, and the device is cpu");
        let directory = SweepDir::new("results/x");
        let cuda = eager.of("cuda:0").unwrap();
        let stored = SweepExecution { cuda, ..SweepExecution::new("cuda:1", 1) };
        assert_eq!(none.bound(&stored, &directory).unwrap(), cuda);
        assert_eq!(eager.bound(&stored, &directory).unwrap(), cuda);
        let fast = SweepExecution::new("cuda", 1);
        let message = eager.bound(&fast, &directory).unwrap_err().to_string();
        assert!(message.contains("began with no switch of GPUs"), "{message}");
    }
}
