//! The identity of the running program, which its binary hands to the crates below.

use std::sync::OnceLock;

/// Which sources a program was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The git commit, or `unknown`.
    pub revision: &'static str,
    /// Whether the sources differed from that commit.
    pub is_dirty: bool,
    /// Fingerprint of all sources that the worker's numbers and messages depend on. `fathom` and a
    /// worker of another fingerprint do not work together.
    pub build: &'static str,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Records the identity of this program. The first call decides; `main` makes it before all else.
pub fn identify(program: Program) {
    PROGRAM.get_or_init(|| program);
}

/// The identity of this program; in unit tests of the crates, which no `main` starts, an unknown one.
pub fn program() -> Program {
    *PROGRAM.get_or_init(|| Program { revision: "unknown", is_dirty: true, build: "unidentified" })
}
