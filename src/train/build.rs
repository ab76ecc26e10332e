//! Finds the libtorch that this crate is linked against, checks its version, and compiles what tch
//! lacks (`shim/`).

use std::path::{Path, PathBuf};

/// The libtorch that `tch` 0.24 is written for.
const LIBTORCH_VERSION: &str = "2.11.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rustc-env=FATHOM_LIBTORCH_VERSION={LIBTORCH_VERSION}");
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
    // The tests of this crate find libtorch by this; the worker by what `fathom`'s build script
    // makes of `lib`.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:lib={}", lib.display());
}

/// Compiles what tch lacks. Only the worker names the libraries, so that `fathom` does not get them.
fn compile_shim(include: &Path) {
    let shim = Path::new("shim");
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
}
