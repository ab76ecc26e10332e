//! Streams, CUDA graphs, memory statistics and flags of CUDA devices.

use super::fail;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::RwLock;
use tch::Tensor;
use torch_sys::C_tensor;

/// A capture excludes other threads' calls to CUDA: a device may refuse them, and ends the capture if so.
static CAPTURE: RwLock<()> = RwLock::new(());

#[link(name = "fathom_shim", kind = "static")]
unsafe extern "C" {
    fn fathom_can_record() -> bool;
    fn fathom_graph_new() -> *mut c_void;
    fn fathom_graph_free(graph: *mut c_void);
    fn fathom_graph_begin(graph: *mut c_void) -> bool;
    fn fathom_graph_end(graph: *mut c_void) -> bool;
    fn fathom_graph_replay(graph: *mut c_void) -> bool;
    fn fathom_own_stream(device: c_int) -> bool;
    fn fathom_upload(host: *const C_tensor, device: c_int) -> *mut C_tensor;
    fn fathom_adopt(tensor: *const C_tensor) -> bool;
    fn fathom_device_memory(device: c_int, now: *mut i64, most: *mut i64) -> bool;
    fn fathom_empty_cache() -> bool;
    fn fathom_reset_peak_memory() -> bool;
    fn fathom_synchronize(device: c_int) -> bool;
    fn fathom_cuda_version() -> i64;
    fn fathom_arithmetic(tf32: bool, deterministic: bool) -> bool;
    fn fathom_load_norm_kernels(device: c_int, bf16: bool) -> bool;
    fn fathom_has_norm_kernels(device: c_int, bf16: bool) -> bool;
}

/// Whether CUDA graphs can be recorded: libtorch_cuda.so is loaded and has the needed symbols.
pub fn can_record() -> bool {
    // SAFETY: the function looks up symbols and calls none of them.
    unsafe { fathom_can_record() }
}

/// A CUDA graph: GPU work that is recorded once and replayed by one call.
pub struct Recording(NonNull<c_void>);

impl Recording {
    /// Records the GPU work that `work` submits, without executing it.
    ///
    /// The current stream must not be the default one ([`own_stream`]), and `work` must have run a
    /// few times before. `work` must not read from the GPU, nor allocate lasting memory: its
    /// tensors lie in the memory of the graph and are overwritten by every replay.
    ///
    /// # Panics
    /// If this libtorch cannot record, or `work` contains an operation that cannot be recorded.
    pub fn of<R>(work: impl FnOnce() -> R) -> (Self, R) {
        // SAFETY: no arguments.
        let graph = unsafe { fathom_graph_new() };
        let Some(graph) = NonNull::new(graph) else { fail("recording a CUDA graph") };
        let recording = Self(graph);
        let _lock = CAPTURE.write();
        // SAFETY: the pointer comes from fathom_graph_new and is freed by Drop alone.
        if !unsafe { fathom_graph_begin(graph.as_ptr()) } {
            fail("recording a CUDA graph");
        }
        let result = work();
        // SAFETY: as above.
        if !unsafe { fathom_graph_end(graph.as_ptr()) } {
            fail("recording a CUDA graph");
        }
        (recording, result)
    }

    /// Submits the recorded work to the current stream.
    pub fn replay(&self) {
        // SAFETY: the pointer is valid until Drop, and the recording is complete.
        if !unsafe { fathom_graph_replay(self.0.as_ptr()) } {
            fail("replaying a CUDA graph");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: the pointer has no other owner and is not used again.
        unsafe { fathom_graph_free(self.0.as_ptr()) }
    }
}

/// Makes a stream of its own the current one of this thread, as recording requires, unless it has one.
pub fn own_stream(device: usize) {
    // SAFETY: the only argument is an index, which libtorch checks.
    if !unsafe { fathom_own_stream(device as c_int) } {
        fail("setting a CUDA stream");
    }
}

/// Uploads tensors from a thread of its own while other threads use the device.
pub struct Uploader {
    device: usize,
}

impl Uploader {
    /// An uploader for a GPU, to be used by the thread that made it, which gets a stream of its own.
    pub fn new(device: usize) -> Self {
        let _lock = CAPTURE.read();
        own_stream(device);
        Self { device }
    }

