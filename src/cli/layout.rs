//! Layouts of a sweep's nets: what earlier runs had, what was asked for, or what is faster.

use super::measure::conditions;
use super::stderr::say;
use anyhow::{Result, ensure};
use fathom_record::{Layout, Layouts, ShapeLayout, SweepDir};
use fathom_spec::Run;
use fathom_sweep::{self as sweep, Options, Worker, shape};

/// The layout of every shape of net among the runs.
///
/// # Errors
/// When another one is asked for than earlier runs in this directory have, or a net cannot be
/// measured.
pub fn settle(
    runs: &[Run],
    directory: Option<&SweepDir>,
    worker: &Worker,
    options: &Options,
    asked: Option<Layout>,
) -> Result<Layouts> {
    let mut known = match directory {
        Some(directory) => of_before(runs, directory)?,
        None => Layouts::default(),
    };
    if let Some(layout) = asked {
        for run in runs {
            let shape = shape(run);
            match known.get(&shape) {
                None => known.0.push(ShapeLayout { shape, layout, seconds: None }),
                Some(before) => ensure!(
                    before == layout,
                    "runs like {} in {} have another layout, and --layout would change their last \
                     digits: leave it out, or give another --out",
                    run.id,
                    directory.map(|dir| dir.root().display().to_string()).unwrap_or_default(),
                ),
            }
        }
        return Ok(known);
    }
    let mut told = |run: &Run| say(format!("measuring which layout is faster for {}", run.id));
    sweep::choose(runs, known, worker, &conditions(runs, options), &mut told)
}

/// The layouts of runs that train on the GPUs of other machines, where nothing can be measured:
/// those of before, and [`sweep::on_gpu`]'s for the rest.
///
/// # Errors
/// When the directory's files are damaged.
pub fn unmeasured(runs: &[Run], directory: &SweepDir) -> Result<Layouts> {
    let mut known = of_before(runs, directory)?;
    for run in runs {
        let shape = shape(run);
        if known.get(&shape).is_none() {
            let alike: Vec<&Run> =
                runs.iter().filter(|other| sweep::shape(other) == shape).collect();
            let layout = sweep::on_gpu(&alike);
            known.0.push(ShapeLayout { shape, layout, seconds: None });
        }
    }
    Ok(known)
}

/// What was stored, and what runs say that began before layouts were.
fn of_before(runs: &[Run], directory: &SweepDir) -> Result<Layouts> {
    let mut known = directory.execution()?.map(|stored| stored.layouts).unwrap_or_default();
    for one in sweep::begun(runs, directory)?.0 {
        if known.get(&one.shape).is_none() {
            known.0.push(one);
        }
    }
    Ok(known)
}
