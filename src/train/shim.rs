//! Safe functions around the C++ code in `shim/`, which provides what tch lacks. No raw pointer
//! leaves this module.
//!
//! Like tch's own operations, these functions panic with libtorch's message when libtorch reports
//! an error, for example when memory runs out.

pub mod conv;
pub mod device;
pub mod profile;
pub mod recompute;

use crate::placement::is_dense;
use std::ffi::{CStr, c_char};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

#[link(name = "fathom_shim", kind = "static")]
unsafe extern "C" {
    fn fathom_error() -> *const c_char;
    fn fathom_kernels() -> *const c_char;
    fn fathom_norm_relu(
        x: *const C_tensor,
        added: *const C_tensor,
        gamma: *const C_tensor,
        beta: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        training: bool,
        update: f64,
        eps: f64,
        relu: bool,
        overwrite: bool,
        part: i64,
    ) -> *mut C_tensor;
    fn fathom_convolution(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
    ) -> *mut C_tensor;
    fn fathom_fused_sgd(
        parameters: *const C_tensor,
        gradients: *const C_tensor,
        velocity: *const C_tensor,
        lr: *const C_tensor,
        weight_decay: f64,
        momentum: f64,
        nesterov: bool,
    ) -> bool;
}

/// Panics with the error message of the last call in this thread.
fn fail(what: &str) -> ! {
    panic!("{what}: {}", message())
}

/// The error message of the last call in this thread.
fn message() -> String {
    // SAFETY: the text belongs to this thread and is not changed before the next call.
    unsafe { CStr::from_ptr(fathom_error()) }.to_string_lossy().into_owned()
}

/// Instruction set and threading of the compiled CPU kernels, for the run's record.
pub fn kernels() -> String {
    // SAFETY: the text is a constant.
    unsafe { CStr::from_ptr(fathom_kernels()) }.to_string_lossy().into_owned()
}

/// Batch normalisation fused with the residual addition and ReLU that follow it.
pub struct NormRelu<'a> {
    /// Scale of each channel.
    pub gamma: &'a Tensor,
    /// Shift of each channel.
    pub beta: &'a Tensor,
    /// Running mean of each channel.
    pub mean: &'a Tensor,
    /// Running unbiased variance of each channel.
    pub variance: &'a Tensor,
    /// `Some`: values are normalised with the batch's statistics, and the running averages move
    /// towards these by this fraction; `None`: values are normalised with the running averages.
    pub update: Option<f64>,
    /// Added to the variance.
    pub eps: f64,
    /// Whether ReLU is applied last.
    pub relu: bool,
    /// Whether `x` may be overwritten when no gradient is required.
    pub overwrite: bool,
    /// Number of images that share statistics; the running averages move towards those of the first part of
    /// the batch. Only on a GPU; `None`: the whole batch.
    pub part: Option<usize>,
}

