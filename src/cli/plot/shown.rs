//! The runs that figures and reports show, and the keys that they distinguish.

use crate::Usage;
use anyhow::Result;
use fathom_plot::{Results, Selection, varying_axis};

#[derive(Default, clap::Args)]
#[command(next_help_heading = "Runs and keys")]
pub struct Shown {
    /// Only runs with these values, such as family=plain,lr=0.1,0.3: every key has one of the values given for it; may
    /// be repeated
    #[arg(long = "where", value_name = "KEY=VALUE,…")]
    conditions: Vec<Selection>,
    /// Key whose values have a colour each
    #[arg(long, value_name = "KEY", alias = "color")]
    colour: Option<String>,
    /// Key whose values have a panel each, before all other keys
    #[arg(long, value_name = "KEY")]
    facet: Option<String>,
}

/// What was asked for, by the names of keys in the runs.
#[derive(Default)]
pub struct Asked {
    /// The conditions on runs in words.
    pub conditions: Option<String>,
    /// Key that colours distinguish.
    pub colour: Option<String>,
    /// Key that panels distinguish.
    pub facet: Option<String>,
}

impl Shown {
    /// The first of its options that is given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.conditions.is_empty(), "--where"),
            (self.colour.is_some(), "--colour"),
            (self.facet.is_some(), "--facet"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, option)| option)
    }

    /// Leaves only the chosen runs in the results.
    ///
    /// # Errors
    /// When no run has a key or a value, or the chosen runs do not differ in a key that is to be distinguished.
    pub fn choose(&self, results: &mut Results) -> Result<Asked, Usage> {
        let selection: Selection = self.conditions.iter().cloned().collect();
        let conditions = results.keep(&selection);
        let conditions = conditions.map_err(|error| Usage(format!("--where: {error}")))?;
        let key = |option: &str, name: &Option<String>| {
            let found = name.as_ref().map(|name| varying_axis(&results.curves, name));
            found.transpose().map_err(|error| Usage(format!("{option}: {error}")))
        };
        let (colour, facet) = (key("--colour", &self.colour)?, key("--facet", &self.facet)?);
        match &colour {
            Some(key) if colour == facet => {
                Err(Usage(format!("--colour and --facet are both {key}")))
            }
            Some(_) | None => Ok(Asked { conditions, colour, facet }),
        }
    }
}
