//! Who holds a lock, and whether that process still lives.

use serde::{Deserialize, Serialize};
use std::io::Read;

/// Version of the lock file, apart from that of the results: locks do not outlive a sweep.
const LOCK_SCHEMA: u32 = 1;

/// The process that made a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Version of this format.
    pub schema: u32,
    /// 128 random bits in hexadecimal: tells this lock from every other one.
    pub token: String,
    /// Name of the machine or container.
    pub host: String,
    /// The machine's boot; empty where it does not tell.
    pub boot: String,
    /// In what namespace the pid counts; empty where it is not known.
    pub namespace: String,
    /// Process.
    pub pid: u32,
    /// When the process started, in ticks since the boot: tells a pid that is used again.
    pub started: u64,
    /// What it is doing.
    pub what: String,
    /// How often it was renewed.
    #[serde(with = "fixed_width")]
    pub beat: u64,
}

/// Whether an owner lives, as far as can be told without watching its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Lasts,
    Over,
    Unknown,
}

impl Owner {
    /// This process, with a new token.
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

    /// Reads the bytes of a lock file; damaged ones are nobody's.
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

    /// Whether the lock could be read.
    pub fn is_known(&self) -> bool {
        !self.token.is_empty()
    }

    /// The bytes of a lock file: equally many however often it was renewed, so that a reader who
    /// comes in the midst of a renewal finds a mixture that still reads.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain fields");
        bytes.push(b'\n');
        bytes
    }

    /// Whether this process lives, for an observer.
    pub(super) fn life(&self, observer: &Self) -> Life {
        if self.host != observer.host || self.boot.is_empty() || observer.boot.is_empty() {
            return Life::Unknown;
        }
        if self.boot != observer.boot {
            // Started anew, unless it is a name that many machines have.
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

/// Whether a process of this machine runs. Where that cannot be told, it does.
fn runs(pid: u32, then: u64) -> bool {
    let Ok(pid_of_system) = libc::pid_t::try_from(pid) else { return false };
    if pid_of_system <= 0 {
        return false;
    }
    // SAFETY: signal 0 is not sent; only whether it could be is told.
    let answer = unsafe { libc::kill(pid_of_system, 0) };
    if answer != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
        return false;
    }
    // /proc may hide processes of others. One that ended and waits for its parent is no more.
    match stat(pid) {
        Some(fields) if matches!(fields.first().map(String::as_str), Some("Z" | "X")) => false,
        Some(fields) => start(&fields).is_none_or(|now| then == 0 || now == then),
        None => true,
    }
}

fn started(pid: u32) -> Option<u64> {
    start(&stat(pid)?)
}

/// The fields of `/proc/PID/stat` behind the program's name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    Some(behind.split_whitespace().map(str::to_owned).collect())
}

/// Field 22; the first one behind the name is the third.
fn start(fields: &[String]) -> Option<u64> {
    fields.get(22 - 3)?.parse().ok()
}

fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Numbers as text of always the same length.
mod fixed_width {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:020}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
