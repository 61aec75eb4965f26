//! The klamm binary.

use std::process::ExitCode;

/// Returns freed memory to the system steadily and keeps small requests of many threads apart; glibc's allocator does neither.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Without a thread of its own the allocator gives memory back only while it is being used: what a burst took, an idle broker would keep.
// SAFETY: the allocator looks for exactly this symbol, and expects a pointer to a string that ends with a zero byte.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: Option<&'static std::ffi::c_char> =
    Some(unsafe { &*c"background_thread:true,dirty_decay_ms:3000,muzzy_decay_ms:0".as_ptr() });

fn main() -> ExitCode {
    klamm::cli::run()
}
