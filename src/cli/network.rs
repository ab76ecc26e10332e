//! A network on the command line: a family with its keys as flags, or a published net by its name.

use super::Usage;
use clap::{Arg, ArgMatches, Command};
use fathom_arch::{
    Dims, Family, FamilyKeys, Network, PUBLISHED, Published, defaults, families, family, network,
};
use fathom_base::key::{Default, Key, Kind, nearest};
use std::collections::BTreeMap;

/// The keys of all families as flags: `--shortcut-scale 0.5` for `network.shortcut_scale`.
#[derive(Clone, Debug)]
pub struct KeyFlags(BTreeMap<&'static str, String>);

/// A network and what it was made for.
pub struct Described {
    /// Its family's keys, complete.
    pub keys: FamilyKeys,
    /// Images that it is for, where its name or the user says so.
    pub input: Option<Dims>,
    /// Likewise its classes.
    pub classes: Option<usize>,
}

impl Described {
    /// The network for these images.
    ///
    /// # Errors
    /// When keys and images do not go together.
    pub fn build(&self, input: Dims, classes: usize) -> Result<Network, Usage> {
        network(&self.keys, input, classes).map_err(|invalid| {
            let flag = flag(&invalid.key);
            Usage(format!("--{}: {}", flag.trim_start_matches("data-"), invalid.message))
        })
    }
}

impl Described {
    /// The same densely connected net with its blocks at one size, one after the other; nothing
    /// for a net that has no transitions.
    ///
    /// # Errors
    /// As for [`Described::build`].
    pub fn without_transitions(
        &self,
        input: Dims,
        classes: usize,
    ) -> Result<Option<Network>, Usage> {
        let mut keys = self.keys.clone();
        match keys.get_mut("network.transitions") {
            Some(value) if *value == true => *value = false.into(),
            _ => return Ok(None),
        }
        Described { keys, ..*self }.build(input, classes).map(Some)
    }
}

/// What a net is for, where its name does not say so or the user wants something else.
#[derive(clap::Args)]
pub struct ImageFlags {
    /// Rows and columns of the images [default: the published net's, else 32]
    #[arg(long)]
    size: Option<usize>,
    /// Channels of the images [default: the published net's, else 3]
    #[arg(long)]
    channels: Option<usize>,
    /// Classes [default: the published net's, else 10]
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

/// `network.shortcut_scale` as `shortcut-scale`.
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

impl clap::Args for KeyFlags {
    /// # Panics
    /// When the flag of a key is one that the command has already: a fault of the family.
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

/// What a key means in the families that have it: `6n+2 layers (plain, residual); any (mlp)`.
fn help(name: &str) -> String {
    let mut meanings: Vec<(&str, Vec<&str>)> = Vec::new();
    for family in families() {
        let Some(key) = family.keys().iter().find(|key| key.name == name) else { continue };
        match meanings.iter_mut().find(|(help, _)| *help == key.help) {
            Some((_, names)) => names.push(family.name()),
            None => meanings.push((key.help, vec![family.name()])),
        }
    }
    let told = meanings.iter().map(|(help, names)| format!("{help} ({})", names.join(", ")));
    told.collect::<Vec<_>>().join("\n")
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
    /// The same with one key more, by the name of its flag or its own.
    ///
    /// # Errors
    /// When no family has it, or it is given already.
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
            Some(given) => Err(Usage(format!("{wanted} is given already: {given}"))),
            None => Ok(more),
        }
    }

    /// The network of this name with these keys over its own.
    ///
    /// # Errors
    /// When there is none of this name, or a key is not one of its family or has a value that it
    /// cannot have.
    pub fn describe(&self, name: &str) -> Result<Described, Usage> {
        let published = Published::find(name);
        let family_name = published.map_or(name, |published| published.family);
        let family = family(family_name).ok_or_else(|| unknown(name))?;
        let mut keys = published.map_or_else(|| defaults(family), Published::keys);
        keys.insert("network.family".into(), family_name.into());
        // A number of blocks takes the place of a depth, and the other way round.
        for (given, other) in
            [("network.depth", "network.blocks"), ("network.blocks", "network.depth")]
        {
            if self.0.contains_key(given) && !self.0.contains_key(other) {
                keys.remove(other);
            }
        }
        for (key, text) in &self.0 {
            keys.insert((*key).into(), value(family, key, text)?);
        }
        for key in family.keys() {
            if key.default == Default::Required && !keys.contains_key(key.name) {
                let (flag, kind, help) = (flag(key.name), key.kind, key.help);
                return Err(Usage(format!("--{flag} must be given: {kind} ({help})")));
            }
        }
        Ok(Described {
            keys,
            input: published.map(|published| published.input),
            classes: published.map(|published| published.classes),
        })
    }
}

fn value(family: &dyn Family, name: &str, text: &str) -> Result<serde_json::Value, Usage> {
    let flags = |keys: &[Key]| -> Vec<String> {
        keys.iter().map(|key| format!("--{}", flag(key.name))).collect()
    };
    let key = family.keys().iter().find(|key| key.name == name).ok_or_else(|| {
        let known = flags(family.keys()).join(", ");
        Usage(format!("{} has no --{}; it has {known}", family.name(), flag(name)))
    })?;
    key.kind
        .parse(text)
        .ok_or_else(|| Usage(format!("--{} {text}: expected {}", flag(name), key.kind)))
}

fn unknown(name: &str) -> Usage {
    let known: Vec<&str> = families().map(|family| family.name()).collect();
    let published: Vec<&str> = PUBLISHED.iter().map(|published| published.name).collect();
    let meant = nearest(name, known.iter().chain(&published).copied())
        .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
    Usage(format!(
        "there is no network \"{name}\"{meant}; families: {}; published nets: {}",
        known.join(", "),
        published.join(", ")
    ))
}
