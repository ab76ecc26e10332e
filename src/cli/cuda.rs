//! Flags on how GPUs are used.

use super::Usage;
use super::choice::choice;
use super::mps::Mps;
use anyhow::{Result, ensure};
use fathom_record::{CudaUse, SweepDir, SweepExecution};

/// Switches for techniques that make training on a GPU fast, so that the gain of each can be measured.
#[derive(Clone, Copy, clap::Args)]
#[command(next_help_heading = "GPUs")]
pub struct CudaFlags {
    /// Start the operations of an update one by one, instead of replaying them as a CUDA graph
    #[arg(long)]
    no_graphs: bool,
    /// Keep images in the memory of the host and assemble batches there
    #[arg(long)]
    no_resident: bool,
    /// Compute batch normalisation, additions and ReLU by libtorch's kernels, instead of fused ones
    #[arg(long)]
    no_fused: bool,
    /// Whether runs that share a GPU use NVIDIA's Multi-Process Service (MPS)
    #[arg(long, value_parser = choice::<Mps>(), default_value_t)]
    pub mps: Mps,
    /// Use only algorithms that give the same bits every time
    #[arg(long)]
    deterministic: bool,
}

impl CudaFlags {
    /// How GPUs are used, for runs on this device.
    ///
    /// # Errors
    /// When a flag is given and the device is no GPU.
    pub fn of(&self, device: &str) -> Result<CudaUse, Usage> {
        let cuda = CudaUse {
            graphs: !self.no_graphs,
            resident: !self.no_resident,
            deterministic: self.deterministic,
            fused: !self.no_fused,
        };
        if device == "cpu" && cuda != CudaUse::default() {
            return Err(Usage(format!("{}: only on a GPU, and the device is cpu", flags(cuda))));
        }
        Ok(cuda)
    }

    /// How GPUs are used in a directory whose runs have begun: as these did.
    ///
    /// # Errors
    /// When the flags differ from that.
    pub fn bound(&self, stored: &SweepExecution, directory: &SweepDir) -> Result<CudaUse> {
        let asked = self.of(&stored.device)?;
        ensure!(
            asked == CudaUse::default() || asked == stored.cuda,
            "the runs in {} began with {}, and {} would change their last digits: leave it out, or \
             give another --out",
            directory.root().display(),
            flags(stored.cuda),
            flags(asked)
        );
        Ok(stored.cuda)
    }
}

/// The flags that stand for `cuda`.
fn flags(cuda: CudaUse) -> String {
    let all = [
        (!cuda.graphs, "--no-graphs"),
        (!cuda.resident, "--no-resident"),
        (!cuda.fused, "--no-fused"),
        (cuda.deterministic, "--deterministic"),
    ];
    let set: Vec<&str> = all.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
    if set.is_empty() { "no GPU flags".to_owned() } else { set.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpu_flags_are_refused_on_the_cpu_and_bind_later_runs() {
        let none = CudaFlags {
            no_graphs: false,
            no_resident: false,
            no_fused: false,
            deterministic: false,
            mps: Mps::Auto,
        };
        let eager = CudaFlags { no_graphs: true, deterministic: true, ..none };
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
        assert!(message.contains("began with no GPU flags"), "{message}");
    }
}
