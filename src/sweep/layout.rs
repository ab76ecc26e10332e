//! Which layout nets have: the one that is faster here, the same for all nets of a shape, since
//! results differ in their last digits.

use super::measure::job;
use super::{Conditions, Worker, concurrently};
use anyhow::{Context, Result};
use fathom_arch::Layer;
use fathom_record::{Layout, LayoutSeconds, Layouts, NetShape, ShapeLayout, State, SweepDir};
use fathom_spec::{Precision, Run};

/// Updates with each layout are timed for so long.
const SECONDS: f64 = 0.6;

/// Multiply-adds of all forward passes of a shape's runs below which measuring takes longer than
/// it could save: some fifteen seconds of training on one core.
const WORTH_IT: u64 = 50_000_000_000;

/// What decides on the layout of a run's net.
pub fn shape(run: &Run) -> NetShape {
    let network = &run.network;
    let width = network.layers.iter().find_map(|layer| match layer {
        Layer::Conv { outputs, .. } | Layer::Linear { outputs, .. } => Some(*outputs),
        _ => None,
    });
    let (width, batch) = (width.unwrap_or_default(), run.settings.training.batch);
    NetShape { width, input: network.input, batch }
}

/// The layouts that runs which have begun say they have.
///
/// # Errors
/// When a manifest is damaged.
pub fn begun(runs: &[Run], directory: &SweepDir) -> Result<Layouts> {
    let mut found = Layouts::default();
    for run in runs {
        let files = directory.run(&run.id);
        let shape = shape(run);
        if files.status()?.state != State::Pending && found.get(&shape).is_none() {
            // A run that failed before its first step has none.
            if let Ok(manifest) = files.manifest() {
                let layout = manifest.execution.layout;
                found.0.push(ShapeLayout { shape, layout, seconds: None });
            }
        }
    }
    Ok(found)
}

/// Completes `known` with the faster layout of every other shape: on the CPU it is measured, and
/// `told` hears of each measurement before it is made; on a GPU [`on_gpu`] says.
///
/// # Errors
/// Whatever would keep a run from training, naming it.
pub fn choose(
    runs: &[Run],
    mut known: Layouts,
    worker: &Worker,
    conditions: &Conditions,
    told: &mut dyn FnMut(&Run),
) -> Result<Layouts> {
    for run in runs {
        let of = shape(run);
        if known.get(&of).is_some() {
            continue;
        }
        let mut alike: Vec<&Run> = runs.iter().filter(|run| shape(run) == of).collect();
        let work = alike.iter().map(|run| run.work()).fold(0, u64::saturating_add);
        if conditions.device != "cpu" {
            let layout = on_gpu(&alike);
            known.0.push(ShapeLayout { shape: of, layout, seconds: None });
            continue;
        }
        alike.sort_by_key(|run| run.audit.macs);
        let typical = alike[alike.len() / 2];
        let has_convolutions =
            typical.network.layers.iter().any(|layer| matches!(layer, Layer::Conv { .. }));
        let seconds = if work < WORTH_IT || !has_convolutions {
            None
        } else {
            told(typical);
            let seconds = timed(typical, worker, conditions);
            Some(seconds.with_context(|| format!("measuring {}", typical.id))?)
        };
        let layout = seconds.as_ref().map_or(Layout::default(), LayoutSeconds::best);
        known.0.push(ShapeLayout { shape: of, layout, seconds });
    }
    Ok(known)
}

/// The layout of nets of one shape on a GPU, where measuring would cost seconds for each shape.
/// Tensor cores take channels that are next to each other, and in bf16 libtorch's batch
/// normalisation is slow otherwise; in f32 cuDNN is at home with [`Layout::Nchw`].
pub fn on_gpu(alike: &[&Run]) -> Layout {
    let precision = |run: &&Run| run.settings.training.precision;
    let uses_tensor_cores = alike.iter().any(|run| match precision(run) {
        Precision::F32 => false,
        Precision::Tf32 | Precision::Bf16 => true,
    });
    if uses_tensor_cores { Layout::ChannelsLast } else { Layout::Nchw }
}

/// An update's time with each layout: at once where runs are side by side, so that both meet the
/// crowd that a run meets, else one after the other.
fn timed(run: &Run, worker: &Worker, conditions: &Conditions) -> Result<LayoutSeconds> {
    let layouts = [Layout::Nchw, Layout::ChannelsLast];
    let time = |copy: usize| {
        let job = job(run, conditions, layouts[copy % 2]);
        Ok(worker.measure(&job, SECONDS)?.step_seconds)
    };
    let seconds = match conditions.jobs {
        0 | 1 => vec![time(0)?, time(1)?],
        jobs => concurrently(jobs, time)?,
    };
    let mean = |layout: usize| {
        let of: Vec<f64> = seconds.iter().skip(layout).step_by(2).copied().collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    Ok(LayoutSeconds { nchw: mean(0), channels_last: mean(1) })
}
