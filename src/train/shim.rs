//! What tch lacks, in C++ (`shim/`), behind safe functions: no raw pointer leaves this module.
//!
//! As tch's own operations do, these panic with libtorch's words when it refuses, such as for want
//! of memory.

pub mod device;

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
        share: f64,
        eps: f64,
        relu: bool,
        overwrite: bool,
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

/// Panics with the words of the failure that the last call in this thread met.
fn refuse(what: &str) -> ! {
    // SAFETY: the text belongs to this thread and is not changed before the next call.
    let words = unsafe { CStr::from_ptr(fathom_error()) };
    panic!("{what}: {}", words.to_string_lossy())
}

/// What the loops here were compiled for.
pub fn kernels() -> String {
    // SAFETY: the text is a constant.
    unsafe { CStr::from_ptr(fathom_kernels()) }.to_string_lossy().into_owned()
}

/// Batch normalisation, and what follows it, in one operation.
pub struct NormRelu<'a> {
    /// γ and β.
    pub scale: [&'a Tensor; 2],
    /// Moving mean and unbiased variance.
    pub averages: [&'a Tensor; 2],
    /// Share by which the averages move towards the batch's statistics, which are used then;
    /// nothing: the averages are used.
    pub share: Option<f64>,
    /// Added to the variance.
    pub eps: f64,
    /// Whether negative values become 0.
    pub relu: bool,
    /// Whether `x` may be overwritten where no gradient is asked for.
    pub overwrite: bool,
}

impl NormRelu<'_> {
    /// Whether these values are such that [`NormRelu::forward`] takes them: on the processor, in
    /// f32 or f64, images × channels × rows × columns without gaps in either layout, or images ×
    /// channels.
    pub fn takes(x: &Tensor) -> bool {
        let is_dense = match x.dim() {
            2 => x.is_contiguous(),
            4 => x.is_contiguous() || x.permute([0, 2, 3, 1]).is_contiguous(),
            _ => false,
        };
        x.device() == Device::Cpu
            && matches!(x.kind(), Kind::Float | Kind::Double)
            && is_dense
            && x.numel() > 0
    }

    /// act(γ (x − μ) / √(σ² + ε) + β + `added`) of values that [`NormRelu::takes`].
    pub fn forward(&self, x: &Tensor, added: Option<&Tensor>) -> Tensor {
        let all = [self.scale, self.averages].concat();
        assert!(
            Self::takes(x)
                && all.iter().all(|one| one.kind() == x.kind()
                    && one.device() == Device::Cpu
                    && one.is_contiguous()
                    && one.size() == [x.size()[1]])
                && added.is_none_or(|added| added.size() == x.size() && added.kind() == x.kind()),
            "normalising values of the wrong shape or kind"
        );
        let [gamma, beta, mean, variance] = [all[0], all[1], all[2], all[3]].map(Tensor::as_ptr);
        // SAFETY: all pointers are those of tensors that live until the end of the call; devices,
        // kinds and shapes are as the loops expect (asserted above). The result is a new tensor
        // that nobody else owns.
        unsafe {
            let result = fathom_norm_relu(
                x.as_ptr(),
                added.map_or(std::ptr::null(), Tensor::as_ptr),
                gamma,
                beta,
                mean,
                variance,
                self.share.is_some(),
                self.share.unwrap_or_default(),
                self.eps,
                self.relu,
                self.overwrite,
            );
            if result.is_null() {
                refuse("batch normalisation");
            }
            Tensor::from_ptr(result)
        }
    }
}

/// One update of SGD in one pass: v ← `momentum`·v + g + `weight_decay`·w, w ← w − lr·v (with
/// `nesterov`: w ← w − lr·(g + momentum·v)). `lr` is a tensor of one f32 on the same device, so
/// that a recorded update sees another rate.
pub fn fused_sgd(
    parameters: &Tensor,
    [gradients, velocity]: [&Tensor; 2],
    lr: &Tensor,
    (weight_decay, momentum, nesterov): (f64, f64, bool),
) {
    // SAFETY: all pointers are those of tensors that live until the end of the call. That they lie
    // alike in memory is checked there.
    let done = unsafe {
        fathom_fused_sgd(
            parameters.as_ptr(),
            gradients.as_ptr(),
            velocity.as_ptr(),
            lr.as_ptr(),
            weight_decay,
            momentum,
            nesterov,
        )
    };
    if !done {
        refuse("an update");
    }
}

// What the shim itself needs comes after it.
#[link(name = "fathom_kernels_base", kind = "static")]
unsafe extern "C" {}

#[cfg(fathom_avx2)]
#[link(name = "fathom_kernels_avx2", kind = "static")]
unsafe extern "C" {}

#[cfg(fathom_openmp)]
#[link(name = "gomp")]
unsafe extern "C" {}