impl NormRelu<'_> {
    /// Whether [`NormRelu::forward`] supports these values. On the CPU: of kind f32, f64 or bf16,
    /// and dense in memory as images × channels × rows × columns (contiguous, channels-last or
    /// batch-last) or as images × channels. On a GPU whose kernels are loaded
    /// ([`device::load_norm_kernels`]): of kind f32 or bf16, channels-last or images × channels, and a
    /// multiple of four channels.
    pub fn takes(x: &Tensor) -> bool {
        let is_in_order = |order| x.dim() == 4 && is_dense(x, order);
        let in_rows = x.dim() == 2 && x.is_contiguous() || is_in_order(&[0, 2, 3, 1]);
        let is_supported = match x.device() {
            Device::Cpu => {
                matches!(x.kind(), Kind::Float | Kind::Double | Kind::BFloat16)
                    && (in_rows || x.dim() == 4 && x.is_contiguous() || is_in_order(&[1, 2, 3, 0]))
            }
            Device::Cuda(index) => {
                matches!(x.kind(), Kind::Float | Kind::BFloat16)
                    && in_rows
                    && x.size()[1] % 4 == 0
                    && device::has_norm_kernels(index, x.kind() == Kind::BFloat16)
            }
            _ => false,
        };
        is_supported && x.numel() > 0
    }

    /// act(γ (x − μ) / √(σ² + ε) + β + `added`), where act is ReLU or the identity. There are no
    /// gradients where the running averages are used. For values in bf16, γ, β and the averages are
    /// in f32, as is the computation.
    ///
    /// # Panics
    /// If [`NormRelu::takes`] is false for `x`, or another tensor does not match it.
    pub fn forward(&self, x: &Tensor, added: Option<&Tensor>) -> Tensor {
        let kind = if x.kind() == Kind::BFloat16 { Kind::Float } else { x.kind() };
        let per_channel = [self.gamma, self.beta, self.mean, self.variance];
        assert!(
            Self::takes(x)
                && per_channel.iter().all(|one| one.kind() == kind
                    && one.device() == x.device()
                    && one.is_contiguous()
                    && one.size() == [x.size()[1]])
                && added.is_none_or(|added| added.size() == x.size() && added.kind() == x.kind())
                && (self.part.is_none() || x.device().is_cuda()),
            "batch normalisation of values with an unsupported shape, kind or device"
        );
        // SAFETY: all pointers are those of tensors that live until the end of the call; devices,
        // kinds and shapes are as the kernels expect (asserted above). The result is a new tensor
        // without another owner.
        unsafe {
            let result = fathom_norm_relu(
                x.as_ptr(),
                added.map_or(std::ptr::null(), Tensor::as_ptr),
                self.gamma.as_ptr(),
                self.beta.as_ptr(),
                self.mean.as_ptr(),
                self.variance.as_ptr(),
                self.update.is_some(),
                self.update.unwrap_or_default(),
                self.eps,
                self.relu,
                self.overwrite,
                self.part.unwrap_or(0) as i64,
            );
            if result.is_null() {
                fail("batch normalisation");
            }
            Tensor::from_ptr(result)
        }
    }
}

/// One update of SGD in one pass over the parameters: v ← momentum·v + g + weight_decay·w,
/// w ← w − lr·v (with `nesterov`: w ← w − lr·(g + momentum·v)).
pub struct FusedSgd<'a> {
    /// Gradients g.
    pub gradients: &'a Tensor,
    /// Momentum buffer v, which is updated; unused when `momentum` is 0.
    pub velocity: &'a Tensor,
    /// Learning rate (one f32 on the device of the parameters, which a CUDA graph reads anew at
    /// every replay).
    pub lr: &'a Tensor,
    /// Weight decay of all parameters.
    pub weight_decay: f64,
    /// Weight of the old velocity.
    pub momentum: f64,
    /// Whether the update is Nesterov's.
    pub nesterov: bool,
}

impl FusedSgd<'_> {
    /// Updates `parameters` and the velocity in place.
    ///
    /// # Panics
    /// If gradients or velocity do not have the sizes and strides of the parameters.
    pub fn update(&self, parameters: &Tensor) {
        // SAFETY: all pointers are those of tensors that live until the end of the call. The C++
        // function checks that they have the same sizes and strides.
        let is_done = unsafe {
            fathom_fused_sgd(
                parameters.as_ptr(),
                self.gradients.as_ptr(),
                self.velocity.as_ptr(),
                self.lr.as_ptr(),
                self.weight_decay,
                self.momentum,
                self.nesterov,
            )
        };
        if !is_done {
            fail("SGD update");
        }
    }
}

// Static libraries that fathom_shim depends on must follow it on the linker's command line.
#[link(name = "fathom_kernels_base", kind = "static")]
unsafe extern "C" {}

#[cfg(fathom_x86)]
#[link(name = "fathom_kernels_avx2", kind = "static")]
unsafe extern "C" {}

#[cfg(fathom_x86)]
#[link(name = "fathom_kernels_avx512", kind = "static")]
unsafe extern "C" {}

#[cfg(fathom_openmp)]
#[link(name = "gomp")]
unsafe extern "C" {}
