//! The process that holds a lock, and whether it still runs.

use serde::{Deserialize, Serialize};
use std::io::Read;

/// Version of the lock file. It is independent of that of results, as locks do not outlive a sweep.
const LOCK_SCHEMA: u32 = 1;

/// The process that made a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Version of the format.
    pub schema: u32,
    /// 128 random bits in hexadecimal, which identify the lock.
    pub token: String,
    /// Host name of the machine or container.
    pub host: String,
    /// Identifier of the machine's boot; empty if unknown.
    pub boot: String,
    /// Namespace of the process id; empty if unknown.
    pub namespace: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process in clock ticks since the boot, which detects a reused process id.
    pub started: u64,
    /// Activity of the process, such as `fathom run`.
    pub what: String,
    /// Number of renewals.
    #[serde(with = "fixed_width")]
    pub beat: u64,
}

/// State of the owner, as far as it is known without watching the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Lasts,
    Over,
    Unknown,
}

impl Owner {
    /// An owner for the current process, with a new token.
    pub(super) fn here(what: &str) -> std::io::Result<Self> {
        let mut random = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let namespace = std::fs::read_link("/proc/self/ns/pid");
        let pid = std::process::id();
        Ok(Self {
            schema: LOCK_SCHEMA,
            token: hex::encode(random),
            host: line("/proc/sys/kernel/hostname"),
            boot: line("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.map_or_else(|_| String::new(), |n| n.display().to_string()),
            pid,
            started: started(pid).unwrap_or(0),
            what: what.into(),
            beat: 0,
        })
    }

    /// Reads the bytes of a lock file; damaged ones give an unknown owner.
    pub(super) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Self {
            schema: 0,
            token: String::new(),
            host: String::new(),
            boot: String::new(),
            namespace: String::new(),
            pid: 0,
            started: 0,
            what: String::new(),
            beat: 0,
        })
    }

    /// Whether the owner could be read from the lock file.
    pub fn is_known(&self) -> bool {
        !self.token.is_empty()
    }

    /// The bytes of a lock file. Their number does not depend on the number of renewals, so that a reader
    /// during a renewal finds a mixture of both that can still be parsed.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain fields");
        bytes.push(b'\n');
        bytes
    }

    /// State of this process as `observer` can find it out.
    pub(super) fn life(&self, observer: &Self) -> Life {
        if self.host != observer.host || self.boot.is_empty() || observer.boot.is_empty() {
            return Life::Unknown;
        }
        if self.boot != observer.boot {
            // The machine was rebooted, unless several machines have this name.
            let is_anonymous = matches!(self.host.as_str(), "" | "(none)" | "localhost")
                || self.host.starts_with("localhost.");
            return if is_anonymous { Life::Unknown } else { Life::Over };
        }
        if self.namespace.is_empty() || self.namespace != observer.namespace {
            return Life::Unknown;
        }
        if runs(self.pid, self.started) { Life::Lasts } else { Life::Over }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_known() {
            return f.write_str("an unknown process (the file is empty or damaged)");
        }
        write!(f, "{} (pid {} on {})", self.what, self.pid, self.host)
    }
}

/// Whether a process of this machine runs; `true` if that is unknown.
fn runs(pid: u32, then: u64) -> bool {
    let Ok(pid_of_system) = libc::pid_t::try_from(pid) else { return false };
    if pid_of_system <= 0 {
        return false;
    }
    // SAFETY: signal 0 is not delivered; the call only checks whether the process exists.
    let answer = unsafe { libc::kill(pid_of_system, 0) };
    if answer != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
        return false;
    }
    // /proc may hide processes of other users. A zombie has ended.
    match stat(pid) {
        Some(fields) if matches!(fields.first().map(String::as_str), Some("Z" | "X")) => false,
        Some(fields) => start(&fields).is_none_or(|now| then == 0 || now == then),
        None => true,
    }
}

/// Start of a process in clock ticks since the boot.
fn started(pid: u32) -> Option<u64> {
    start(&stat(pid)?)
}

/// The fields of `/proc/PID/stat` after the program's name, which may contain any character.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Field 22 (start time); the first field after the name is the third.
fn start(fields: &[String]) -> Option<u64> {
    fields.get(22 - 3)?.parse().ok()
}

/// The trimmed text of a file; empty if it cannot be read.
fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Numbers as text of fixed length.
mod fixed_width {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:020}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
