//! Whether a GPU can do what training asks of it: a convolution, and a recorded one.

use super::cuda_graph::CudaGraphs;
use super::device;
use super::fault::Fault;
use super::run::process_age;
use anyhow::anyhow;
use fathom_protocol::{CheckJob, Checked};
use fathom_record::CudaUse;
use fathom_spec::Precision;
use std::rc::Rc;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Calls of the recorded work: it is recorded by then, and replayed with other images.
const CALLS: i64 = 6;

/// Difference between results of the GPU and of the CPU that is rounding.
const ROUNDING: f64 = 1e-3;

/// Computes a convolution and its gradient on a device several times, which libtorch does operation
/// by operation first and by replaying a CUDA graph then, and compares them with the CPU's.
///
/// # Errors
/// When the device is not there, libtorch was not built for it, or results differ.
pub fn check(job: &CheckJob, started: Instant) -> Result<Checked, Fault> {
    let device = device::open(&job.device)?;
    device::fast(device, CudaUse::default(), Precision::F32)?;
    let mut recorder = CudaGraphs::new(device != Device::Cpu);
    let values = |sizes: [i64; 4], phase: i64| {
        let all = Tensor::arange(sizes.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        ((all + phase).sin() * 0.1).view(sizes)
    };
    let filters = values([8, 3, 3, 3], 0);
    let on_device = filters.to_device(device).set_requires_grad(true);
    for call in 0..CALLS {
        let images = values([16, 3, 12, 12], call);
        let expected = gradient(&images, &filters.copy().set_requires_grad(true));
        let given = images.to_device(device);
        let found =
            recorder.run([&given, &given], |[images, _]| Rc::new(gradient(images, &on_device)));
        let difference = (found.to_device(Device::Cpu) - expected).abs().max().double_value(&[]);
        if difference.is_nan() || difference > ROUNDING {
            let error = anyhow!(
                "a convolution's gradient on {} is off by {difference:.1e} from the CPU's",
                job.device
            );
            return Err(error.into());
        }
    }
    Ok(Checked { seconds: process_age(started) })
}

/// The gradient of a loss by the filters of a convolution.
fn gradient(images: &Tensor, filters: &Tensor) -> Tensor {
    let loss = images.conv2d::<Tensor>(filters, None, 1, 1, 1, 1).square().mean(Kind::Float);
    Tensor::run_backward(&[loss], &[filters], false, false).remove(0)
}
