//! The log cleaner: what waits for it, what it did last, what it cannot do.

use std::collections::HashMap;
use std::path::Path;

use super::def::metrics;
use super::samples::{Label, Samples};

metrics! {
    /// Compaction of the topics whose cleanup policy is `compact`.
    area "Log cleaner";

    /// Share of the filthiest log that is not compacted yet, in percent.
    pub MAX_DIRTY = gauge "kafka_log_logcleanermanager_max_dirty_percent" [];

    /// Milliseconds since the cleaner last looked for something to clean.
    pub SINCE_LAST_RUN = gauge "kafka_log_logcleanermanager_time_since_last_run_ms" [];

    /// Logs that the cleaner leaves alone because of an error, until the next start.
    pub UNCLEANABLE_PARTITIONS = gauge "kafka_log_logcleanermanager_uncleanable_partitions_count" ["logDirectory"];

    /// Bytes that wait to be compacted in logs which the cleaner leaves alone.
    pub UNCLEANABLE_BYTES = gauge "kafka_log_logcleanermanager_uncleanable_bytes" ["logDirectory"];

    /// Seconds by which compaction is later than max.compaction.lag.ms allows, where it is the latest.
    pub MAX_COMPACTION_DELAY = gauge "kafka_log_logcleaner_max_compaction_delay_secs" [];

    /// Bytes written for those read in the last cleaning of each thread, in percent.
    pub RECOPY = gauge "kafka_log_logcleaner_cleaner_recopy_percent" [];

    /// Seconds that the last cleaning took, of the thread where it took longest.
    pub MAX_CLEAN_TIME = gauge "kafka_log_logcleaner_max_clean_time_secs" [];

    /// How full the map of keys became in the last cleaning, of the thread where it became fullest, in percent.
    pub MAX_BUFFER_UTILIZATION = gauge "kafka_log_logcleaner_max_buffer_utilization_percent" [];

    /// Threads of the cleaner that failed.
    pub DEAD_THREADS = gauge "kafka_log_logcleaner_deadthreadcount" [];

    /// Bytes that the cleaner read.
    pub READ_BYTES = counter "klamm_log_cleaner_read_bytes" [];

    /// Bytes that the cleaner wrote.
    pub WRITTEN_BYTES = counter "klamm_log_cleaner_written_bytes" [];
}

/// How the cleaner stands.
#[derive(Clone, Debug, Default)]
pub struct CleanerGauges<'a> {
    /// From 0 to 1.
    pub max_dirty_ratio: f64,
    pub since_last_run_ms: i64,
    pub max_compaction_delay_ms: i64,
    /// Of the last cleaning of each thread.
    pub last_bytes_read: u64,
    pub last_bytes_written: u64,
    pub max_clean_time_secs: f64,
    /// From 0 to 1.
    pub max_buffer_utilization: f64,
    pub dead_threads: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Every log directory.
    pub directories: Vec<&'a Path>,
    /// Directory and waiting bytes of each log that is left alone.
    pub uncleanable: Vec<(&'a Path, u64)>,
}

impl Samples {
    pub fn cleaner(&mut self, gauges: &CleanerGauges<'_>) {
        let percent = |share: f64| (share * 100.0) as i64;
        self.add(&MAX_DIRTY, &[], percent(gauges.max_dirty_ratio));
        self.add(&SINCE_LAST_RUN, &[], gauges.since_last_run_ms);
        let mut uncleanable: HashMap<&Path, (u64, u64)> = gauges.directories.iter().map(|path| (*path, (0, 0))).collect();
        for (path, bytes) in &gauges.uncleanable {
            let (logs, sum) = uncleanable.entry(path).or_default();
            (*logs, *sum) = (*logs + 1, *sum + bytes);
        }
        for (path, (logs, bytes)) in uncleanable {
            let label = [Label::from(path.to_string_lossy().into_owned())];
            self.add(&UNCLEANABLE_PARTITIONS, &label, logs);
            self.add(&UNCLEANABLE_BYTES, &label, bytes);
        }
        self.add(&MAX_COMPACTION_DELAY, &[], gauges.max_compaction_delay_ms / 1000);
        self.add(&RECOPY, &[], percent(gauges.last_bytes_written as f64 / gauges.last_bytes_read.max(1) as f64));
        self.add_real(&MAX_CLEAN_TIME, &[], gauges.max_clean_time_secs);
        self.add(&MAX_BUFFER_UTILIZATION, &[], percent(gauges.max_buffer_utilization));
        self.add(&DEAD_THREADS, &[], gauges.dead_threads);
        self.add(&READ_BYTES, &[], gauges.bytes_read);
        self.add(&WRITTEN_BYTES, &[], gauges.bytes_written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Mono;

    #[test]
    fn what_is_left_alone_is_told_by_directory_and_shares_in_percent() {
        let mut out = Samples::new(Mono::ZERO, false);
        out.cleaner(&CleanerGauges {
            max_dirty_ratio: 0.756,
            max_compaction_delay_ms: 7900,
            last_bytes_read: 200,
            last_bytes_written: 50,
            max_clean_time_secs: 1.5,
            bytes_read: 9,
            directories: vec![Path::new("/a"), Path::new("/b")],
            uncleanable: vec![(Path::new("/b"), 5), (Path::new("/b"), 6)],
            ..CleanerGauges::default()
        });
        let text = out.into_open_metrics();
        for line in [
            "kafka_log_logcleanermanager_max_dirty_percent 75\n",
            "kafka_log_logcleanermanager_uncleanable_partitions_count{logDirectory=\"/a\"} 0\n",
            "kafka_log_logcleanermanager_uncleanable_partitions_count{logDirectory=\"/b\"} 2\n",
            "kafka_log_logcleanermanager_uncleanable_bytes{logDirectory=\"/b\"} 11\n",
            "kafka_log_logcleaner_max_compaction_delay_secs 7\n",
            "kafka_log_logcleaner_cleaner_recopy_percent 25\n",
            "kafka_log_logcleaner_max_clean_time_secs 1.5\n",
            "klamm_log_cleaner_read_bytes_total 9\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
