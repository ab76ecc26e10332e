//! The family is planned, swept and drawn like those of fathom. The worker `fathom-train` must lie
//! beside this program, where `cargo build --release --workspace` puts it.

use std::path::Path;
use std::process::Command;

fn own_network(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_own-network"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_family_of_ones_own_is_inspected_swept_and_drawn() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = own_network(
        folder.path(),
        &["inspect", "every", "--depth", "44", "--span", "7", "--format", "json"],
    );
    let described: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(described["parameters"], 98746);

    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("every.toml");
    let experiment = experiment.to_str().expect("UTF-8");
    own_network(folder.path(), &["run", experiment, "--smoke", "--out", "every"]);
    own_network(folder.path(), &["plot", "every"]);
    let curves = std::fs::read_to_string(folder.path().join("every/curves.csv")).expect("curves");
    assert_eq!(curves.lines().count(), 9, "a header and two rows of each of four runs: {curves}");
    assert!(folder.path().join("every/figures/curves.svg").exists());
}
