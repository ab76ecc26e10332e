//! A test of a device: a convolution, executed eagerly and as a CUDA graph.

use super::context::DeviceContext;
use super::cuda_graph::CudaGraphs;
use super::device;
use super::fault::Fault;
use super::process::process_age;
use anyhow::anyhow;
use fathom_protocol::{CheckJob, Checked};
use fathom_record::{CudaUse, Layout};
use fathom_spec::Precision;
use std::rc::Rc;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Number of calls: enough for warm-up, capture, and replays with other images.
const CALLS: i64 = 6;

/// Largest difference between results of the GPU and of the CPU that rounding explains.
const ROUNDING: f64 = 1e-3;

/// Computes a convolution and its gradient on a device several times, first eagerly and then by
/// replaying a CUDA graph, and compares the results with those of the CPU.
///
/// # Errors
/// If the device is not usable, libtorch was not built for it, or results differ.
pub fn check(job: &CheckJob, started: Instant) -> Result<Checked, Fault> {
    let device = device::open(&job.device, 1)?;
    let cuda = CudaUse { fused: false, ..CudaUse::default() };
    DeviceContext::new(device, Layout::default(), Precision::F32, cuda)?;
    let mut cuda_graphs = CudaGraphs::new(device != Device::Cpu);
    let values = |sizes: [i64; 4], phase: i64| {
        let all = Tensor::arange(sizes.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        ((all + phase).sin() * 0.1).view(sizes)
    };
    let filters = values([8, 3, 3, 3], 0);
    let on_device = filters.to_device(device).set_requires_grad(true);
    for call in 0..CALLS {
        let images = values([16, 3, 12, 12], call);
        let expected = gradient(&images, &filters.copy().set_requires_grad(true));
        let inputs = images.to_device(device);
        let found = cuda_graphs
            .run([&inputs, &inputs], |[images, _]| Rc::new(gradient(images, &on_device)));
        let difference = (found.to_device(Device::Cpu) - expected).abs().max().double_value(&[]);
        if difference.is_nan() || difference > ROUNDING {
            let error = anyhow!(
                "the gradient of a convolution on {} differs by {difference:.1e} from the CPU's",
                job.device
            );
            return Err(error.into());
        }
    }
    Ok(Checked { seconds: process_age(started) })
}

/// Gradient of a loss with respect to the filters of a convolution.
fn gradient(images: &Tensor, filters: &Tensor) -> Tensor {
    let loss = images.conv2d::<Tensor>(filters, None, 1, 1, 1, 1).square().mean(Kind::Float);
    Tensor::run_backward(&[loss], &[filters], false, false).remove(0)
}
