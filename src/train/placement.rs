//! Where a net's numbers lie, and of what kind they are.

use fathom_record::Layout;
use fathom_spec::Precision;
use tch::{Device, Kind, Tensor};

/// Device, order in memory, and kinds of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Where everything is.
    pub device: Device,
    /// Of activations and of convolutions' weights.
    pub layout: Layout,
    /// Of the parameters that are updated, of statistics, and of the loss.
    pub kind: Kind,
    /// Of activations, and of the copies of weights that they meet.
    pub compute: Kind,
}

impl Placement {
    /// Parameters in f32, activations as the precision says.
    pub fn new(device: Device, layout: Layout, precision: Precision) -> Self {
        let compute = match precision {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        Self { device, layout, kind: Kind::Float, compute }
    }

    /// Everything in one kind of number, in PyTorch's order.
    pub fn plain(device: Device, kind: Kind) -> Self {
        Self { device, layout: Layout::Nchw, kind, compute: kind }
    }

    /// Images (n × channels × rows × columns) as the net wants them.
    pub fn images(&self, images: &Tensor) -> Tensor {
        let images = images.to_device(self.device).to_kind(self.compute);
        match self.layout {
            Layout::Nchw => images.contiguous(),
            Layout::ChannelsLast => channels_last(&images),
        }
    }
}

/// The same values of a tensor of four dimensions, channels next to each other in memory.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
