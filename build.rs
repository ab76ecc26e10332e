//! Tells the programs who they are: git revision, a fingerprint of the sources (so that `fathom`
//! can tell a worker of another build), and, for the worker, where libtorch lies.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The libtorch that `tch` 0.24 is written for.
const LIBTORCH_VERSION: &str = "2.11.0";

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
    let dirty =
        git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock", "build.rs"])
            .is_some_and(|changes| !changes.is_empty());
    println!("cargo:rustc-env=FATHOM_GIT_REVISION={revision}");
    println!("cargo:rustc-env=FATHOM_GIT_DIRTY={dirty}");
    let mut sources = vec![PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock")];
    collect(Path::new("src"), &mut sources);
    println!("cargo:rustc-env=FATHOM_SOURCES={:016x}", fingerprint(sources));
    println!("cargo:rustc-env=FATHOM_LIBTORCH_VERSION={LIBTORCH_VERSION}");

    if std::env::var_os("CARGO_FEATURE_TRAIN").is_some() {
        link_libtorch();
    }
}

/// Points the worker's run path at the libtorch it was linked against, after checking its version.
fn link_libtorch() {
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    // A symbolic link to a system-wide folder is followed, so that the link may be changed later
    // without pulling the library from under a program that was built before.
    let lib = lib.canonicalize().unwrap_or(lib);
    let header = lib.with_file_name("include").join("torch/headeronly/version.h");
    if let Ok(text) = std::fs::read_to_string(&header) {
        let part = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{name} ")))
                .unwrap_or("?")
                .trim()
                .to_owned()
        };
        let found = format!("{}.{}.{}", part("MAJOR"), part("MINOR"), part("PATCH"));
        assert!(
            found == LIBTORCH_VERSION,
            "{} is libtorch {found}, but fathom needs libtorch {LIBTORCH_VERSION}: run scripts/setup",
            lib.display()
        );
    }
    compile_shim(&lib.with_file_name("include"));
    println!("cargo:rustc-link-arg-bin=fathom-train=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-env=FATHOM_LIBTORCH={}", lib.display());
}

/// Compiles what tch lacks. Only the worker names the libraries, so that `fathom` does not get them.
#[cfg(feature = "train")]
fn compile_shim(include: &Path) {
    let shim = Path::new("src/train/shim");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    let is_wide = std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64");
    println!("cargo:rustc-check-cfg=cfg(fathom_avx2)");
    if is_wide {
        println!("cargo:rustc-cfg=fathom_avx2");
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    // libtorch's threads are OpenMP's, in GCC's own library. With another compiler's there would be
    // two sets of threads; what is compiled here has one thread then.
    println!("cargo:rustc-check-cfg=cfg(fathom_openmp)");
    let has_openmp = cc::Build::new().cpp(true).get_compiler().is_like_gnu();
    if has_openmp {
        println!("cargo:rustc-cfg=fathom_openmp");
    }
    // This script runs at every change of the sources; the compiler need not.
    let mut files = Vec::new();
    collect(shim, &mut files);
    files.push("build.rs".into());
    let state = format!("{:016x} {}", fingerprint(files), include.display());
    let stamp = out.join("shim.stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|last| last == state) {
        return;
    }
    let compiler = || {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").cargo_metadata(false);
        build
    };
    let kernels = |set: &str, flags: &[&str]| {
        let mut build = compiler();
        build.file(shim.join("kernels.cpp")).define("FATHOM_ISA", set).opt_level(3);
        // No operation here is to raise a signal: conditions become masks of vectors then.
        build.flag_if_supported("-fno-trapping-math");
        flags.iter().for_each(|flag| {
            build.flag(flag);
        });
        build.compile(&format!("fathom_kernels_{set}"));
    };
    let mut glue = compiler();
    glue.files(["shim.cpp", "norm.cpp", "device.cpp"].map(|file| shim.join(file)));
    // libtorch's headers have warnings of their own.
    glue.flag("-isystem").flag(include).define("_GLIBCXX_USE_CXX11_ABI", "1");
    kernels("base", &[]);
    if is_wide {
        kernels("avx2", &["-mavx2", "-mfma"]);
        glue.define("FATHOM_AVX2", None);
    }
    if has_openmp {
        glue.flag("-fopenmp");
    }
    glue.compile("fathom_shim");
    std::fs::write(stamp, state).expect("a writable target folder");
}

#[cfg(not(feature = "train"))]
fn compile_shim(_include: &Path) {}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// FNV-1a over the names and bytes of files that programs are compiled from.
fn fingerprint(mut files: Vec<PathBuf>) -> u64 {
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for byte in file.as_os_str().as_encoded_bytes().iter().chain(&bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
