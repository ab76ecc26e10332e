//! What keeps a run from training, by class.

use fathom::record::State;
use std::io::ErrorKind;

/// A run's end that is no outcome.
#[derive(Debug)]
pub enum Fault {
    /// The run did not begin: another process trains it.
    Held(String),
    /// Of this class.
    Failed(State, String),
}

impl Fault {
    /// A fault of the data set.
    pub fn data(error: &anyhow::Error) -> Self {
        Fault::Failed(State::BadData, one_line(&format!("{error:#}")))
    }

    /// From the words of a panic, as which libtorch's failures arrive.
    pub fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let words = words.unwrap_or_else(|| "the worker panicked".into());
        Fault::Failed(class(&words), one_line(&words))
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        let kind = error.chain().find_map(|cause| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.map(std::io::Error::kind)
        });
        let words = format!("{error:#}");
        let state = match kind {
            Some(
                ErrorKind::StorageFull
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::QuotaExceeded
                | ErrorKind::PermissionDenied,
            ) => State::Disk,
            _ => class(&words),
        };
        Fault::Failed(state, one_line(&words))
    }
}

/// The class that libtorch's words speak of.
fn class(words: &str) -> State {
    let words = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(&["out of memory", "can't allocate memory", "not enough memory", "cannot allocate"]) {
        State::OutOfMemory
    } else if says(&["cuda error", "cudnn_status", "cublas_status", "nvml", "no cuda"]) {
        State::LostDevice
    } else {
        State::Failed
    }
}

/// What libtorch says, without the wrapping of the panic that brings it and the stack that it
/// appends, whose line ends have become two characters on the way.
fn one_line(words: &str) -> String {
    let inner = words.split_once("Torch(\"").map_or(words, |(_, inner)| inner);
    let line = inner.split(['\n']).next().unwrap_or_default();
    let line = line.split("\\n").next().unwrap_or_default();
    let line = match line.split_once("] err == 0. ") {
        Some((place, rest)) if place.starts_with("[enforce fail") => rest,
        _ => line,
    };
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn libtorch_s_words_are_told_without_their_wrapping() {
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
    fn classes_are_told_by_cause_and_by_words() {
        let class = |words: &str| match Fault::of_panic(&words.to_owned()) {
            Fault::Failed(state, _) => state,
            Fault::Held(_) => panic!("held"),
        };
        assert_eq!(class("CUDA out of memory. Tried to allocate 2 GiB"), State::OutOfMemory);
        assert_eq!(
            class(
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"
            ),
            State::OutOfMemory
        );
        assert_eq!(class("CUDA error: unspecified launch failure\nstack"), State::LostDevice);
        assert_eq!(class("index 7 is out of bounds"), State::Failed);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Err::<(), _>(full).context("cannot write curve.csv").unwrap_err();
        assert!(matches!(Fault::from(error), Fault::Failed(State::Disk, _)));
    }
}
