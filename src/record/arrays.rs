//! `slurm/`: what was handed to Slurm, one array of tasks after the other.
//!
//! Of array 3 there are `3.json` (this file), `3.sh` (the script that was submitted) and, for each of
//! its tasks, `3-<index>.log` (what the task said).

use super::SweepDir;
use super::manifest::{read_json, write_json};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One array job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskArray {
    /// Version of this format.
    pub schema: u32,
    /// The number that Slurm gave it; none as long as it was not taken.
    pub job: Option<u64>,
    /// The runs of each task, by its index.
    pub tasks: Vec<Vec<String>>,
}

/// A task of an array job: the job's number and the index.
pub type TaskId = (u64, usize);

impl SweepDir {
    /// All arrays, by their numbers here.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn arrays(&self) -> Result<BTreeMap<u32, TaskArray>> {
        let folder = self.arrays_folder();
        let mut arrays = BTreeMap::new();
        if !folder.exists() {
            return Ok(arrays);
        }
        let context = || format!("cannot read {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let (Some(number), Some("json")) =
                (number, path.extension().and_then(|e| e.to_str()))
            {
                arrays.insert(number, read_json(&path)?);
            }
        }
        Ok(arrays)
    }

    /// Writes one of them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_array(&self, number: u32, array: &TaskArray) -> Result<()> {
        let folder = self.arrays_folder();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        write_json(&folder.join(format!("{number}.json")), array)
    }

    /// Its script.
    pub fn array_script(&self, number: u32) -> PathBuf {
        self.arrays_folder().join(format!("{number}.sh"))
    }

    /// The last task that each run was given to.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn tasks_of_runs(&self) -> Result<BTreeMap<String, TaskId>> {
        let mut tasks = BTreeMap::new();
        for array in self.arrays()?.into_values() {
            let Some(job) = array.job else { continue };
            for (index, ids) in array.tasks.into_iter().enumerate() {
                tasks.extend(ids.into_iter().map(|id| (id, (job, index))));
            }
        }
        Ok(tasks)
    }

    fn arrays_folder(&self) -> PathBuf {
        self.root().join("slurm")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;

    #[test]
    fn a_run_belongs_to_the_last_task_that_slurm_took() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SweepDir::new(folder.path());
        assert_eq!(directory.arrays().unwrap(), BTreeMap::new());
        let array = |job, tasks: &[&[&str]]| TaskArray {
            schema: SCHEMA,
            job,
            tasks: tasks
                .iter()
                .map(|ids| ids.iter().map(|id| (*id).to_owned()).collect())
                .collect(),
        };
        directory.write_array(1, &array(Some(70), &[&["a", "b"], &["c"]])).unwrap();
        directory.write_array(2, &array(Some(71), &[&["b"]])).unwrap();
        directory.write_array(10, &array(None, &[&["c"]])).unwrap();
        std::fs::write(directory.array_script(2), "#!/bin/bash\n").unwrap();
        assert_eq!(directory.arrays().unwrap().into_keys().collect::<Vec<_>>(), [1, 2, 10]);
        let tasks = directory.tasks_of_runs().unwrap();
        let expected = [("a", (70, 0)), ("b", (71, 0)), ("c", (70, 1))];
        assert_eq!(tasks, expected.map(|(id, task)| (id.to_owned(), task)).into());
    }
}
