//! The identity of the running program, which `main` hands to the library.

use std::sync::OnceLock;

/// The sources from which a program was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The git commit, or `unknown`.
    pub revision: &'static str,
    /// Whether the sources differed from that commit.
    pub is_dirty: bool,
    /// Fingerprint of all sources on which the worker's numbers and messages depend. `fathom` refuses a
    /// worker with another fingerprint.
    pub build: &'static str,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Records the identity of this program; `main` calls it first. Later calls have no effect.
pub fn identify(program: Program) {
    PROGRAM.get_or_init(|| program);
}

/// The identity of this program; `unknown` if [`identify`] was not called, as in unit tests.
pub fn program() -> Program {
    *PROGRAM.get_or_init(|| Program { revision: "unknown", is_dirty: true, build: "unidentified" })
}
