//! The klamm binary.

use std::process::ExitCode;

/// Returns freed memory to the system steadily and keeps small requests of many threads apart; glibc's allocator does neither.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    klamm::cli::run()
}
