//! Networks on the command line: flags for the keys of all families, and for images.

mod described;

pub use described::Described;

use super::Usage;
use clap::{Arg, ArgMatches, Command};
use fathom_arch::{Dims, families};
use fathom_base::key::{Key, Kind, nearest};
use std::collections::BTreeMap;

/// Values for the keys of families, by key. There is one flag for each key of every family, such as
/// `--shortcut-scale 0.5` for `network.shortcut_scale`.
#[derive(Clone, Debug)]
pub struct KeyFlags(BTreeMap<&'static str, String>);

/// Flags for the images that a net is built for.
#[derive(clap::Args)]
pub struct ImageFlags {
    /// Rows and columns of the images [default: those of the published net, else 32]
    #[arg(long)]
    size: Option<usize>,
    /// Channels of the images [default: those of the published net, else 3]
    #[arg(long)]
    channels: Option<usize>,
    /// Number of classes [default: that of the published net, else 10]
    #[arg(long)]
    classes: Option<usize>,
}

impl ImageFlags {
    /// Channels, rows and columns of the images, and the number of classes.
    ///
    /// # Errors
    /// When one of them is zero.
    pub fn of(&self, described: &Described) -> Result<(Dims, usize), Usage> {
        let [channels, rows, columns] = described.input.unwrap_or([3, 32, 32]);
        let input = [
            self.channels.unwrap_or(channels),
            self.size.unwrap_or(rows),
            self.size.unwrap_or(columns),
        ];
        let classes = self.classes.or(described.classes).unwrap_or(10);
        if classes == 0 || input.contains(&0) {
            return Err(Usage("--size, --channels and --classes must be above zero".into()));
        }
        Ok((input, classes))
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
    /// The first of the flags that are given, such as `--depth`.
    pub fn first_given(&self) -> Option<String> {
        self.0.keys().next().map(|key| format!("--{}", flag(key)))
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
