//! Convolutions of narrow nets on the CPU.

use super::{fail, fathom_convolution};
use tch::{Device, Kind, Tensor};

/// Convolution with kernels of our own, which are fast for few channels: a vector of the processor
/// holds the same pixel of several images.
pub struct BatchLastConvolution<'a> {
    /// Filters (outputs × inputs × rows × columns, as many rows as columns).
    pub weight: &'a Tensor,
    /// One value for each output.
    pub bias: Option<&'a Tensor>,
    /// Pixels from one output to the next.
    pub stride: i64,
    /// Pixels of zeros around each image.
    pub padding: i64,
}

impl BatchLastConvolution<'_> {
    /// Whether [`BatchLastConvolution::forward`] supports these values: images × channels × rows ×
    /// columns on the CPU in f32.
    pub fn takes(x: &Tensor) -> bool {
        x.device() == Device::Cpu && x.kind() == Kind::Float && x.dim() == 4 && x.numel() > 0
    }

    /// The convolution of `x`, in batch-last order. Values in another order are copied first.
    ///
    /// # Panics
    /// If [`BatchLastConvolution::takes`] is false for `x`, another tensor does not match it, or the
    /// images with their padding are smaller than the filters.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let Self { weight, bias, stride, padding } = *self;
        assert!(
            Self::takes(x) && Self::takes(weight),
            "convolution of values with an unsupported shape, kind or device"
        );
        let [outputs, inputs, side, columns] = weight.size()[..] else { unreachable!() };
        let [_, channels, height, width] = x.size()[..] else { unreachable!() };
        assert!(
            channels == inputs
                && side == columns
                && stride > 0
                && padding >= 0
                && height.min(width) + 2 * padding >= side
                && bias.is_none_or(|bias| {
                    (bias.device(), bias.kind(), bias.size())
                        == (Device::Cpu, Kind::Float, vec![outputs])
                }),
            "convolution of {:?} with filters {:?}, stride {stride} and padding {padding}",
            x.size(),
            weight.size()
        );
        // SAFETY: all pointers are those of tensors that live until the end of the call; devices,
        // kinds and shapes are as the kernels expect (asserted above). The result is a new tensor
        // without another owner.
        unsafe {
            let result = fathom_convolution(
                x.as_ptr(),
                weight.as_ptr(),
                bias.map_or(std::ptr::null(), Tensor::as_ptr),
                stride,
                padding,
            );
            if result.is_null() {
                fail("convolution");
            }
            Tensor::from_ptr(result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::is_batch_last;
    use std::process::Command;

    /// Images, channels, rows, columns, outputs, side of the filters, stride, padding.
    const SHAPES: [[i64; 8]; 15] = [
        [64, 4, 14, 14, 4, 3, 1, 1],
        [64, 1, 14, 14, 4, 3, 1, 1],
        [20, 3, 16, 16, 8, 3, 1, 1],
        [33, 4, 14, 14, 8, 3, 2, 1],
        [17, 8, 7, 7, 16, 3, 2, 1],
        [40, 16, 4, 4, 16, 3, 1, 1],
        [16, 32, 5, 3, 12, 3, 1, 1],
        [8, 8, 16, 16, 16, 1, 2, 0],
        [7, 3, 9, 11, 6, 5, 2, 2],
        [1, 5, 5, 6, 7, 3, 1, 0],
        [3, 4, 7, 7, 5, 5, 1, 2],
        [9, 2, 8, 8, 3, 3, 3, 1],
        [5, 2, 6, 6, 3, 1, 1, 2],
        [5, 2, 1, 4, 3, 1, 1, 2],
        [2, 3, 23, 23, 64, 7, 2, 3],
    ];

    fn numbers(shape: &[i64], phase: f64) -> Tensor {
        let count: i64 = shape.iter().product();
        let angles = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase;
        (angles.sin() * 1.3).reshape(shape)
    }

    /// The result, and the gradients of images, filters and bias for a gradient of the result that
    /// has one sign.
    fn all_of(leaves: &[Tensor; 3], convolve: impl Fn(&[Tensor; 3]) -> Tensor) -> Vec<Tensor> {
        let leaves = leaves.each_ref().map(|leaf| leaf.detach().set_requires_grad(true));
        let y = convolve(&leaves);
        let weights = (numbers(&y.size(), 2.0) + 1.5).to_kind(y.kind());
        let loss = (&y * weights).sum(y.kind());
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        std::iter::once(y.detach()).chain(gradients).collect()
    }

    #[test]
    fn convolutions_are_those_of_libtorch_to_rounding() {
        for shape in SHAPES {
            let [n, channels, rows, columns, outputs, side, stride, padding] = shape;
            let double = [
                numbers(&[n, channels, rows, columns], 0.0),
                numbers(&[outputs, channels, side, side], 1.0),
                numbers(&[outputs], 3.0),
            ];
            let single = double.each_ref().map(|leaf| leaf.to_kind(Kind::Float));
            let by_libtorch = |[x, weight, bias]: &[Tensor; 3]| {
                x.conv2d(weight, Some(bias), [stride; 2], [padding; 2], [1, 1], 1)
            };
            let exact = all_of(&double, by_libtorch);
            // Sums of absolute values, which rounding errors are proportional to.
            let sizes = all_of(&double.each_ref().map(Tensor::abs), by_libtorch);
            let found = all_of(&single, |[x, weight, bias]| {
                let bias = Some(bias);
                BatchLastConvolution { weight, bias, stride, padding }.forward(x)
            });
            assert!(is_batch_last(&found[0]) || n == 1, "{shape:?}");
            for (place, ((found, exact), size)) in found.iter().zip(&exact).zip(&sizes).enumerate()
            {
                assert_eq!(found.size(), exact.size(), "{shape:?}, {place}");
                let apart = (found.to_kind(Kind::Double) - exact).abs() / (size + 1e-300);
                let apart = apart.max().double_value(&[]);
                assert!(apart < 1e-6, "{shape:?}, {place}: {apart:e}");
            }
            // Without gradients the result is the same to the bit.
            let [x, weight, bias] = &single;
            let _guard = tch::no_grad_guard();
            let again = BatchLastConvolution { weight, bias: Some(bias), stride, padding };
            assert_eq!(again.forward(x), found[0], "{shape:?}");
        }
    }

    #[test]
    fn every_instruction_set_of_this_processor_gives_the_same() {
        for capability in ["default", "avx2"] {
            if capability == "avx2" && !super::super::kernels().contains("AVX") {
                continue;
            }
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "shim::conv::tests::convolutions_are_those_of_libtorch_to_rounding",
                ])
                .env("ATEN_CPU_CAPABILITY", capability)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && told.contains("1 passed"), "{capability}: {told}");
        }
    }
}
