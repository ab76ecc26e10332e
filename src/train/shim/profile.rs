//! libtorch's profiler.

use super::fail;
use fathom_protocol::{Operation, Place};
use std::ffi::{CStr, c_char};

#[link(name = "fathom_shim", kind = "static")]
unsafe extern "C" {
    fn fathom_profile_begin(cuda: bool) -> bool;
    fn fathom_profile_end() -> *const c_char;
}

/// Profiles `work`, which repeats the same work `times` times and ends by waiting for the GPU. Returns the operations
/// of the host and, if `cuda` is true, the kernels of a GPU, as means of one repetition; those that take longest come
/// first.
///
/// # Panics
/// If another profiler is in use.
pub fn profile(cuda: bool, times: u64, work: impl FnOnce()) -> Vec<Operation> {
    // SAFETY: the only argument is a flag.
    if !unsafe { fathom_profile_begin(cuda) } {
        fail("profiling");
    }
    work();
    // SAFETY: no arguments.
    let text = unsafe { fathom_profile_end() };
    if text.is_null() {
        fail("profiling");
    }
    // SAFETY: the text belongs to this thread and is not changed before the next call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let mut operations: Vec<_> = text.lines().filter_map(|line| operation(line, times)).collect();
    operations.sort_by(|left, right| right.seconds.total_cmp(&left.seconds));
    operations
}

/// The operation that a line of `fathom_profile_end` describes.
fn operation(line: &str, times: u64) -> Option<Operation> {
    let mut fields = line.splitn(4, '\t');
    let word = fields.next()?;
    let place = Place::ALL.iter().copied().find(|place| place.word() == word)?;
    let mut per_time = || Some(fields.next()?.parse::<f64>().ok()? / times as f64);
    let (calls, seconds) = (per_time()?, per_time()? * 1e-9);
    Some(Operation { place, name: fields.next()?.to_owned(), calls, seconds })
}
