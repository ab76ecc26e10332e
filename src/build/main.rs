//! Tells the programs who they are: git revision, a fingerprint of the sources (so that `fathom`
//! can tell a worker of another build), and, for the worker, where libtorch lies.

use std::path::Path;
use std::process::Command;

mod fingerprint;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=Cargo.lock");
    if let Some(head) = git(&["rev-parse", "--git-path", "HEAD"]) {
        println!("cargo:rerun-if-changed={head}");
    }
    if let Some(branch) =
        git(&["symbolic-ref", "HEAD"]).and_then(|name| git(&["rev-parse", "--git-path", &name]))
        && Path::new(&branch).exists()
    {
        println!("cargo:rerun-if-changed={branch}");
    }
    let revision = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let dirty = git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"])
        .is_some_and(|changes| !changes.is_empty());
    println!("cargo:rustc-env=FATHOM_GIT_REVISION={revision}");
    println!("cargo:rustc-env=FATHOM_GIT_DIRTY={dirty}");
    let sources = fingerprint::of_worker(Path::new(".")).expect("the sources of the worker");
    println!("cargo:rustc-env=FATHOM_SOURCES={sources}");
    if let Ok(lib) = std::env::var("DEP_FATHOM_SHIM_LIB") {
        println!("cargo:rustc-link-arg-bin=fathom-train=-Wl,-rpath,{lib}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
