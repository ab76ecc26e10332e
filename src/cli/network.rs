//! Networks on the command line: flags for the keys of all families, and for images.

mod described;

pub use described::Described;

use super::Usage;
use clap::{Arg, ArgMatches, Command};
use fathom_arch::{Dims, Family, families, family};
use fathom_base::key::{Key, Kind, nearest};
use serde_json::Value;
use std::collections::BTreeMap;

/// Values for the keys of families, by key. There is one flag for each key of every family, such as
/// `--shortcut-scale 0.5` for `network.shortcut_scale`.
#[derive(Clone, Debug)]
pub struct KeyFlags(BTreeMap<&'static str, String>);

/// Flags for the images that a net is built for.
#[derive(clap::Args)]
pub struct ImageFlags {
    /// Rows and columns of the images, up to 4096 [default: those of the published net, else 32]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4096))]
    size: Option<u64>,
    /// Channels of the images, up to 4096 [default: those of the published net, else 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4096))]
    channels: Option<u64>,
    /// Number of classes, up to 65536 [default: that of the published net, else 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    classes: Option<u64>,
}

impl ImageFlags {
    /// Channels, rows and columns of the images, and the number of classes.
    pub fn of(&self, described: &Described) -> (Dims, usize) {
        let [channels, rows, columns] = described.input.unwrap_or([3, 32, 32]);
        let or = |given: Option<u64>, default| given.map_or(default, |given| given as usize);
        let input = [or(self.channels, channels), or(self.size, rows), or(self.size, columns)];
        (input, or(self.classes, described.classes.unwrap_or(10)))
    }
}

/// The flag of a key without dashes: `shortcut-scale` for `network.shortcut_scale`.
fn flag(key: &str) -> String {
    key.trim_start_matches("network.").replace(['_', '.'], "-")
}

/// Every key of every family, once.
fn keys() -> Vec<&'static Key> {
    let mut keys: Vec<&Key> = Vec::new();
    for key in families().flat_map(|family| family.keys()) {
        if !keys.iter().any(|known| known.name == key.name) {
            keys.push(key);
        }
    }
    keys
}

/// Help on a key in the families that have it: `6n+2 layers (plain, residual); any (mlp)`.
fn help(name: &str) -> String {
    let mut meanings: Vec<(&str, Vec<&str>)> = Vec::new();
    for family in families() {
        let Some(key) = family.keys().iter().find(|key| key.name == name) else { continue };
        match meanings.iter_mut().find(|(help, _)| *help == key.help) {
            Some((_, names)) => names.push(family.name()),
            None => meanings.push((key.help, vec![family.name()])),
        }
    }
    let lines = meanings.iter().map(|(help, names)| format!("{help} ({})", names.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}

impl clap::Args for KeyFlags {
    /// # Panics
    /// When the command has another flag of the same name: a fault of the family.
    fn augment_args(command: Command) -> Command {
        keys().into_iter().fold(command, |command, key| {
            let flag = flag(key.name);
            let is_taken = command.get_arguments().any(|arg| arg.get_long() == Some(&flag));
            assert!(!is_taken, "the key {} needs another name: --{flag} is taken", key.name);
            let arg = Arg::new(key.name)
                .long(flag)
                .value_name("VALUE")
                .help(help(key.name))
                .help_heading("Keys of the network")
                .allow_negative_numbers(true);
            command.arg(if key.kind == Kind::Flag {
                arg.num_args(0..=1).default_missing_value("true").value_name("true|false")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for KeyFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |key: &'static Key| {
            matches.get_one::<String>(key.name).map(|text| (key.name, text.clone()))
        };
        Ok(Self(keys().into_iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl KeyFlags {
    /// The flags that are given, without their dashes, with their values.
    pub fn given(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|(key, text)| (flag(key), text.as_str()))
    }

    /// Refuses a flag without an effect beside the others.
    ///
    /// # Errors
    /// Names the flag, and the values under which it has an effect.
    pub fn check_effect(&self, described: &Described) -> Result<(), Usage> {
        let name = described.keys.get("network.family").and_then(Value::as_str);
        let known = name.and_then(family).map_or(&[][..], Family::keys);
        for key in known.iter().filter(|key| self.0.contains_key(key.name)) {
            if let Some((other, words)) = key.unmet(&described.keys) {
                return Err(Usage(format!(
                    "--{}: only with --{} {}",
                    flag(key.name),
                    flag(other),
                    words.join(" or ")
                )));
            }
        }
        Ok(())
    }

    /// The same with a value for one more key, which is named by its flag or in full.
    ///
    /// # Errors
    /// When no family has the key, or it has a value already.
    pub fn with(&self, name: &str, text: &str) -> Result<Self, Usage> {
        let wanted = flag(name);
        let keys = keys();
        let key = keys.iter().find(|key| flag(key.name) == wanted).ok_or_else(|| {
            let known: Vec<String> = keys.iter().map(|key| flag(key.name)).collect();
            let meant = nearest(&wanted, known.iter().map(String::as_str))
                .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
            Usage(format!("no network has a key {name}{meant}"))
        })?;
        let mut more = self.clone();
        match more.0.insert(key.name, text.to_owned()) {
            Some(given) => Err(Usage(format!("{wanted} has a value already: {given}"))),
            None => Ok(more),
        }
    }
}
