//! Training on the emulated CUDA device of `tests/cuda`: host memory and the CPU's kernels, strict as
//! a device. Agreement here is the CPU's kernels against themselves: it proves the plumbing, never
//! CUDA's numerics, speed or asynchrony.

mod agreement;
mod doctor;
mod failures;
mod figures;
mod images;
mod mps;
mod resume;
mod tools;

use crate::support::{command, skip};
use fathom::record::{RunDir, State};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the emulated device's libraries, where `scripts/test` builds it; nothing where
/// nobody did.
pub fn libraries() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/emulated-cuda");
    let folder = std::env::var_os("FATHOM_EMULATED_CUDA").map_or(built, PathBuf::from);
    if folder.join("libtorch_cuda.so").is_file() {
        return Some(folder);
    }
    skip("the emulated device is not built (scripts/test builds it)");
    None
}

/// Whether every combination is wanted, not only those that differ in kind (`scripts/test
/// --cuda-all`).
pub fn is_full() -> bool {
    std::env::var_os("FATHOM_CUDA_ALL").is_some()
}

/// A user in a folder, on a machine with emulated devices.
pub struct Machine<'a> {
    folder: &'a Path,
    libraries: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a command ended with.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl<'a> Machine<'a> {
    /// A machine with one device; nothing where the emulation is not built.
    pub fn new(folder: &'a Path) -> Option<Self> {
        Some(Self { folder, libraries: libraries()?, variables: Vec::new() })
    }

    /// Sets a variable of the emulation (its name without `EMULATED_CUDA_`).
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((format!("EMULATED_CUDA_{name}"), value.to_string()));
        self
    }

    /// Sets a variable of the environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Gives a command the machine's environment.
    pub fn equip(&self, command: &mut Command) {
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command.env("EMULATED_CUDA_STATS", self.statistics());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Runs `fathom` with these words, separated by blanks.
    pub fn fathom(&self, words: &str) -> Ended {
        let mut command = command(self.folder);
        self.equip(&mut command);
        let output = command.args(words.split_whitespace()).output().expect("the program starts");
        let Output { status, stdout, stderr } = output;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// The same for a command line that should succeed; its standard output.
    pub fn succeed(&self, words: &str) -> String {
        let Ended { code, stdout, stderr } = self.fathom(words);
        assert_eq!(code, Some(0), "{words}: {stdout}{stderr}");
        stdout
    }

    fn statistics(&self) -> PathBuf {
        self.folder.join("emulated.stats")
    }

    /// What all processes so far asked of the devices, summed up by the emulation's names.
    pub fn counts(&self) -> Counts {
        let text = std::fs::read_to_string(self.statistics()).unwrap_or_default();
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            if let Some((number, what)) = line.trim_start().split_once(' ')
                && let Ok(number) = number.parse::<i64>()
            {
                *counts.entry(what.to_owned()).or_insert(0) += number;
            }
        }
        Counts(counts)
    }

    /// The runs of a results directory, by the beginning of their names up to the hash.
    pub fn runs(&self, results: &str) -> BTreeMap<String, RunDir> {
        let runs = std::fs::read_dir(self.folder.join(results).join("runs")).expect("results");
        runs.map(|run| {
            let run = RunDir::new(run.expect("readable").path());
            let id = run.id();
            let name = id.rsplit_once('-').map_or(id.as_str(), |(name, _)| name).to_owned();
            (name, run)
        })
        .collect()
    }

    /// The states of all runs, by name.
    pub fn states(&self, results: &str) -> BTreeMap<String, State> {
        let state = |run: &RunDir| run.status().expect("a status").state;
        self.runs(results).iter().map(|(name, run)| (name.clone(), state(run))).collect()
    }
}

/// Counts of the emulation.
pub struct Counts(BTreeMap<String, i64>);

impl Counts {
    /// Of everything that is called so, or whose name begins so.
    pub fn of(&self, what: &str) -> i64 {
        self.0.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum()
    }
}

/// Keys that make evaluations of five sizes, of which one is first met by the fifth evaluated batch:
/// 70 or 200 training images, test images in batches of 1,000 and 50, and 30 held out.
pub const SIZES: &str = "--set data.validation=30 --set data.train=200 --set data.test=1050 \
    --set evaluate.train_images=70 --set data.size=12";
