//! Locates the libtorch that this crate links against, checks its version, and compiles the functions
//! that tch lacks (`shim/`).

use std::path::{Path, PathBuf};

/// Version of libtorch that `tch` 0.24 requires.
const LIBTORCH_VERSION: &str = "2.11.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rustc-env=FATHOM_LIBTORCH_VERSION={LIBTORCH_VERSION}");
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    // Symbolic links are resolved, so that a later change of the link does not remove the library of a
    // program that was built before.
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
    // The first line is for the tests of this crate; the build script of `fathom` turns the second
    // one into the search path of the worker.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:lib={}", lib.display());
}

/// Compiles the functions that tch lacks. Only the source of the worker names the resulting libraries,
/// so that `fathom` is not linked with them.
fn compile_shim(include: &Path) {
    let shim = Path::new("shim");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let is_x86 = std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64");
    println!("cargo:rustc-check-cfg=cfg(fathom_x86)");
    if is_x86 {
        println!("cargo:rustc-cfg=fathom_x86");
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    // libtorch uses GCC's OpenMP library. Another compiler would add a second thread pool, so its code
    // runs on one thread.
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
        build.files(["kernels.cpp", "conv_kernels.cpp"].map(|file| shim.join(file)));
        build.define("FATHOM_ISA", set).opt_level(3);
        // Without floating-point traps, the compiler vectorises conditions as masks.
        build.flag_if_supported("-fno-trapping-math");
        build.flag_if_supported("-ffp-contract=fast");
        flags.iter().for_each(|flag| {
            build.flag(flag);
        });
        build.compile(&format!("fathom_kernels_{set}"));
    };
    let source = std::fs::read_to_string(shim.join("norm_cuda.cu")).expect("shim/norm_cuda.cu");
    std::fs::write(out.join("norm_cuda.h"), format!("R\"cuda({source})cuda\"\n"))
        .expect("the build directory is writable");
    let mut glue = compiler();
    glue.opt_level(2);
    let files = [
        "shim.cpp",
        "norm.cpp",
        "norm_cuda.cpp",
        "cuda_kernels.cpp",
        "conv.cpp",
        "device.cpp",
        "profile.cpp",
        "recompute.cpp",
    ];
    glue.files(files.map(|file| shim.join(file)));
    glue.include(&out);
    // As system headers, so that warnings in libtorch's headers are not shown.
    glue.flag("-isystem").flag(include).define("_GLIBCXX_USE_CXX11_ABI", "1");
    kernels("base", &[]);
    if is_x86 {
        kernels("avx2", &["-mavx2", "-mfma"]);
        kernels("avx512", &["-mavx512f", "-mfma", "-mprefer-vector-width=512"]);
        glue.define("FATHOM_X86", None);
    }
    if has_openmp {
        glue.flag("-fopenmp");
    }
    glue.compile("fathom_shim");
}
