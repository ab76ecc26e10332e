//! `fathom data list`.

use crate::table::{Format, print};
use anyhow::Result;
use fathom_data::catalogue::SETS;
use fathom_data::locate::{Found, find};
use fathom_record::Table;
use serde_json::Value;
use std::path::Path;

/// Prints one row for each data set.
///
/// # Errors
/// When standard output is closed.
pub fn list(data_dir: Option<&Path>, format: Format) -> Result<()> {
    let mut table = Table::new(["set", "train", "test", "classes", "state", "folder"]);
    let text = |text: &str| Value::from(text);
    table.row([text("shapes"), Value::Null, Value::Null, 10.into(), text("built in"), Value::Null]);
    for set in &SETS {
        let (state, folder) = match find(set, data_dir) {
            Found::Whole(home) => ("here".to_owned(), Some(home.folder)),
            Found::Part(home, missing) => {
                (format!("lacks {}", missing.join(", ")), Some(home.folder))
            }
            Found::Nothing => (format!("fathom data fetch {}", set.name), None),
        };
        let folder = Value::from(folder.map(|folder| folder.display().to_string()));
        let counts = [set.count(true), set.count(false), set.classes.len()].map(Value::from);
        let [train, test, classes] = counts;
        table.row([text(set.name), train, test, classes, state.into(), folder]);
    }
    print(&table, format)
}
