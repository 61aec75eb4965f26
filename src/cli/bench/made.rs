//! Topics that a benchmark has made and has yet to delete, so that none is left when it is interrupted.
//!
//! Invariant: a topic is in here from before it is made until whoever takes it out deletes it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::admin::Admin;
use super::error::{BenchError, Result};
use crate::cli::error::CliError;
use crate::cli::output;
use crate::cli::runtime::interrupted;

/// Broker and name.
static MADE: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// A topic is about to be made.
pub fn will_be(address: &str, name: &str) {
    MADE.lock().insert((address.to_owned(), name.to_owned()));
}

/// Deletes a topic, unless somebody else does.
pub fn delete(address: &str, name: &str) -> Result<()> {
    if !MADE.lock().remove(&(address.to_owned(), name.to_owned())) {
        return Ok(());
    }
    // A connection may have been idle for as long as the measurement took: brokers hang up on those.
    Admin::connect(address)?.delete_topic(name)
}

/// Deletes all there are, and says which are left.
fn delete_all() {
    while let Some((address, name)) = { MADE.lock().pop_first() } {
        match Admin::connect(&address).and_then(|mut admin| admin.delete_topic(&name)) {
            Ok(()) | Err(BenchError::Refused { code: UNKNOWN_TOPIC_OR_PARTITION, .. }) => {}
            Err(error) => output::note(format!("topic {name} is left on {address}: {error}")),
        }
    }
}

/// Runs a benchmark. On Ctrl-C its topics are deleted before the process ends; a second one does not wait for that.
pub fn with_interrupts(benchmark: impl FnOnce() -> Result<()>) -> Result<()> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return benchmark() };
    std::thread::spawn(move || {
        runtime.block_on(async {
            interrupted().await;
            INTERRUPTED.store(true, Ordering::Release);
            let deleted = tokio::task::spawn_blocking(delete_all);
            tokio::select! {
                _ = deleted => {}
                () = interrupted() => {}
            }
        });
        output::report(&CliError::Interrupted);
        std::process::exit(130);
    });
    let outcome = benchmark();
    // Without its topic the benchmark fails, which is not what is to be told.
    while INTERRUPTED.load(Ordering::Acquire) {
        std::thread::park();
    }
    delete_all();
    outcome
}
