//! Memory layout of each shape of net. All runs of a shape have the same one, since results differ
//! in their last digits: earlier runs bind, then `--layout`, else the faster one is taken.

use super::{Options, Worker, concurrently, net_shape};
use anyhow::{Context, Result, ensure};
use fathom_protocol::Job;
use fathom_record::{Layout, LayoutSeconds, Layouts, NetShape, ShapeLayout, State, SweepDir};
use fathom_spec::{Precision, Run};

/// Seconds for which updates are timed with each layout.
const SECONDS: f64 = 0.6;

/// Multiply-adds of all forward passes of a shape's runs below which measuring takes longer than
/// it could save: about fifteen seconds of training on one core.
const WORTH_IT: u64 = 50_000_000_000;

/// The layout of every shape of net among `runs`: the one of earlier runs in `directory`, else
/// `requested`, else the faster one. `on_measure` is called before each measurement.
///
/// # Errors
/// When `requested` differs from the layout of earlier runs, or a net cannot be measured.
pub fn settle_layouts(
    runs: &[Run],
    directory: Option<&SweepDir>,
    worker: &Worker,
    options: &Options,
    requested: Option<Layout>,
    on_measure: &mut dyn FnMut(&Run),
) -> Result<Layouts> {
    let known = match directory {
        Some(directory) => layouts_of_earlier_runs(runs, directory)?,
        None => Layouts::default(),
    };
    match requested {
        Some(layout) => requested_layouts(runs, known, layout, directory),
        None => complete(known, runs, |same_shape| {
            if options.on_cpu() {
                measured_layout(same_shape, worker, options, on_measure)
            } else {
                Ok((gpu_layout(same_shape), None))
            }
        }),
    }
}

/// The layouts of runs that train on GPUs of other machines, where nothing can be measured: those of
/// earlier runs, and the usually faster one for all other shapes.
///
/// # Errors
/// When files of the directory are damaged.
pub fn gpu_layouts(runs: &[Run], directory: &SweepDir) -> Result<Layouts> {
    let known = layouts_of_earlier_runs(runs, directory)?;
    complete(known, runs, |same_shape| Ok((gpu_layout(same_shape), None)))
}

/// Gives every shape without a layout the one that `choose` finds for its runs.
fn complete(
    mut known: Layouts,
    runs: &[Run],
    mut choose: impl FnMut(&[&Run]) -> Result<(Layout, Option<LayoutSeconds>)>,
) -> Result<Layouts> {
    for run in runs {
        let shape = net_shape(run);
        if known.get(&shape).is_none() {
            let same_shape: Vec<&Run> = runs.iter().filter(|run| net_shape(run) == shape).collect();
            let (layout, seconds) = choose(&same_shape)?;
            known.0.push(ShapeLayout { shape, layout, seconds });
        }
    }
    Ok(known)
}

fn requested_layouts(
    runs: &[Run],
    mut known: Layouts,
    layout: Layout,
    directory: Option<&SweepDir>,
) -> Result<Layouts> {
    for run in runs {
        let shape = net_shape(run);
        match known.get(&shape) {
            None => known.0.push(unmeasured(shape, layout)),
            Some(before) => ensure!(
                before == layout,
                "runs like {} in {} have another layout, and --layout would change their last \
                 digits: leave it out, or give another --out",
                run.id,
                directory.map(|dir| dir.root().display().to_string()).unwrap_or_default(),
            ),
        }
    }
    Ok(known)
}

fn unmeasured(shape: NetShape, layout: Layout) -> ShapeLayout {
    ShapeLayout { shape, layout, seconds: None }
}

/// The layouts in `execution.json`, and those in the manifests of runs that began before layouts were
/// recorded there.
fn layouts_of_earlier_runs(runs: &[Run], directory: &SweepDir) -> Result<Layouts> {
    let mut known = directory.execution()?.map(|stored| stored.layouts).unwrap_or_default();
    for run in runs {
        let files = directory.run(&run.id);
        let shape = net_shape(run);
        if known.get(&shape).is_none()
            && files.status()?.state != State::Pending
            // A run that failed before its first step has no manifest.
            && let Ok(manifest) = files.manifest()
        {
            known.0.push(unmeasured(shape, manifest.execution.layout));
        }
    }
    Ok(known)
}

