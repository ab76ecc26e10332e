//! Devices, jobs, threads and memory: from what was asked for, what the machine has and what the
//! directory's earlier runs had.

use super::choice::choice;
use super::cuda::CudaFlags;
use super::{Usage, gpus};
use anyhow::{Result, ensure};
use fathom_gpu::ThisMachine;
use fathom_protocol::{Interval, Probe};
use fathom_record::{Layout, Layouts, SweepDir, SweepExecution};
use fathom_sweep::{Options, available_memory};
use std::path::PathBuf;
use std::time::Duration;

/// What of the machine runs may have.
#[derive(clap::Args)]
pub struct Machine {
    /// auto, cpu, cuda, or cuda:0,1
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Runs side by side on each device [default: one per core on the CPU, one on a GPU]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Threads of one run [default: the cores, dealt out to the runs side by side]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Order of activations in memory [default: the faster one, measured for each width, size and
    /// batch]
    #[arg(long, value_parser = choice::<Layout>())]
    pub layout: Option<Layout>,
    /// Gigabytes that runs side by side on the CPU may need together [default: what is free]
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    pub memory: Option<u64>,
    /// Where data sets lie
    #[arg(long, value_name = "DIR", env = "FATHOM_DATA")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub cuda: CudaFlags,
}

fn gigabytes(text: &str) -> Result<u64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
    let number = number.ok_or("expected a number of gigabytes, such as 6 or 0.5")?;
    Ok((number * 1e9) as u64)
}

/// How so many runs are run in this directory, or in a new one; layouts are another matter.
///
/// # Errors
/// When the machine has no such device, or earlier runs bind to other ones.
pub fn options(
    args: &Machine,
    probe: &Probe,
    runs: usize,
    directory: Option<&SweepDir>,
) -> Result<Options> {
    let stored = directory.map(SweepDir::execution).transpose()?.flatten();
    let devices = match &stored {
        Some(stored) if args.device == "auto" => devices(&stored.device, probe)?,
        _ => devices(&args.device, probe)?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let on_cpu = devices[0] == "cpu";
    // Small nets side by side on one thread each do more work than one on all cores.
    let jobs = args.jobs.map_or(if on_cpu { cores.min(runs.max(1)) } else { 1 }, usize::from);
    let threads = share(jobs * devices.len());
    with(args, devices, (jobs, threads), directory)
}

/// The same for given devices and runs side by side on each, and so many threads unless another
/// number binds or is asked for.
///
/// # Errors
/// When earlier runs bind to other ones.
pub fn with(
    args: &Machine,
    devices: Vec<String>,
    (jobs, threads): (usize, usize),
    directory: Option<&SweepDir>,
) -> Result<Options> {
    let stored = directory.map(SweepDir::execution).transpose()?.flatten();
    let asked = args.threads.map(usize::from);
    let threads = match (&stored, directory) {
        (Some(stored), Some(directory)) => {
            bind(stored, &devices[0], asked, directory)?;
            stored.threads
        }
        _ => asked.unwrap_or(threads),
    };
    let on_cpu = devices[0] == "cpu";
    let cuda = match (&stored, directory) {
        (Some(stored), Some(directory)) => args.cuda.bound(stored, directory)?,
        _ => args.cuda.of(&devices[0])?,
    };
    Ok(Options {
        jobs,
        threads,
        layouts: Layouts::default(),
        cuda,
        memory: if on_cpu { args.memory.or_else(available_memory) } else { None },
        checkpoint: Interval::default(),
        data_dir: args.data_dir.clone(),
        stand_in: false,
        second: Duration::from_secs(1),
        devices,
    })
}

/// Threads of each of so many processes side by side, when nobody says: `OMP_NUM_THREADS`, else the
/// cores, dealt out.
pub fn share(processes: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let omp = std::env::var("OMP_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    omp.filter(|threads| *threads > 0).unwrap_or_else(|| (cores / processes).max(1))
}

/// Refuses what would change the last digits of results that have begun.
fn bind(
    stored: &SweepExecution,
    device: &str,
    threads: Option<usize>,
    directory: &SweepDir,
) -> Result<()> {
    let root = directory.root().display();
    let asked = SweepExecution::new(device, threads.unwrap_or(stored.threads));
    let remedy = "would change their last digits: leave it out, or give another --out";
    ensure!(
        asked.device == stored.device,
        "the runs in {root} are on {}, and --device {device} {remedy}",
        stored.device
    );
    ensure!(
        asked.threads == stored.threads,
        "the runs in {root} have {} threads each, and --threads {} {remedy}",
        stored.threads,
        asked.threads
    );
    Ok(())
}

/// The devices of this name, as the worker knows them.
///
/// # Errors
/// When the name is none, or the machine has no such device; for `auto` also when it has GPUs that
/// CUDA cannot use.
pub fn devices(asked: &str, probe: &Probe) -> Result<Vec<String>> {
    if asked == "cpu" {
        return Ok(vec!["cpu".into()]);
    }
    let usable = probe.cuda_devices;
    if asked == "auto" {
        return Ok(vec![gpus::auto(probe, &ThisMachine)?]);
    }
    let list = match asked.strip_prefix("cuda") {
        Some("") => "0",
        Some(rest) => rest.strip_prefix(':').unwrap_or("?"),
        None => "?",
    };
    let indices: Result<Vec<i64>, _> = list.split(',').map(str::parse).collect();
    let indices = indices.map_err(|_| {
        Usage(format!("--device {asked}: valid are auto, cpu, cuda, cuda:0, cuda:0,1"))
    })?;
    if let Err(why) = &probe.cuda_library {
        anyhow::bail!("--device {asked}: {why}");
    }
    for (place, index) in indices.iter().enumerate() {
        ensure!(
            !indices[..place].contains(index),
            Usage(format!(
                "--device {asked}: {index} is listed twice; --jobs 2 trains two runs side by side \
                 on each GPU"
            ))
        );
        ensure!(
            (0..usable).contains(index),
            "--device {asked}: libtorch sees {usable} CUDA devices; `fathom doctor` says more"
        );
    }
    Ok(indices.into_iter().map(|index| format!("cuda:{index}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_listed_once_and_must_be_there() {
        let probe = gpus::tests::probe(2);
        let names = |asked| devices(asked, &probe);
        assert_eq!(names("cpu").unwrap(), ["cpu"]);
        assert_eq!(names("cuda").unwrap(), ["cuda:0"]);
        assert_eq!(names("cuda:1,0").unwrap(), ["cuda:1", "cuda:0"]);
        let twice = names("cuda:0,0").unwrap_err();
        assert!(twice.is::<Usage>());
        assert!(twice.to_string().starts_with("--device cuda:0,0: 0 is listed twice"), "{twice}");
        let absent = names("cuda:2").unwrap_err().to_string();
        assert!(absent.contains("libtorch sees 2 CUDA devices"), "{absent}");
        assert!(names("gpu").unwrap_err().is::<Usage>());
    }

    #[test]
    fn what_earlier_runs_had_binds() {
        let directory = SweepDir::new("results/x");
        let stored = SweepExecution::new("cpu", 2);
        bind(&stored, "cpu", None, &directory).unwrap();
        bind(&stored, "cpu", Some(2), &directory).unwrap();
        let refused =
            |device, threads| bind(&stored, device, threads, &directory).unwrap_err().to_string();
        let message = refused("cpu", Some(1));
        let expected = "the runs in results/x have 2 threads each, and --threads 1 would change \
                        their last digits: leave it out, or give another --out";
        assert_eq!(message, expected);
        assert!(refused("cuda:1", None).contains("are on cpu, and --device cuda:1 would change"));
    }
}
