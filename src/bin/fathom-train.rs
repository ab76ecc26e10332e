//! The worker of `fathom`, and the only program that links libtorch.

use std::process::ExitCode;

fn main() -> ExitCode {
    fathom::base::identify(fathom::PROGRAM);
    fathom_train::main()
}
