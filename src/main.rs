//! The klamm binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    klamm::cli::run()
}
