//! `fathom data fetch`.

use super::official;
use crate::stderr::log;
use crate::stdout;
use anyhow::Result;
use fathom_data::locate::target_folder;
use fathom_data::{Source, fetch};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::Path;

/// Downloads data sets, with a progress bar on a terminal and one line per file elsewhere.
///
/// # Errors
/// When a download fails or its checksum is wrong.
pub fn fetch_sets(sets: &[Source], from: Option<&str>, data_dir: Option<&Path>) -> Result<()> {
    let target = target_folder(data_dir)?;
    let sets = sets.iter().map(|name| official(*name)).collect::<Result<Vec<_>>>()?;
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::hidden();
    let style = "{prefix:>28} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}";
    bar.set_style(ProgressStyle::with_template(style)?);
    if terminal {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    let current = RefCell::new(String::new());
    let on_progress = |name: &str, done: u64, total: Option<u64>| {
        if *current.borrow() != name {
            name.clone_into(&mut current.borrow_mut());
            bar.set_prefix(name.to_owned());
            if !terminal {
                log(format!("downloading {name}"));
            }
        }
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    };
    for set in sets {
        let folder = fetch::fetch(set, &target, from, &on_progress);
        current.borrow_mut().clear();
        let folder = folder.inspect_err(|_| bar.finish_and_clear())?;
        stdout::write_line(format_args!("{}: {}", set.name, folder.display()))?;
    }
    bar.finish_and_clear();
    Ok(())
}
