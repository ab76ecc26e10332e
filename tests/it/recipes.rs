//! Recipes of `CONTRIBUTING.md`, followed mechanically in a copy of the sources.

use crate::build::copy_sources;
use crate::support::skip;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `match` without an arm for a new variant, as the compiler reports it.
struct MissingArm {
    /// The file, relative to the root of the workspace.
    file: String,
    /// Byte offset at which the compiler suggests to insert an arm.
    at: usize,
    /// The suggested arm.
    arm: String,
}

/// A copy of the sources that shares compiled dependencies with this build.
struct SourceCopy {
    root: PathBuf,
}

impl SourceCopy {
    /// `None`, and the test is skipped, unless everything is required: `cargo check` of a copy takes
    /// a minute.
    fn new() -> Option<Self> {
        if std::env::var_os("FATHOM_REQUIRE_ALL").is_none() {
            skip("recipes are followed where FATHOM_REQUIRE_ALL is set");
            return None;
        }
        // At the same path every time, so that cargo does not keep artifacts of every copy.
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes");
        if root.exists() {
            std::fs::remove_dir_all(&root).expect("writable");
        }
        std::fs::create_dir_all(&root).expect("writable");
        copy_sources(&root);
        let copy = Self { root };
        // Cargo tells packages of one target folder apart by name and version, not by their path.
        for manifest in ["Cargo.toml", "examples/own-network/Cargo.toml"] {
            let own = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"");
            assert_eq!(copy.replace(manifest, own, "\nversion = \"0.0.0\""), 1, "{manifest}");
        }
        Some(copy)
    }

    /// Inserts text after the only place where `anchor` stands in a file.
    fn insert_after(&self, file: &str, anchor: &str, text: &str) {
        assert_eq!(self.replace(file, anchor, &format!("{anchor}{text}")), 1, "{file}: {anchor}");
    }

    /// Replaces a text in a file, and returns how often it occurred.
    fn replace(&self, file: &str, old: &str, new: &str) -> usize {
        let path = self.root.join(file);
        let source = std::fs::read_to_string(&path).expect(file);
        let count = source.matches(old).count();
        // A file that is written is compiled again.
        if count > 0 {
            std::fs::write(&path, source.replace(old, new)).expect(file);
        }
        count
    }

    /// The missing arms that `cargo check` reports for all crates. Any other error fails the test.
    fn missing_arms(&self) -> Vec<MissingArm> {
        let program = assert_cmd::cargo::cargo_bin!("fathom");
        let is_release = program.parent().is_some_and(|folder| folder.ends_with("release"));
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let libtorch = std::env::var_os("LIBTORCH");
        let libtorch = libtorch.unwrap_or_else(|| home.join(".libtorch/torch").into());
        // Nothing is linked, so the build script that compiles C++ need not run.
        let shim = format!("target.{}-unknown-linux-gnu.fathom_shim", std::env::consts::ARCH);
        let version = format!("{shim}.rustc-env.FATHOM_LIBTORCH_VERSION = ''");
        let library = format!("{shim}.lib = '/'");
        // Cargo describes this test's package in variables on which build scripts depend. They would
        // run again, and all that depends on them be compiled again, here and in the next build.
        let is_of_this_test = |name: &OsString| {
            let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
            let is = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            name.to_str().is_some_and(|name| name == "OUT_DIR" || is(name))
        };
        let mut command = Command::new(env!("CARGO"));
        for name in std::env::vars_os().map(|(name, _)| name).filter(is_of_this_test) {
            command.env_remove(name);
        }
        let output = command
            .args(["check", "--workspace", "--offline", "--message-format=json"])
            .args(["--config", &version, "--config", &library])
            .args(is_release.then_some("--release"))
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."))
            .env("LIBTORCH", libtorch)
            .output()
            .expect("cargo starts");
        let text = String::from_utf8(output.stdout).expect("text");
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let messages = messages.filter(|message| message["message"]["level"] == "error");
        let missing: Vec<MissingArm> =
            messages.flat_map(|message| missing_arms(&message["message"])).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), missing.is_empty(), "{errors}");
        missing
    }

    /// Inserts arms, those at the end of a file first.
    fn insert_arms(&self, missing: &[MissingArm]) {
        let mut by_file: BTreeMap<&str, BTreeMap<usize, &str>> = BTreeMap::new();
        for MissingArm { file, at, arm } in missing {
            by_file.entry(file).or_default().insert(*at, arm);
        }
        for (file, arms) in by_file {
            let path = self.root.join(file);
            let mut source = std::fs::read_to_string(&path).expect(file);
            arms.iter().rev().for_each(|(at, arm)| source.insert_str(*at, arm));
            std::fs::write(&path, source).expect(file);
        }
    }
}

/// The missing arms of one error message.
fn missing_arms(message: &Value) -> Vec<MissingArm> {
    let rendered = message["rendered"].as_str().unwrap_or_default();
    if message["code"].is_null() && message["spans"].as_array().is_some_and(Vec::is_empty) {
        // `aborting due to 2 previous errors`.
        return Vec::new();
    }
    assert_eq!(message["code"]["code"], "E0004", "{rendered}");
    let children = message["children"].as_array().expect("help");
    let spans = children.iter().flat_map(|child| child["spans"].as_array().expect("spans"));
    let missing: Vec<MissingArm> = spans
        .filter_map(|span| {
            Some(MissingArm {
                file: span["file_name"].as_str()?.to_owned(),
                at: usize::try_from(span["byte_start"].as_u64()?).ok()?,
                arm: span["suggested_replacement"].as_str()?.to_owned(),
            })
        })
        .collect();
    assert!(!missing.is_empty(), "no arm is suggested: {rendered}");
    missing
}

#[test]
fn the_compiler_names_every_place_of_a_new_normalisation_and_a_metric_needs_no_other() {
    let Some(copy) = SourceCopy::new() else { return };
    // A metric is one row of the table and its measurement.
    copy.insert_after(
        "src/record/metrics.rs",
        "    metrics {\n        train_loss {",
        r#"
            label: "training loss",
            unit: Nats,
            measured_on: Train,
            definition: EVALUATED,
            tag: "train/loss",
            is_in_tables: false,
        }
        train_margin {"#,
    );
    copy.insert_after(
        "src/train/curve_evaluation.rs",
        "row.train_loss = Some(rounded(on_train.loss));",
        "\n        row.train_margin = Some(0.0);",
    );
    copy.insert_after(
        "src/arch/keys.rs",
        "pub enum NormName {",
        "\n        /// New.\n        New,",
    );
    copy.insert_after("src/arch/network.rs", "pub enum Norm {", "\n    /// New.\n    New,");
    let mut named = BTreeSet::new();
    // A crate is checked only once those that it depends on compile.
    let is_complete = (0..10).any(|_| {
        let missing = copy.missing_arms();
        copy.insert_arms(&missing);
        // Evaluated by the compiler: the new normalisation has none of the keys of others.
        copy.replace(
            "src/arch/keys.rs",
            "(NormName::New, _) => todo!()",
            "(NormName::New, _) => false",
        );
        for MissingArm { file, arm, .. } in &missing {
            assert!(arm.contains("New"), "not for the normalisation: {file}: {arm}");
            named.insert(file.clone());
        }
        missing.is_empty()
    });
    assert!(is_complete, "{named:?}");
    println!("files that handle a new normalisation: {named:?}");
    // The word, its description in `inspect`, and the forward pass.
    for file in ["src/arch/keys.rs", "src/arch/audit.rs", "src/train/net/norm.rs"] {
        assert!(named.contains(file), "{file}: {named:?}");
    }
}
