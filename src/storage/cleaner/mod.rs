//! Compaction: keeps the last record of each key, and drops the others (Kafka's `LogCleaner`; `cleanup.policy=compact`).
//!
//! ```text
//! LogCleaner::new(clock, config)     .run(n, owners): the body of thread n, which ends with .stop()
//!     .clean_filthiest(map, owners)  one round: grab the filthiest log → clean it → note how far
//! candidate     which part of a log can be cleaned, which log is the filthiest        decides
//! grouping      which segments become one                                             decides
//! offset_map    the latest offset of each key
//! filter        which batches and records stay, and what is written for them          decides
//! transactions  aborted records, markers without records                              decides
//! cleaner       reads, writes, and has the log take the new segments
//! ```
//!
//! How the segments take their place, crash-safely, stands in [`super::log`] (`compaction.rs`); what a start finishes or undoes in
//! [`super::loader`] (`tidy.rs`).

pub mod candidate;
#[expect(clippy::module_inception, reason = "Kafka's word for the one that cleans")]
mod cleaner;
mod error;
pub mod filter;
pub mod grouping;
mod log_cleaner;
pub mod offset_map;
mod stats;
mod throttle;
pub mod transactions;

pub use error::CleanError;
pub use log_cleaner::{CleanerLag, CleanerState, LogCleaner};
pub use offset_map::OffsetMap;
pub use stats::CleanerStats;

use super::log::{CleanerView, Log};
use crate::base::ids::Offset;

/// Who owns a log, and guards it with a lock: a partition, or a test.
pub trait LogOwner: Send + Sync {
    /// Has `visit` do something to the log under its lock; false if there is no log any more.
    fn visit_log(&self, visit: &mut dyn FnMut(&mut Log)) -> bool;
}

/// What `visit` says of the log; `None` if there is none any more.
fn with_log<T>(owner: &dyn LogOwner, visit: impl FnOnce(&mut Log) -> T) -> Option<T> {
    let (mut visit, mut told) = (Some(visit), None);
    owner.visit_log(&mut |log| told = visit.take().map(|visit| visit(log)));
    told
}

/// Notes an offset of the log that `view` shows in a checkpoint of its directory, and writes it. Nothing is noted if the log is no longer as
/// it was seen, or if it cannot be written.
fn write_checkpoint(owner: &dyn LogOwner, view: &CleanerView, name: &'static str, offset: Offset) -> Result<(), CleanError> {
    let (directory, partition) = (view.shared.directory(), view.shared.partition());
    let noted = with_log(owner, |_| (!view.is_outdated()).then(|| directory.note_checkpoint(name, partition, offset)));
    let before = noted.flatten().ok_or(CleanError::Aborted)?;
    directory.write_noted(name).map_err(|error| {
        directory.take_back(name, partition, offset, before);
        CleanError::of_write(error, directory)
    })
}