/// The faster layout for runs of one shape on the CPU, by timing the net of median size. Short runs
/// and nets without convolutions take the default instead.
fn measured_layout(
    same_shape: &[&Run],
    worker: &Worker,
    options: &Options,
    on_measure: &mut dyn FnMut(&Run),
) -> Result<(Layout, Option<LayoutSeconds>)> {
    let work = same_shape.iter().map(|run| run.work()).fold(0, u64::saturating_add);
    let mut by_size = same_shape.to_vec();
    by_size.sort_by_key(|run| run.audit.macs);
    let typical = by_size[by_size.len() / 2];
    if work < WORTH_IT || !typical.network.has_convolutions() {
        return Ok((Layout::default(), None));
    }
    on_measure(typical);
    let layouts = Layout::candidates(same_shape.iter().all(|run| is_f32(run)));
    let seconds = timed(typical, layouts, worker, options)
        .with_context(|| format!("measuring {}", typical.id))?;
    Ok((seconds.best(), Some(seconds)))
}

/// The usually faster layout for nets of one shape on a GPU, where measuring would cost seconds for
/// each shape. Tensor cores take channels that are next to each other, and in bf16 libtorch's batch
/// normalisation is slow otherwise; in f32 cuDNN prefers [`Layout::Nchw`].
fn gpu_layout(same_shape: &[&Run]) -> Layout {
    if same_shape.iter().any(|run| !is_f32(run)) { Layout::ChannelsLast } else { Layout::Nchw }
}

/// The layout of a run, given those of all shapes. Runs in f32 and in bf16 may have one shape, of which
/// the former have chosen a layout that is for f32 alone.
pub fn layout_of(run: &Run, layouts: &Layouts) -> Layout {
    match layouts.of(&net_shape(run)) {
        Layout::BatchLast if !is_f32(run) => Layout::ChannelsLast,
        layout => layout,
    }
}

/// Whether a run trains in f32.
pub fn is_f32(run: &Run) -> bool {
    match run.settings.training.precision {
        Precision::F32 => true,
        Precision::Tf32 | Precision::Bf16 => false,
    }
}

/// Mean time of an update with each candidate. Where runs are concurrent, both are timed at the same
/// time, so that both meet the same load; else one after the other.
fn timed(
    run: &Run,
    layouts: [Layout; 2],
    worker: &Worker,
    options: &Options,
) -> Result<LayoutSeconds> {
    let time = |copy: usize| {
        let job = Job { layout: layouts[copy % 2], ..options.timing_job(run) };
        Ok(worker.measure(&job, SECONDS)?.step_seconds)
    };
    let seconds = match options.jobs {
        0 | 1 => vec![time(0)?, time(1)?],
        jobs => concurrently(jobs, time)?,
    };
    let mean = |first: usize| {
        let of: Vec<f64> = seconds.iter().skip(first).step_by(2).copied().collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    Ok(LayoutSeconds([(layouts[0], mean(0)), (layouts[1], mean(1))].into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{directory, runs};

    #[test]
    fn earlier_layouts_bind_and_others_are_chosen_once_per_shape() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, runs) = (directory(&folder), runs());
        let layouts = gpu_layouts(&runs, &directory).unwrap();
        assert_eq!(layouts.0, [unmeasured(net_shape(&runs[0]), Layout::Nchw)]);
        let other = requested_layouts(&runs, layouts, Layout::ChannelsLast, Some(&directory));
        let message = other.unwrap_err().to_string();
        assert!(message.starts_with(&format!("runs like {} in ", runs[0].id)), "{message}");
        assert!(message.contains("have another layout"), "{message}");
    }

    #[test]
    fn a_layout_for_f32_alone_is_left_to_runs_in_f32() {
        let mut run = runs().remove(0);
        let layouts = Layouts(vec![unmeasured(net_shape(&run), Layout::BatchLast)]);
        assert_eq!(layout_of(&run, &layouts), Layout::BatchLast);
        run.settings.training.precision = Precision::Bf16;
        assert_eq!(layout_of(&run, &layouts), Layout::ChannelsLast);
    }
}
