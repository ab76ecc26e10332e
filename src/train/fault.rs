//! Failures of a run, by class.

use super::device::NoDevice;
use fathom_record::{LostLock, State};
use std::io::ErrorKind;

/// A failure that ends a run without an outcome.
#[derive(Debug)]
pub enum Fault {
    /// Another process trains the run: this one did not start, or has lost the lock and writes nothing more; with a
    /// message.
    Held(String),
    /// Failure of this class, with a message.
    Failed(State, String),
}

impl Fault {
    /// A failure caused by the data set.
    pub fn data(error: &anyhow::Error) -> Self {
        Fault::Failed(State::BadData, one_line(&format!("{error:#}")))
    }

    /// A failure of the device or of the libraries that it needs.
    pub fn lost_device(error: &anyhow::Error) -> Self {
        Fault::Failed(State::LostDevice, one_line(&format!("{error:#}")))
    }

    /// The failure that a panic reports: tch turns errors of libtorch into panics.
    pub fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let message = panic.downcast_ref::<String>().cloned();
        let message =
            message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let message = message.unwrap_or_else(|| "the worker panicked".into());
        Fault::Failed(class(&message), one_line(&message))
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        let kind = error.chain().find_map(|cause| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.map(std::io::Error::kind)
        });
        let message = format!("{error:#}");
        if error.chain().any(|cause| cause.is::<LostLock>()) {
            return Fault::Held(one_line(&message));
        }
        let state = match kind {
            _ if error.is::<NoDevice>() => State::LostDevice,
            Some(
                ErrorKind::StorageFull
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::QuotaExceeded
                | ErrorKind::PermissionDenied,
            ) => State::Disk,
            _ => class(&message),
        };
        Fault::Failed(state, one_line(&message))
    }
}

/// Phrases, in lower case, of messages that report a lack of memory. cuDNN's search and cuBLAS have
/// messages of their own for it.
const MEMORY: [&str; 9] = [
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cannot allocate",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cusolver_status_alloc_failed",
    "find was unable to find an engine",
    "unable to find an engine to execute this computation",
];

/// Phrases, in lower case, of messages after which the device, or this process's connection to it, is
/// unusable: messages of `cudaGetErrorString` about hardware, driver or device, and failures inside
/// kernels of NVIDIA's libraries.
const DEVICE: [&str; 24] = [
    "unspecified launch failure",
    "the launch timed out and was terminated",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "hardware stack error",
    "an illegal instruction was encountered",
    "invalid program counter",
    "no cuda-capable device is detected",
    "invalid device ordinal",
    "device(s) is/are busy or unavailable",
    "cuda driver version is insufficient",
    "cuda error: initialization error",
    "cuda error: unknown error",
    "system not yet initialized",
    "system has unsupported display driver",
    "driver shutting down",
    "mps client failed to connect",
    "mps server is not ready",
    "cublas_status_not_initialized",
    "cublas_status_execution_failed",
    "cublas_status_internal_error",
    "cudnn_status_execution_failed",
    "cudnn_status_internal_error",
    "cudnn_status_not_initialized",
];

/// Explanations that are appended to messages with these phrases.
const REMEDIES: [(&str, &str); 4] = [
    ("busy or unavailable", "another process has this GPU, which is in exclusive mode"),
    ("stream is capturing", "a bug of fathom in CUDA graph capture; --no-graphs avoids it"),
    ("no kernel image is available", "this libtorch was not built for this GPU; see fathom doctor"),
    ("does not have a deterministic implementation", "leave out --deterministic"),
];

/// Classifies a failure by libtorch's message. A failure of neither memory nor device is a fault of
/// the program or of its use: a retry would fail again.
fn class(message: &str) -> State {
    let message = message.to_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if has(&MEMORY) {
        State::OutOfMemory
    } else if has(&DEVICE) {
        State::LostDevice
    } else {
        State::Failed
    }
}

/// The first line of libtorch's message, without the wrapping of the panic and the stack trace, whose
/// line ends the panic has escaped.
fn one_line(message: &str) -> String {
    let inner = message.split_once("Torch(\"").map_or(message, |(_, inner)| inner);
    let line = inner.split(['\n']).next().unwrap_or_default();
    let line = line.split("\\n").next().unwrap_or_default();
    let line = match line.split_once("] err == 0. ") {
        Some((place, rest)) if place.starts_with("[enforce fail") => rest,
        _ => line,
    };
    match REMEDIES.iter().find(|(phrase, _)| line.contains(phrase)) {
        Some((_, remedy)) => format!("{line} ({remedy})"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use fathom_record::{Lock, LockTiming};

    #[test]
    fn messages_of_libtorch_lose_their_wrapping() {
        let words = "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at \
            alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried \
            to allocate 33 bytes. Error code 12 (Cannot allocate memory)\\nframe #0: c10\")";
        assert_eq!(
            one_line(words),
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 33 bytes. Error \
             code 12 (Cannot allocate memory)"
        );
        assert_eq!(one_line("disk\nfull"), "disk");
    }

    #[test]
    fn a_run_whose_lock_is_lost_is_left_to_the_process_that_took_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let taken = Lock::acquire(&path, "test", &LockTiming::default()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = anyhow::Error::from(taken.lock.check().unwrap_err()).context("a row");
        assert!(matches!(Fault::from(error), Fault::Held(why) if why.contains("run.lock is lost")));
    }

    #[test]
    fn failures_are_classified_by_cause_and_by_message() {
        let class = |words: &str| match Fault::of_panic(&words.to_owned()) {
            Fault::Failed(state, _) => state,
            Fault::Held(_) => panic!("held"),
        };
        for (words, state) in [
            ("CUDA out of memory. Tried to allocate 2 GiB", State::OutOfMemory),
            (
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried",
                State::OutOfMemory,
            ),
            ("CUDA error: out of memory", State::OutOfMemory),
            (
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                State::OutOfMemory,
            ),
            ("FIND was unable to find an engine to execute this computation", State::OutOfMemory),
            ("GET was unable to find an engine to execute this computation", State::OutOfMemory),
            ("CUDA error: unspecified launch failure\nstack", State::LostDevice),
            ("CUDA error: uncorrectable ECC error encountered", State::LostDevice),
            ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", State::LostDevice),
            ("CUDA error: unknown error", State::LostDevice),
            ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", State::LostDevice),
            ("CUDA error: device-side assert triggered", State::Failed),
            ("CUDA error: an illegal memory access was encountered", State::Failed),
            ("CUDA error: invalid argument", State::Failed),
            ("CUDA error: no kernel image is available for execution on the device", State::Failed),
            ("CUDA error: operation not permitted when stream is capturing", State::Failed),
            ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED", State::Failed),
            ("index 7 is out of bounds", State::Failed),
        ] {
            assert_eq!(class(words), state, "{words}");
        }
        let capture = "CUDA error: operation not permitted when stream is capturing";
        assert!(
            one_line(capture)
                .ends_with("(a bug of fathom in CUDA graph capture; --no-graphs avoids it)")
        );
        let gone = anyhow::Error::from(NoDevice { name: "cuda:1".into(), devices: 1 });
        assert!(matches!(
            Fault::from(gone.context("opening")),
            Fault::Failed(State::LostDevice, _)
        ));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Err::<(), _>(full).context("cannot write curve.csv").unwrap_err();
        assert!(matches!(Fault::from(error), Fault::Failed(State::Disk, _)));
    }
}
