//! Streams, recorded work and figures of CUDA devices.

use super::refuse;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

#[link(name = "fathom_shim", kind = "static")]
unsafe extern "C" {
    fn fathom_can_record() -> bool;
    fn fathom_graph_new() -> *mut c_void;
    fn fathom_graph_free(graph: *mut c_void);
    fn fathom_graph_begin(graph: *mut c_void) -> bool;
    fn fathom_graph_end(graph: *mut c_void) -> bool;
    fn fathom_graph_replay(graph: *mut c_void) -> bool;
    fn fathom_own_stream(device: c_int) -> bool;
    fn fathom_device_memory(device: c_int, now: *mut i64, most: *mut i64) -> bool;
    fn fathom_empty_cache() -> bool;
    fn fathom_synchronize(device: c_int) -> bool;
    fn fathom_cuda_version() -> i64;
    fn fathom_arithmetic(tf32: bool, deterministic: bool) -> bool;
}

/// Whether work on the GPU can be recorded: libtorch_cuda.so is loaded and has what it takes.
pub fn can_record() -> bool {
    // SAFETY: it looks symbols up and calls none of them.
    unsafe { fathom_can_record() }
}

/// Work on the GPU, recorded once as a CUDA graph and started as often as wanted by one call.
pub struct Recording(NonNull<c_void>);

impl Recording {
    /// Records what `work` gives to the GPU, which is not done yet. Nothing in it may read from the
    /// GPU or allocate on it for the first time what lasts: tensors that it makes lie in memory of
    /// the recording, and are overwritten whenever it is replayed. Must be on a stream of its own
    /// ([`own_stream`]), and `work` have been done a few times.
    ///
    /// # Panics
    /// When this libtorch cannot record, or `work` does what cannot be recorded.
    pub fn of<R>(work: impl FnOnce() -> R) -> (Self, R) {
        // SAFETY: no arguments.
        let graph = unsafe { fathom_graph_new() };
        let Some(graph) = NonNull::new(graph) else { refuse("recording") };
        let recording = Self(graph);
        // SAFETY: the pointer is the one that fathom_graph_new gave; it is freed by Drop alone.
        if !unsafe { fathom_graph_begin(graph.as_ptr()) } {
            refuse("recording");
        }
        let result = work();
        // SAFETY: as above.
        if !unsafe { fathom_graph_end(graph.as_ptr()) } {
            refuse("recording");
        }
        (recording, result)
    }

    /// Does the recorded work, after what was given to the stream before.
    pub fn replay(&self) {
        // SAFETY: as above, and the recording is complete.
        if !unsafe { fathom_graph_replay(self.0.as_ptr()) } {
            refuse("replaying");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer, and it is not used again.
        unsafe { fathom_graph_free(self.0.as_ptr()) }
    }
}

/// Moves this thread's work on the GPU to a stream of its own, as recording needs.
pub fn own_stream(device: usize) {
    // SAFETY: a number is all it takes, and libtorch checks it.
    if !unsafe { fathom_own_stream(device as c_int) } {
        refuse("a stream of its own");
    }
}

/// Bytes that libtorch has reserved on a GPU: now, and at most so far.
pub fn device_memory(device: usize) -> [u64; 2] {
    let (mut now, mut most) = (0, 0);
    // SAFETY: both pointers are to numbers that live until the end of the call.
    if !unsafe { fathom_device_memory(device as c_int, &raw mut now, &raw mut most) } {
        refuse("figures of memory");
    }
    [now, most].map(|bytes: i64| bytes.max(0) as u64)
}

/// Gives the memory that libtorch has cached for tensors to come back to the GPUs.
pub fn empty_cache() {
    // SAFETY: no arguments.
    if !unsafe { fathom_empty_cache() } {
        refuse("freeing cached memory");
    }
}

/// Waits until a GPU has done all work that it was given.
pub fn synchronize(device: usize) {
    // SAFETY: a number is all it takes, and libtorch checks it.
    if !unsafe { fathom_synchronize(device as c_int) } {
        refuse("waiting for the GPU");
    }
}

/// The CUDA version that libtorch was built with, such as `13.0`; `None` for a build without CUDA.
/// libtorch's CUDA library must be loaded.
pub fn cuda_version() -> Option<String> {
    // SAFETY: no arguments.
    let version = unsafe { fathom_cuda_version() };
    (version > 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// Whether factors of products on GPUs may be rounded to TF32, and whether only algorithms are
/// used that give the same bits every time.
pub fn arithmetic(tf32: bool, deterministic: bool) {
    // SAFETY: it sets libtorch's own flags.
    if !unsafe { fathom_arithmetic(tf32, deterministic) } {
        refuse("flags of arithmetic");
    }
}
