//! A test of a device: a convolution with fused normalisation, executed eagerly and as a CUDA graph.

use super::context::DeviceContext;
use super::cuda_graph::CudaGraphs;
use super::device;
use super::fault::Fault;
use super::placement::channels_last;
use super::process::process_age;
use super::shim::NormRelu;
use anyhow::anyhow;
use fathom_protocol::{CheckJob, Checked};
use fathom_record::{CudaUse, Layout};
use fathom_spec::Precision;
use std::rc::Rc;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Number of calls: enough for warm-up, capture, and replays with other images.
const CALLS: i64 = 6;

/// Largest difference between results of the GPU and of the CPU that rounding explains, relative to the
/// largest result.
const ROUNDING: f64 = 1e-3;

/// Computes a convolution with batch normalisation and its gradient on a device several times,
/// first eagerly and then by replaying a CUDA graph, and compares the results with those of the CPU.
///
/// # Errors
/// If the device is not usable, libtorch was not built for it, or results differ.
pub fn check(job: &CheckJob, started: Instant) -> Result<Checked, Fault> {
    let device = device::open(&job.device, 1)?;
    DeviceContext::new(device, Layout::default(), Precision::F32, CudaUse::default())?;
    let mut cuda_graphs = CudaGraphs::new(device != Device::Cpu);
    let values = |sizes: [i64; 4], phase: i64| {
        let all = Tensor::arange(sizes.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        ((all + phase).sin() * 0.1).view(sizes)
    };
    let filters = values([8, 3, 3, 3], 0);
    let on_device = Block::new(&filters, device);
    for call in 0..CALLS {
        let images = values([16, 3, 12, 12], call);
        let expected = Block::new(&filters, Device::Cpu).gradient(&images);
        let inputs = images.to_device(device);
        let found =
            cuda_graphs.run([&inputs, &inputs], |[images, _]| Rc::new(on_device.gradient(images)));
        let largest = |values: &Tensor| values.abs().max().double_value(&[]);
        let difference = largest(&(found.to_device(Device::Cpu) - &expected)) / largest(&expected);
        if difference.is_nan() || difference > ROUNDING {
            let error = anyhow!(
                "the gradient of a convolution with normalisation on {} differs by \
                 {difference:.1e} from the CPU's",
                job.device
            );
            return Err(error.into());
        }
    }
    Ok(Checked { seconds: process_age(started) })
}

/// A convolution, batch normalisation and ReLU.
struct Block {
    filters: Tensor,
    ones: Tensor,
    zeros: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl Block {
    fn new(filters: &Tensor, device: Device) -> Self {
        let filters = filters.to_device(device).copy().set_requires_grad(true);
        let ones = Tensor::ones(&filters.size()[..1], (Kind::Float, device));
        let (zeros, mean, variance) = (ones.zeros_like(), ones.zeros_like(), ones.copy());
        Self { filters, ones, zeros, mean, variance }
    }

    /// Gradient of a loss with respect to the filters.
    fn gradient(&self, images: &Tensor) -> Tensor {
        let normalised = NormRelu {
            gamma: &self.ones,
            beta: &self.zeros,
            mean: &self.mean,
            variance: &self.variance,
            update: Some(0.1),
            eps: 1e-5,
            relu: true,
            overwrite: false,
            part: None,
        };
        let responses = images.conv2d::<Tensor>(&self.filters, None, 1, 1, 1, 1);
        let loss = normalised.forward(&channels_last(&responses), None).square();
        let weighted =
            (loss * images.mean_dim([1i64].as_slice(), true, Kind::Float)).sum(Kind::Float);
        Tensor::run_backward(&[weighted], &[&self.filters], false, false).remove(0)
    }
}
