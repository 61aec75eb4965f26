//! Disks: how long flushes take, and how the log directories stand.

use std::path::Path;

use parking_lot::Mutex;

use super::def::metrics;
use super::histogram::Histogram;
use super::recent::Recent;
use super::samples::{Label, Samples};
use crate::base::time::Mono;

metrics! {
    /// Flushes and log directories. What lies in the directories is under [Partitions](#partitions).
    area "Log directories";

    /// Milliseconds that flushes to disk took.
    pub FLUSH_TIME = quantiles "kafka_log_logflushstats_logflushrateandtimems" [];

    /// Seconds that flushes to disk took, in buckets that can be added up over brokers.
    pub FLUSH_DURATION = histogram "klamm_log_flush_duration_seconds" [];

    /// Log directories that failed and are no longer used.
    pub OFFLINE_DIRECTORIES = gauge "kafka_log_logmanager_offlinelogdirectorycount" [];

    /// 1 for a log directory that failed, else 0.
    pub DIRECTORY_OFFLINE = gauge "kafka_log_logmanager_logdirectoryoffline" ["logDirectory"];

    /// Bytes of logs in a directory.
    pub DIRECTORY_BYTES = gauge "klamm_log_directory_bytes" ["logDirectory"];

    /// Bytes that the file system of a directory has left for klamm.
    pub DIRECTORY_FREE = gauge "klamm_log_directory_free_bytes" ["logDirectory"];
}

/// Times of flushes.
#[derive(Debug)]
pub struct FlushMetrics {
    times: Histogram,
    recent: Mutex<Recent<1>>,
}

impl FlushMetrics {
    pub(super) fn new() -> Self {
        FlushMetrics { times: Histogram::new(), recent: Mutex::new(Recent::new(Mono::ZERO)) }
    }

    /// A flush to disk took this long.
    pub fn record_ns(&self, ns: u64) {
        self.times.record_ns(ns);
    }

    pub(super) fn collect(&self, now: Mono, out: &mut Samples) {
        let counts = [self.times.counts()];
        let [recent] = self.recent.lock().look(now, &counts);
        let [counts] = counts;
        out.add_quantiles(&FLUSH_TIME, &[], recent, counts.count());
        out.add_histogram(&FLUSH_DURATION, &[], counts);
    }
}

/// How a log directory stands.
#[derive(Clone, Copy, Debug)]
pub struct LogDirectory<'a> {
    pub path: &'a Path,
    pub online: bool,
    /// Bytes of the logs in it.
    pub bytes: u64,
    /// Bytes left on its file system; `None` if the system does not say.
    pub free: Option<u64>,
}

impl Samples {
    /// All log directories of the broker.
    pub fn log_directories<'a>(&mut self, directories: impl IntoIterator<Item = LogDirectory<'a>>) {
        let mut offline = 0;
        for LogDirectory { path, online, bytes, free } in directories {
            let label = [Label::from(path.to_string_lossy().into_owned())];
            offline += i64::from(!online);
            self.add(&DIRECTORY_OFFLINE, &label, i64::from(!online));
            self.add(&DIRECTORY_BYTES, &label, bytes);
            if let Some(free) = free {
                self.add(&DIRECTORY_FREE, &label, free);
            }
        }
        self.add(&OFFLINE_DIRECTORIES, &[], offline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_directory_is_named_and_counted() {
        let mut out = Samples::new(false);
        let good = LogDirectory { path: Path::new("/data/1"), online: true, bytes: 5, free: Some(7) };
        let bad = LogDirectory { path: Path::new("/data/\"2\"\n"), online: false, bytes: 0, free: None };
        out.log_directories([good, bad]);
        let text = out.into_open_metrics();
        for line in [
            "kafka_log_logmanager_offlinelogdirectorycount 1\n",
            "kafka_log_logmanager_logdirectoryoffline{logDirectory=\"/data/1\"} 0\n",
            "kafka_log_logmanager_logdirectoryoffline{logDirectory=\"/data/\\\"2\\\"\\n\"} 1\n",
            "klamm_log_directory_free_bytes{logDirectory=\"/data/1\"} 7\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn flushes_are_told_in_both_forms() {
        let flushes = FlushMetrics::new();
        flushes.record_ns(4_000_000);
        let mut out = Samples::new(false);
        flushes.collect(Mono::ZERO, &mut out);
        let text = out.into_open_metrics();
        assert!(text.contains("kafka_log_logflushstats_logflushrateandtimems_count 1\n"), "{text}");
        assert!(text.contains("klamm_log_flush_duration_seconds_sum 0.004\n"), "{text}");
    }
}
