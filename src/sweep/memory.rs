//! Memory of this machine, and memory that runs need.

use fathom_spec::Run;

/// Bytes that a worker needs in addition to its net: libtorch and the data set.
const WORKER: u64 = 400_000_000;

/// Bytes that are set aside for a run on the CPU.
pub fn reserved_memory(run: &Run) -> u64 {
    run.memory().saturating_add(WORKER)
}

/// Main memory as the kernel reports it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Installed memory.
    pub total: u64,
    /// Memory that programs can still get.
    pub available: u64,
}

impl Memory {
    /// Reads `/proc/meminfo`; `None` where the system does not say.
    pub fn of_this_machine() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { total: bytes("MemTotal:")?, available: bytes("MemAvailable:")? })
    }
}

/// Bytes of memory that programs can still get, within the limit of this process's control group;
/// `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    let free = Memory::of_this_machine()?.available;
    let limit = |file: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse().ok()
    };
    let left =
        limit("memory.max").and_then(|most| Some(most.saturating_sub(limit("memory.current")?)));
    Some(left.map_or(free, |left| left.min(free)))
}

/// Runs that need more memory than there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverMemory {
    /// Number of such runs.
    pub count: usize,
    /// Id of the run that needs most.
    pub largest: String,
    /// Bytes that this run needs.
    pub need: u64,
    /// Bytes that are available.
    pub available: u64,
}

impl OverMemory {
    /// Compares the bytes that each run needs with those available; `None` if all runs fit or the
    /// available memory is unknown.
    pub fn find(
        runs: &[Run],
        needs: impl IntoIterator<Item = u64>,
        available: Option<u64>,
    ) -> Option<Self> {
        let available = available?;
        let over: Vec<(&Run, u64)> =
            runs.iter().zip(needs).filter(|(_, need)| *need > available).collect();
        let (largest, need) = over.iter().max_by_key(|(_, need)| *need)?;
        Some(Self { count: over.len(), largest: largest.id.clone(), need: *need, available })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fathom_spec::Experiment;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       24689764 kB\nMemAvailable:   20000000 kB\nBuffers: 1 kB\n";
        let memory = Memory { total: 25_282_318_336, available: 20_480_000_000 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_net_that_is_too_large_is_named() {
        let text = "name = \"t\"\n[data]\nsource = \"cifar10\"\n[network]\nfamily = \"residual\"\n\
            [training]\niterations = 1\nbatch = 512\n[sweep]\n\"network.depth\" = [8, 1202]\n";
        let runs = Experiment::parse(std::path::Path::new("t.toml"), text, &[]).unwrap().runs;
        let find = |available| OverMemory::find(&runs, runs.iter().map(Run::memory), available);
        let over = find(Some(8 << 30)).unwrap();
        assert!(over.count == 1 && over.largest.contains("residual-1202"), "{over:?}");
        assert_eq!(find(Some(1 << 50)), None);
        assert_eq!(find(None), None);
    }
}
