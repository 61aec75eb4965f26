//! Disks: how long flushes take, and how the log directories stand.

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;

use super::def::metrics;
use super::histogram::{Counts, Histogram};
use super::recent::Recent;
use super::samples::{Label, Samples};
use crate::base::disk::Space;
use crate::base::time::Mono;

metrics! {
    /// Flushes and log directories. What lies in the directories is under [Partitions](#partitions).
    area "Log directories";

    /// Milliseconds that flushes to disk took.
    pub FLUSH_TIME = quantiles "kafka_log_logflushstats_logflushrateandtimems" [];

    /// Seconds that flushes to disk took, in buckets that can be added up over brokers.
    pub FLUSH_DURATION = histogram "klamm_log_flush_duration_seconds" ["logDirectory"];

    /// Log directories that failed and are no longer used.
    pub OFFLINE_DIRECTORIES = gauge "kafka_log_logmanager_offlinelogdirectorycount" [];

    /// 1 for a log directory that failed, else 0.
    pub DIRECTORY_OFFLINE = gauge "kafka_log_logmanager_logdirectoryoffline" ["logDirectory"];

    /// Bytes of logs in a directory.
    pub DIRECTORY_BYTES = gauge "klamm_log_directory_bytes" ["logDirectory"];

    /// Bytes that the file system of a directory has left for klamm.
    pub DIRECTORY_FREE = gauge "klamm_log_directory_free_bytes" ["logDirectory"];

    /// Bytes that the file system of a directory has in all.
    pub DIRECTORY_TOTAL = gauge "klamm_log_directory_total_bytes" ["logDirectory"];
}

/// Times of the flushes of one log directory.
#[derive(Debug)]
pub struct FlushMetrics {
    times: Histogram,
    recent: Mutex<Recent<1>>,
}

impl Default for FlushMetrics {
    fn default() -> Self {
        FlushMetrics { times: Histogram::new(), recent: Mutex::new(Recent::new(Mono::ZERO)) }
    }
}

impl FlushMetrics {
    /// A flush to disk took this long.
    pub fn record(&self, took: Duration) {
        self.times.record_ns(took.as_nanos() as u64);
    }
}

/// How a log directory stands.
#[derive(Clone, Copy, Debug)]
pub struct LogDirectoryGauges<'a> {
    pub path: &'a Path,
    pub online: bool,
    /// Bytes of the logs in it.
    pub bytes: u64,
    /// Of its file system; `None` if the system does not say.
    pub space: Option<Space>,
    pub flushes: &'a FlushMetrics,
}

impl Samples {
    /// All log directories of the broker, and those that it has had to do without from its start.
    pub fn log_directories<'a>(
        &mut self,
        directories: impl IntoIterator<Item = LogDirectoryGauges<'a>>,
        unusable: impl IntoIterator<Item = &'a Path>,
    ) {
        let mut offline = 0;
        for path in unusable {
            offline += 1;
            self.add(&DIRECTORY_OFFLINE, &[Label::from(path.to_string_lossy().into_owned())], 1);
        }
        let (mut all_recent, mut all_flushes) = (Counts::default(), 0);
        for LogDirectoryGauges { path, online, bytes, space, flushes } in directories {
            let label = [Label::from(path.to_string_lossy().into_owned())];
            offline += i64::from(!online);
            self.add(&DIRECTORY_OFFLINE, &label, i64::from(!online));
            self.add(&DIRECTORY_BYTES, &label, bytes);
            if let Some(Space { total, free }) = space {
                self.add(&DIRECTORY_FREE, &label, free);
                self.add(&DIRECTORY_TOTAL, &label, total);
            }
            let counts = [flushes.times.counts()];
            let [recent] = flushes.recent.lock().look(self.now, &counts);
            let [counts] = counts;
            all_recent.add(&recent);
            all_flushes += counts.count();
            self.add_histogram(&FLUSH_DURATION, &label, counts);
        }
        self.add(&OFFLINE_DIRECTORIES, &[], offline);
        self.add_quantiles(&FLUSH_TIME, &[], all_recent, all_flushes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_directory_is_named_and_flushes_add_up() {
        let (fast, slow) = (FlushMetrics::default(), FlushMetrics::default());
        fast.record(Duration::from_millis(4));
        slow.record(Duration::from_millis(900));
        let mut out = Samples::new(Mono::ZERO, false);
        let path = Path::new("/data/1");
        let good = LogDirectoryGauges { path, online: true, bytes: 5, space: Some(Space { total: 9, free: 7 }), flushes: &fast };
        let path = Path::new("/data/\"2\"\n");
        let bad = LogDirectoryGauges { path, online: false, bytes: 0, space: None, flushes: &slow };
        out.log_directories([good, bad], [Path::new("/data/3")]);
        let text = out.into_open_metrics();
        for line in [
            "kafka_log_logmanager_offlinelogdirectorycount 2\n",
            "kafka_log_logmanager_logdirectoryoffline{logDirectory=\"/data/1\"} 0\n",
            "kafka_log_logmanager_logdirectoryoffline{logDirectory=\"/data/\\\"2\\\"\\n\"} 1\n",
            "kafka_log_logmanager_logdirectoryoffline{logDirectory=\"/data/3\"} 1\n",
            "klamm_log_directory_free_bytes{logDirectory=\"/data/1\"} 7\n",
            "kafka_log_logflushstats_logflushrateandtimems_count 2\n",
            "klamm_log_flush_duration_seconds_sum{logDirectory=\"/data/1\"} 0.004\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
