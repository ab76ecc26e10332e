//! Protection of a results directory against runs of another experiment.

use anyhow::{Result, ensure};
use fathom_record::SweepDir;
use fathom_spec::{Config, changes_among};
use std::collections::BTreeMap;

/// Refuses a directory in which runs have begun that are not in `present`, the configurations of the
/// experiment by run id: results of two experiments must not mix. A superset (more seeds, depths,
/// arms) is allowed, and so are changes to runs that were planned and never begun. A run that has ended and whose files
/// are damaged is refused too: it would not be made again, and its results could not be read.
///
/// # Errors
/// When there are such runs, with the keys that changed or the damaged file.
pub fn check_compatible(present: &BTreeMap<String, Config>, directory: &SweepDir) -> Result<()> {
    // The file only helps to name the changes, and is about to be rewritten, so damage is ignored.
    let recorded = directory.resolved().ok().flatten().map(|file| file.runs).unwrap_or_default();
    let mut begun = BTreeMap::new();
    for run in directory.runs()? {
        run.check_ended()?;
        let id = run.id();
        let config = match present.get(&id).or_else(|| recorded.get(&id)) {
            Some(config) => config.clone(),
            None => run.manifest()?.config,
        };
        begun.insert(id, config);
    }
    let changes = changes_among(&begun, &recorded, present);
    let count = changes.removed;
    ensure!(
        changes.is_empty(),
        "{} holds {count} {} that this experiment does not have:\n{}give another --out, or change \
         the file or --set back; more seeds, depths or arms are allowed, and only those run",
        directory.root().display(),
        if count == 1 { "run" } else { "runs" },
        changes.to_string().lines().map(|line| format!("  {line}\n")).collect::<String>(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{TEXT, directory, runs};
    use fathom_record::{Resolved, SCHEMA};
    use fathom_spec::{Experiment, Run};
    use std::path::Path;

    fn begin(directory: &SweepDir, run: &Run) {
        crate::tests::begin(&directory.run(&run.id), &run.config);
    }

    fn configs(text: &str) -> BTreeMap<String, Config> {
        Experiment::parse(Path::new("t.toml"), text, &[]).unwrap().configs
    }

    #[test]
    fn runs_of_another_configuration_are_refused_with_what_changed() {
        let changed = configs(&TEXT.replace("iterations = 1\n", "iterations = 1\nlr = 0.05\n"));
        for is_recorded in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let directory = directory(&folder);
            if is_recorded {
                let resolved =
                    Resolved { schema: SCHEMA, runs: configs(TEXT), ..Resolved::default() };
                directory.write_experiment(TEXT, &resolved).unwrap();
            }
            check_compatible(&changed, &directory).unwrap();
            for run in &runs()[..3] {
                begin(&directory, run);
            }
            let message = check_compatible(&changed, &directory).unwrap_err().to_string();
            let begins = format!(
                "{} holds 3 runs that this experiment does not have:\n  \
                 training.lr: 0.1 -> 0.05 (3 runs)\ngive another --out, or change the file or",
                folder.path().display()
            );
            assert!(message.starts_with(&begins), "{message}");
        }
    }

    #[test]
    fn a_superset_keeps_every_run_that_has_begun() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory(&folder);
        let record = |text: &str| {
            let present = configs(text);
            check_compatible(&present, &directory)?;
            directory.write_experiment(
                text,
                &Resolved { schema: SCHEMA, runs: present, ..Resolved::default() },
            )
        };
        record(TEXT).unwrap();
        // Runs of depth 14 never begin, so the file may drop them, and take up others.
        let begun: Vec<Run> =
            runs().into_iter().filter(|run| run.id.starts_with("plain-8-")).collect();
        begun.iter().for_each(|run| begin(&directory, run));
        record(&TEXT.replace("[8, 14]", "[8, 20]").replace("[0, 1]", "[0, 1, 2]")).unwrap();
        let kept = directory.resolved().unwrap().unwrap().runs;
        assert!(begun.iter().all(|run| kept.contains_key(&run.id)));
        assert_eq!(kept.len(), 6);
        let message = record(&TEXT.replace("[0, 1]", "[0]")).unwrap_err().to_string();
        assert!(
            message.contains("  seed: 1 no longer swept (1 of 2 runs, plain-8-s1-"),
            "{message}"
        );
        assert_eq!(directory.resolved().unwrap().unwrap().runs, kept, "a refusal changes nothing");
        // With a damaged record, the manifests of the runs are compared.
        std::fs::write(folder.path().join("resolved.json"), "{").unwrap();
        let message = record(&TEXT.replace("[0, 1]", "[0]")).unwrap_err().to_string();
        assert!(message.contains("seed: 1 no longer swept"), "{message}");
    }
}
