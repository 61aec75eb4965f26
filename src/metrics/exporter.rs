//! One scrape: asks the broker's counters and all sources, and renders what they say.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::RuntimeMetrics;

use super::Metrics;
use super::process::Process;
use super::samples::Samples;
use super::text;
use crate::base::time::Mono;

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older text format, version 0.0.4.
    Prometheus,
}

impl Format {
    /// The format that a client's `Accept` asks for; the older one if it does not say, because every tool reads it.
    pub fn of_accept(accept: &str) -> Format {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

type Source = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// Renders the metrics of one broker.
pub struct Exporter {
    metrics: Arc<Metrics>,
    process: Process,
    sources: Vec<Source>,
    per_partition: bool,
}

impl Exporter {
    /// `per_partition` is `http.metrics.per.partition`.
    pub fn new(metrics: Arc<Metrics>, runtime: RuntimeMetrics, per_partition: bool) -> Self {
        Exporter { metrics, process: Process::new(runtime), sources: Vec::new(), per_partition }
    }

    /// Adds a part that tells its gauges at each scrape.
    pub fn source(mut self, source: impl Fn(&mut Samples) + Send + Sync + 'static) -> Self {
        self.sources.push(Box::new(source));
        self
    }

    /// The metrics as they are at `now`.
    pub fn render(&self, now: Mono, format: Format) -> String {
        let mut samples = Samples::new(now, self.per_partition);
        self.metrics.collect(&mut samples);
        self.process.collect(&mut samples);
        for source in &self.sources {
            source(&mut samples);
        }
        let text = samples.into_open_metrics();
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => text::prometheus(&text),
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exporter({} sources)", self.sources.len())
    }
}
