//! Scales, file formats and options of figures.

use super::{Args, Asked};
use crate::experiment::text_of_key;
use crate::stderr::log;
use anyhow::{Context, Result, anyhow};
use fathom_base::choice;
use fathom_plot::{Options, lacking_letters, to_pdf, to_png};
use fathom_record::SweepDir;
use fathom_spec::check_note;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

choice! {
    /// Scale of an axis.
    #[derive(Default)]
    pub enum Scale {
        /// Equal differences
        #[default]
        Linear,
        /// Equal ratios
        Log,
    }
}

choice! {
    /// File format of a figure; the word is the ending of the file.
    pub enum Format {
        /// Vector graphics
        Svg,
        /// Pixels
        Png,
        /// Vector graphics on a page of their size, for LaTeX
        Pdf,
    }
}

impl Format {
    /// The bytes of a figure in this format. Letters that become boxes in it are named on standard error, each once.
    ///
    /// # Errors
    /// When the figure cannot be converted.
    pub fn encode(self, svg: &str) -> Result<Vec<u8>> {
        static NAMED: Mutex<BTreeSet<char>> = Mutex::new(BTreeSet::new());
        // In an SVG, the viewer takes them from another font.
        if self != Format::Svg {
            let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
            let lacking: BTreeSet<char> =
                lacking_letters(svg)?.difference(&named).copied().collect();
            if !lacking.is_empty() {
                let letters: Vec<String> = lacking.iter().map(char::to_string).collect();
                log(format!(
                    "note: the font of figures lacks {}: PNG and PDF have a box in the place of each",
                    letters.join(" ")
                ));
            }
            named.extend(lacking);
        }
        match self {
            Format::Svg => Ok(svg.as_bytes().to_vec()),
            Format::Png => to_png(svg),
            Format::Pdf => to_pdf(svg),
        }
    }
}

/// Options of the figures of a results directory. If the experiment file cannot be read, the figures
/// have no note.
pub fn figure_options(
    args: &Args,
    asked: Asked,
    group_by: Option<String>,
    dir: &SweepDir,
) -> Options {
    let source = source(dir);
    Options {
        metric: args.metric,
        below: args.below,
        log_x: args.x == Scale::Log,
        log_y: args.y == Scale::Log,
        group_by,
        colour: asked.colour,
        facet: asked.facet,
        width: args.width,
        smooth: args.smooth,
        y_max: args.y_max,
        trains_below: args.trains_below,
        note: note(dir),
        source: match asked.conditions {
            Some(conditions) => format!("{source}, where {conditions}"),
            None => source,
        },
    }
}

/// The files of the curves of a results directory, for captions.
pub fn source(dir: &SweepDir) -> String {
    let runs = dir.root().join("runs");
    let source = if runs.is_dir() { runs.join("*/curve.csv") } else { dir.curves() };
    source.display().to_string()
}

/// The `note` of the directory's experiment; none, with a message, if the file cannot be read.
pub fn note(dir: &SweepDir) -> Option<String> {
    note_in(&dir.experiment()).unwrap_or_else(|error| {
        log(format!("note: the figures are drawn without the experiment's note: {error:#}"));
        None
    })
}

/// The `note` of the experiment file, if there is one.
fn note_in(experiment: &Path) -> Result<Option<String>> {
    if !experiment.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(experiment)
        .with_context(|| format!("in {}", experiment.display()))?;
    let note = text_of_key(experiment, &text, "note")?;
    if let Some(note) = &note {
        check_note(note).map_err(|why| anyhow!("{}: note: {why}", experiment.display()))?;
    }
    Ok(note)
}
