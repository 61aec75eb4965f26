//! The log cleaner, which compacts.

use super::keys;
use crate::config::key::Allowed;

keys! {
    /// The log cleaner, which carries out the cleanup policy `compact`.
    pub struct CleanerConfig "Log cleaner" {
        /// Whether anything is compacted at all. Without, topics whose cleanup policy is `compact` grow without bound, those of the
        /// coordinators too.
        "log.cleaner.enable" = "true" => enable: bool

        /// Threads that compact.
        "log.cleaner.threads" = "1" => threads: i32 { at_least(1), cluster_wide }

        /// Memory for the keys of the logs being compacted, over all threads; more keys take fewer passes.
        "log.cleaner.dedupe.buffer.size" = "134217728" => dedupe_buffer_size: i64 { bytes, at_least(1), cluster_wide }

        /// Bytes a second that compaction reads and writes at most, over all threads.
        "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308" => io_max_bytes_per_second: f64
            { allowed(Allowed::Positive), cluster_wide }

        /// How long the cleaner rests when no log needs it.
        "log.cleaner.backoff.ms" = "15000" => backoff_ms: i64 { millis, at_least(0), cluster_wide }
    }
}
