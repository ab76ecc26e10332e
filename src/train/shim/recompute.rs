//! Functions whose intermediate values are computed anew in the backward pass instead of kept.

use super::fail;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::Tensor;
use torch_sys::C_tensor;

/// A function of tensors.
type Function = Box<dyn Fn(&[Tensor]) -> Tensor + Send>;
type Call = unsafe extern "C" fn(*const c_void, *const *mut C_tensor, usize) -> *mut C_tensor;
type Drop = unsafe extern "C" fn(*mut c_void);

#[link(name = "fathom_shim", kind = "static")]
unsafe extern "C" {
    fn fathom_recomputed(
        inputs: *const *const C_tensor,
        count: usize,
        data: *mut c_void,
        call: Call,
        drop: Drop,
    ) -> *mut C_tensor;
}

/// The value of a function at `inputs`, of which autograd keeps the inputs alone: the backward pass calls the
/// function a second time. Gradients reach the inputs and nothing else that the function uses.
///
/// # Panics
/// If the function panics, here or in the backward pass.
pub fn recomputed(inputs: &[Tensor], function: Function) -> Tensor {
    let pointers: Vec<*const C_tensor> = inputs.iter().map(Tensor::as_ptr).collect();
    let data = Box::into_raw(Box::new(function)).cast::<c_void>();
    // SAFETY: the pointers are those of tensors that live until the end of the call. `data` is a `Function`, which
    // `call` borrows and `drop` frees; the C++ side calls `drop` once, and `call` never after it. The result is a new
    // tensor without another owner.
    unsafe {
        let result = fathom_recomputed(pointers.as_ptr(), pointers.len(), data, call, drop);
        if result.is_null() {
            fail("a function that is computed anew");
        }
        Tensor::from_ptr(result)
    }
}

/// Calls the function behind `data`; null if it panics, with the message on standard error.
///
/// # Safety
/// `data` must be a [`Function`], and `inputs` so many pointers to tensors.
unsafe extern "C" fn call(
    data: *const c_void,
    inputs: *const *mut C_tensor,
    count: usize,
) -> *mut C_tensor {
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as the caller guarantees.
        let (function, pointers) =
            unsafe { (&*data.cast::<Function>(), std::slice::from_raw_parts(inputs, count)) };
        let inputs: Vec<Tensor> = pointers
            .iter()
            // SAFETY: the pointers are those of tensors, which are borrowed for this call.
            .map(|pointer| unsafe { Tensor::clone_from_ptr(*pointer) })
            .collect();
        function(&inputs)
    }));
    match result {
        Ok(mut tensor) => {
            // The caller owns the tensor from now on.
            let pointer = tensor.as_mut_ptr();
            std::mem::forget(tensor);
            pointer
        }
        Err(_) => std::ptr::null_mut(),
    }
}

/// Frees the function behind `data`.
///
/// # Safety
/// `data` must be a [`Function`] that nobody uses any more.
unsafe extern "C" fn drop(data: *mut c_void) {
    // SAFETY: as the caller guarantees.
    std::mem::drop(unsafe { Box::from_raw(data.cast::<Function>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tch::Kind;

    #[test]
    fn gradients_are_those_of_the_function_and_it_is_freed_after_two_calls() {
        let [x, w, fixed] = [1.0, 2.0, 3.0].map(|value| Tensor::from(value).to_kind(Kind::Float));
        let [x, w] = [x, w].map(|leaf| leaf.set_requires_grad(true));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let y = recomputed(
            &[x.shallow_clone(), fixed.shallow_clone(), w.shallow_clone()],
            Box::new(move |inputs| {
                counted.fetch_add(1, Ordering::Relaxed);
                (&inputs[0] * &inputs[2]).exp() + &inputs[1]
            }),
        );
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let loss = &y * 2.0;
        let gradients = Tensor::run_backward(&[&loss], &[&x, &w], false, false);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        let expected = [4.0 * 2f64.exp(), 2.0 * 2f64.exp()];
        for (found, expected) in gradients.iter().zip(expected) {
            assert!((found.double_value(&[]) - expected).abs() < 1e-5, "{found}");
        }
        std::mem::drop((y, loss));
        assert_eq!(Arc::strong_count(&calls), 1, "the function is freed");
    }
}