    /// Copies a tensor of the host to the device, and waits until it has arrived.
    pub fn upload(&self, host: &Tensor) -> Uploaded {
        let _lock = CAPTURE.read();
        // SAFETY: the pointer is that of a tensor that lives until the end of the call; the index is checked by
        // libtorch. The result is a new tensor without another owner.
        unsafe {
            let result = fathom_upload(host.as_ptr(), self.device as c_int);
            if result.is_null() {
                fail("copying to the GPU");
            }
            Uploaded(Tensor::from_ptr(result))
        }
    }
}

/// A tensor on a GPU that belongs to the stream of an [`Uploader`].
pub struct Uploaded(Tensor);

impl Uploaded {
    /// The tensor, for use on the current stream of the calling thread.
    pub fn adopt(self) -> Tensor {
        // SAFETY: the pointer is that of a tensor that lives until the end of the call.
        if !unsafe { fathom_adopt(self.0.as_ptr()) } {
            fail("using a copy on the GPU");
        }
        self.0
    }
}

/// Bytes that libtorch has reserved on a GPU: the current number and the peak.
pub fn device_memory(device: usize) -> [u64; 2] {
    let (mut now, mut most) = (0, 0);
    // SAFETY: both pointers are to integers that live until the end of the call.
    if !unsafe { fathom_device_memory(device as c_int, &raw mut now, &raw mut most) } {
        fail("reading memory statistics");
    }
    [now, most].map(|bytes: i64| bytes.max(0) as u64)
}

/// Returns the memory that libtorch caches for future tensors to the GPUs.
pub fn empty_cache() {
    // SAFETY: no arguments.
    if !unsafe { fathom_empty_cache() } {
        fail("freeing cached memory");
    }
}

/// Makes the peak of [`device_memory`] begin anew, for all GPUs.
pub fn reset_peak_memory() {
    // SAFETY: no arguments.
    if !unsafe { fathom_reset_peak_memory() } {
        fail("resetting memory statistics");
    }
}

/// Waits until a GPU has finished all submitted work.
pub fn synchronize(device: usize) {
    // SAFETY: the only argument is an index, which libtorch checks.
    if !unsafe { fathom_synchronize(device as c_int) } {
        fail("waiting for the GPU");
    }
}

/// CUDA version that libtorch was built with, such as `13.0`, or `None` for a build without CUDA.
/// libtorch_cuda.so must be loaded.
pub fn cuda_version() -> Option<String> {
    // SAFETY: no arguments.
    let version = unsafe { fathom_cuda_version() };
    (version > 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// Compiles the kernels of batch normalisation for a GPU and values in bf16 or f32, by the NVRTC that libtorch brings along.
///
/// # Errors
/// If there is no NVRTC or it fails, with its message.
pub fn load_norm_kernels(device: usize, bf16: bool) -> Result<(), String> {
    // SAFETY: the only argument is an index, which libtorch checks.
    if unsafe { fathom_load_norm_kernels(device as c_int, bf16) } {
        Ok(())
    } else {
        Err(super::message())
    }
}

/// Whether [`load_norm_kernels`] has compiled the kernels for a GPU and values in bf16 or f32.
pub fn has_norm_kernels(device: usize, bf16: bool) -> bool {
    // SAFETY: the function only looks up an index.
    unsafe { fathom_has_norm_kernels(device as c_int, bf16) }
}

/// Sets whether matrix products and convolutions on GPUs may round their factors to TF32, and
/// whether only deterministic algorithms are used.
pub fn arithmetic(tf32: bool, deterministic: bool) {
    // SAFETY: the function sets flags of libtorch.
    if !unsafe { fathom_arithmetic(tf32, deterministic) } {
        fail("setting arithmetic flags");
    }
}
