//! What people type. It never links libtorch: it plans, supervises, reads, checks and draws.

use std::process::ExitCode;

fn main() -> ExitCode {
    fathom::main(&[])
}
