//! Device, memory layout and number formats of a net's tensors.

use fathom_record::Layout;
use fathom_spec::Precision;
use tch::{Device, Kind, Tensor};

/// Device, memory layout and number formats.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Device of all tensors.
    pub device: Device,
    /// Memory layout of activations and of convolution weights.
    pub layout: Layout,
    /// Format of the parameters that the optimiser updates, of statistics and of the loss.
    pub kind: Kind,
    /// Format of activations and of the copies of the weights that the net computes with.
    pub compute: Kind,
}

impl Placement {
    /// Parameters in f32, activations in this precision.
    pub fn new(device: Device, layout: Layout, precision: Precision) -> Self {
        let compute = match precision {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        Self { device, layout, kind: Kind::Float, compute }
    }

    /// All tensors in one format, with PyTorch's default layout (NCHW).
    pub fn plain(device: Device, kind: Kind) -> Self {
        Self { device, layout: Layout::Nchw, kind, compute: kind }
    }

    /// Converts images (n × channels × rows × columns) to the device, format and layout of activations.
    pub fn images(&self, images: &Tensor) -> Tensor {
        let images = images.to_device(self.device).to_kind(self.compute);
        match self.layout {
            Layout::Nchw => images.contiguous(),
            Layout::ChannelsLast => channels_last(&images),
            Layout::BatchLast => batch_last(&images),
        }
    }
}

/// Copies a tensor of four dimensions to channels-last memory layout; its shape stays NCHW.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Copies a tensor of four dimensions to batch-last memory layout (channels, rows, columns, images);
/// its shape stays NCHW.
pub fn batch_last(tensor: &Tensor) -> Tensor {
    tensor.permute([1, 2, 3, 0]).contiguous().permute([3, 0, 1, 2])
}

/// Whether a tensor has four dimensions and batch-last memory layout. One that is contiguous as well,
/// such as a batch of one image, counts as contiguous.
pub fn is_batch_last(tensor: &Tensor) -> bool {
    tensor.dim() == 4 && !tensor.is_contiguous() && is_dense(tensor, &[1, 2, 3, 0])
}

/// Whether the values of a tensor are next to each other in memory, with the axes in this order, the
/// last one innermost. Unlike a test of a permuted tensor, this leaves autograd alone.
pub fn is_dense(tensor: &Tensor, order: &[usize]) -> bool {
    let (size, stride) = (tensor.size(), tensor.stride());
    let mut expected = 1;
    order.iter().rev().all(|axis| {
        let fits = size[*axis] == 1 || stride[*axis] == expected;
        expected *= size[*axis];
        fits
    })
}
