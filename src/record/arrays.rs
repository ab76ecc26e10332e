//! `slurm/`: the array jobs that were submitted to Slurm, numbered from 1.
//!
//! Array 3 has the files `3.json` (a [`TaskArray`]), `3.sh` (the submitted script) and, for each of its
//! tasks, `3-<index>.log` (the output of the task).

use super::SweepDir;
use super::manifest::{read_json, write_json};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One array job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskArray {
    /// Version of the format.
    pub schema: u32,
    /// Slurm's number of the job; absent until Slurm has accepted it.
    pub job: Option<u64>,
    /// Ids of the runs of each task, by index of the task.
    pub tasks: Vec<Vec<String>>,
}

/// A task of an array job: Slurm's number of the job, and the index of the task.
pub type TaskId = (u64, usize);

impl SweepDir {
    /// All arrays by their numbers in this directory.
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

    /// Writes the file of an array.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_array(&self, number: u32, array: &TaskArray) -> Result<()> {
        let folder = self.arrays_folder();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        write_json(&folder.join(format!("{number}.json")), array)
    }

    /// The path of an array's script.
    pub fn array_script(&self, number: u32) -> PathBuf {
        self.arrays_folder().join(format!("{number}.sh"))
    }

    /// The latest accepted task of each run, by run id.
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
