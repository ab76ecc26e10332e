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
    // After a clone or a `git gc`, a branch has no file of its own but a line of packed-refs.
    let branch = git(&["symbolic-ref", "HEAD"]).unwrap_or_default();
    for name in [branch.as_str(), "packed-refs", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).is_file()) {
            println!("cargo:rerun-if-changed={path}");
        }
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
