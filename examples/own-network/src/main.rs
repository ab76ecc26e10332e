//! `fathom` with a family of its own: everything it does, this does, with `every` among the
//! families.

mod every;

use std::process::ExitCode;

fn main() -> ExitCode {
    fathom::main(&[&every::EVERY])
}
