//! Detection of results whose manifests were edited.

use anyhow::{Result, ensure};
use fathom_arch::family;
use fathom_record::{Provenance, SweepDir};
use fathom_spec::fingerprint;

/// Refuses a directory that does not exist, or that has a `run.json` whose configuration does not have the hash in its run id.
/// Only runs of fathom itself, and only of families that this program knows, are checked: other
/// programs may name their runs as they like.
///
/// # Errors
/// When the directory is missing, or such a file exists: with its path.
pub fn check_integrity(directory: &SweepDir) -> Result<()> {
    directory.check_exists()?;
    directory.provenance()?.iter().try_for_each(|(id, run)| check_run(directory, id, run))
}

/// The same for one run.
pub(super) fn check_run(directory: &SweepDir, id: &str, run: &Provenance) -> Result<()> {
    let family_name = run.config.get("network.family").and_then(|name| name.as_str());
    let ours = run.manifest.as_ref().is_some_and(|made| !made.revision.git.is_empty())
        && family_name.is_some_and(|name| family(name).is_some());
    let (found, named) = (fingerprint(&run.config), id.rsplit('-').next().unwrap_or_default());
    ensure!(
        !ours || found == named,
        "{}: its configuration is not the one that the id was made of (hash {found}, the id has \
         {named}): the file was edited",
        directory.run(id).root().join("run.json").display()
    );
    Ok(())
}
