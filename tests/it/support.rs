//! Helpers that the tests share.

use assert_cmd::Command;
use std::path::Path;
use tempfile::TempDir;

/// The program `fathom`, to be started in `folder` with the tester's environment hidden.
pub fn fathom(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("fathom"));
    command.current_dir(folder).env("HOME", folder).env_remove("FATHOM_DATA");
    command.env_remove("XDG_CACHE_HOME").env("OMP_NUM_THREADS", "1");
    command
}

/// The program of [`fathom`], as a command of the standard library.
pub fn command(folder: &Path) -> std::process::Command {
    let program = fathom(folder);
    let mut command = std::process::Command::new(program.get_program());
    command.current_dir(folder);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Reports that a test is skipped because something is missing on this machine, which is an error
/// where `FATHOM_REQUIRE_ALL` is set.
pub fn skip(missing: &str) {
    let required = std::env::var_os("FATHOM_REQUIRE_ALL").is_some();
    assert!(!required, "FATHOM_REQUIRE_ALL is set: {missing}");
    eprintln!("skipped: {missing}");
}

/// The answer to `probe` of a worker of this build, or of another one.
pub fn probe(build: &str) -> String {
    format!(
        r#"{{"build":"{build}","libtorch":"","library":"","capability":"","threads":1,"cuda_library":{{"Err":"none"}},"cuda_devices":0,"cuda_graphs":false,"kernels":""}}"#
    )
}

/// Writes an executable script. This process never has it open for writing, which a fork of another
/// test could inherit.
pub fn write_script(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).expect("writable");
    let mut install = std::process::Command::new("install");
    install.args(["-m", "755"]).args([&draft, &path.to_owned()]);
    assert!(install.status().expect("install").success());
}

/// A folder with an experiment of tiny nets in `tiny.toml`, to which `more` is appended.
pub fn with_experiment(more: &str) -> TempDir {
    with_experiment_in(&std::env::temp_dir(), more)
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("readable").path();
        let there = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &there);
        } else {
            std::fs::copy(&path, &there).expect("writable");
        }
    }
}

/// Like [`with_experiment`], below a given folder.
pub fn with_experiment_in(parent: &Path, more: &str) -> TempDir {
    let folder = tempfile::tempdir_in(parent).expect("a temporary folder");
    std::fs::write(folder.path().join("tiny.toml"), format!("{TINY}{more}")).expect("writable");
    folder
}

const TINY: &str = r#"name = "tiny"

[data]
source = "shapes"
train = 200
test = 50
size = 8

[network]
family = "plain"
depth = 8
width = 2

[training]
iterations = 8
batch = 20
schedule = { kind = "cosine" }

[evaluate]
every = 4
train_images = 50
"#;

/// Runs a command line that must succeed, and returns its standard output.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = fathom(folder).args(arguments).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command line that must fail with this exit code, and returns its standard error.
pub fn fail(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = fathom(folder).args(arguments).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    errors
}

/// The run directories of a results directory.
#[cfg(feature = "train")]
pub fn runs(results: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(results.join("runs")).expect("results");
    let mut runs: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    runs.sort();
    runs
}

/// Curves without the column of seconds, and weights, by run.
#[cfg(feature = "train")]
pub fn outcomes(results: &Path) -> std::collections::BTreeMap<String, (String, Vec<u8>)> {
    let outcome = |run: &Path| {
        let text = std::fs::read_to_string(run.join("curve.csv")).expect("a curve");
        let rows = text.lines().map(|line| line.rsplit_once(',').expect("columns").0);
        let weights = std::fs::read(run.join("checkpoint.safetensors")).expect("weights");
        (rows.collect::<Vec<_>>().join("\n"), weights)
    };
    runs(results)
        .iter()
        .map(|run| (run.file_name().expect("a name").to_string_lossy().into_owned(), outcome(run)))
        .collect()
}
