//! The log on disk: Kafka's files, written with `pwrite` and read through maps. Synchronous: files are reached through `base::disk::Disk`, time
//! comes in as an argument, nothing waits but what says so.
//!
//! ```text
//! LogManager::open(disk, config, topic_config, now)? → Opened { manager, logs: [{ log, loss }] }
//!     manager.create_log(partition, topic_id, config, now)? → Log        manager.delete_logs(logs, now) → failures   .put_aside(log, now)?
//!     manager.unopened(partition) → UnopenedLog   .unopened_logs()   .delete_unopened(…)?  .put_unopened_aside(…)?   .unusable_directories()
//!     manager.tick(now)  .checkpoint_{recovery_points, high_watermarks, log_start_offsets}()  .shutdown(owners, close, broker_epoch)
//!     manager.logs() → [Arc<LogShared>]   .directories() → Arc<LogDirectory>   .previous_run()   .set_offline_listener(…)
//!
//! Log, owned by its partition behind a lock:
//!     append_as_leader(&Validated, epoch, origin, guard, now)?    append_built(&Bytes, epoch, origin, guard, now)?
//!     append_as_follower(&Bytes, now)?                            → Appended { first_offset, last_offset, duplicate, … }
//!     read(offset, max_bytes, min_one_message, bound)? → ReadPlan     { plan.is_resident() or plan.load()?; plan.finish()? → Fetched }
//!     search_timestamps()? → TimestampSearch   earliest_offset()   latest_offset(end)
//!     log_start_offset()  log_end_offset()  high_watermark()  last_stable_offset()  durable_end()  size()
//!     set_high_watermark(o)  maybe_increment_high_watermark(o)  maybe_increment_log_start_offset(o)?
//!     assign_epoch(epoch, start)    last_offset_for_leader_epoch(epoch)   producers()   start_verification(…)
//!     truncate_to(o, now)?  truncate_fully_and_start_at(o, now)?  delete_oldest_segment(before, now)?  roll(now)?
//!     set_flush_on_ack(bool)  set_flush_listener(…)  set_config(…)  checkpoint()?  close()?  shared() → Arc<LogShared>
//! ```
//!
//! A read is a plan: made under the lock, where it takes a microsecond, and finished outside. `is_resident` does not block; if it says no,
//! `load` has to run where blocking is allowed; then `finish` gives a slice of the map. The same goes for a [`TimestampSearch`], which always
//! may block.
//!
//! With `flush_on_ack` every append puts its log into the group commit, and the listener is told how far the log is durable: acknowledgements and the
//! high watermark wait for that. An [`AppendError::Shortage`] leaves the log as it was, readable, and able to go on once there is room. Any
//! other failed write or sync takes the whole [`LogDirectory`] offline.

pub mod checkpoint;
pub mod leader_epochs;
pub mod producer_state;
pub mod transaction_index;
pub mod cleaner;
mod directory;
mod error;
mod file_cache;
mod flusher;
mod index_tail;
mod loader;
mod log;
mod log_manager;
pub mod names;
pub mod offset_index;
mod recovery;
mod room;
pub mod scan;
mod segment;
mod shared;
pub mod time_index;
mod unsynced;

pub use directory::{DirectoryOffline, LogDirectory, OfflineListener};
pub use error::{AppendError, LogError, ReadError};
pub use file_cache::FileCache;
pub use loader::LastStop;
pub use log::{Appended, Fetched, Log, LogSettings, ReadPlan, TimestampAndOffset, TimestampSearch};
pub use log_manager::{
    LogManager, LogManagerConfig, OpenError, Opened, OpenedLog, PreviousRun, UnopenedLog, UnusableDirectory, boot_id_of_machine,
};
pub use recovery::Loss;
pub use room::NoRoom;
pub use segment::Segment;
pub use shared::{FlushListener, LogShared};

#[cfg(test)]
mod tests;
