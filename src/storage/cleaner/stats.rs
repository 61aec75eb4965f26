//! What a cleaning did (Kafka's `CleanerStats`), for the log and the metrics.

use super::filter::Filtered;

/// Of one cleaning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CleanerStats {
    /// Bytes read into the map of keys.
    pub map_bytes_read: u64,
    /// Bytes and records that were looked at to be written anew, and those that were.
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub records_read: u64,
    pub records_written: u64,
    /// Records without a key.
    pub invalid_records: u64,
    /// How full the map became, from 0 to 1.
    pub buffer_utilization: f64,
    /// Seconds it took.
    pub elapsed_secs: f64,
}

impl CleanerStats {
    pub(super) fn mapped(&mut self, utilization: f64) {
        self.buffer_utilization = utilization;
    }

    pub(super) fn filtered(&mut self, read: u64, written: u64, batch: &Filtered) {
        self.bytes_read += read;
        self.bytes_written += written;
        self.records_read += batch.records_read;
        self.records_written += batch.records_retained;
        self.invalid_records += batch.invalid_records;
    }
}
