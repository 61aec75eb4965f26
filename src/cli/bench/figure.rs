//! A figure is what one measurement of one broker gave: named numbers. Over several rounds it becomes medians with their spread, and
//! beside another broker's, ratios.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::Usage;
use super::series::Series;

/// A number with the name it has in JSON and in tables, unit last.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub key: String,
    pub label: String,
    pub value: f64,
}

/// What one measurement gave, in the order in which people read it.
#[derive(Clone, Default)]
pub struct Figure {
    pub metrics: Vec<Metric>,
    pub series: Vec<Series>,
}

/// CPU that the broker and the generator took during a window.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    pub broker: Option<Duration>,
    pub generator: Duration,
}

const GIB: f64 = (1u64 << 30) as f64;
const MIB: f64 = (1u64 << 20) as f64;

impl Figure {
    pub fn push(&mut self, key: impl Into<String>, label: impl Into<String>, value: f64) {
        self.metrics.push(Metric { key: key.into(), label: label.into(), value });
    }

    pub fn get(&self, key: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// Throughput and latency of one kind of request; at a fixed rate also how late the generator itself was.
    pub fn push_series(&mut self, series: Series, seconds: f64) {
        let (key, label) = match series.name {
            "" => (String::new(), String::new()),
            name => (name.replace(' ', "_") + "_", name.to_owned() + " "),
        };
        if series.requests > 0 || series.records > 0 {
            self.push(format!("{key}requests_per_second"), format!("{label}requests/s"), series.requests as f64 / seconds);
        }
        if series.records > series.requests {
            self.push(format!("{key}records_per_second"), format!("{label}records/s"), series.records as f64 / seconds);
        }
        if series.bytes > 0 {
            self.push(format!("{key}mib_per_second"), format!("{label}MiB/s"), series.bytes as f64 / MIB / seconds);
        }
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            let us = series.latency.value_at_quantile(quantile) as f64 / 1e3;
            self.push(format!("{key}{}_us", name.replace('.', "_")), format!("{label}{name} µs"), us);
        }
        self.push(format!("{key}max_us"), format!("{label}max µs"), series.latency.max() as f64 / 1e3);
        if !series.lateness.is_empty() {
            let late = series.lateness.value_at_quantile(0.5) as f64 / 1e3;
            self.push(format!("{key}sent_late_p50_us"), format!("{label}sent late p50 µs"), late);
        }
        self.series.push(series);
    }

    /// What the window cost: CPU for each request and each GiB of all series together, and the share of a core on either side.
    pub fn push_cpu(&mut self, cpu: Cpu, seconds: f64) {
        let requests: u64 = self.series.iter().map(|s| s.requests).sum();
        let bytes: u64 = self.series.iter().map(|s| s.bytes).sum();
        if let Some(broker) = cpu.broker {
            if requests > 0 {
                self.push("cpu_us_per_request", "broker CPU µs/request", broker.as_secs_f64() * 1e6 / requests as f64);
            }
            if bytes > 0 {
                self.push("cpu_s_per_gib", "broker CPU s/GiB", broker.as_secs_f64() / (bytes as f64 / GIB));
            }
            self.push("cpu_percent", "broker CPU %", broker.as_secs_f64() / seconds * 100.0);
        }
        self.push("generator_cpu_percent", "generator CPU %", cpu.generator.as_secs_f64() / seconds * 100.0);
    }

    pub fn push_usage(&mut self, usage: &Usage) {
        self.push("rss_mib", "RSS MiB", usage.rss as f64 / MIB);
        self.push("anonymous_mib", "anonymous MiB", usage.anonymous as f64 / MIB);
        self.push("threads", "threads", usage.threads as f64);
        self.push("descriptors", "descriptors", usage.descriptors as f64);
        self.push("maps", "maps", usage.maps as f64);
    }
}

/// Median and spread of one metric over rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted[sorted.len() / 2];
        let median = if sorted.len() % 2 == 1 { upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2.0 };
        Some(Self { median, min, max })
    }
}

/// Spread of every metric over the rounds of one broker, by key.
pub fn spreads(rounds: &[Figure]) -> BTreeMap<String, Spread> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for metric in rounds.iter().flat_map(|figure| &figure.metrics) {
        values.entry(metric.key.clone()).or_default().push(metric.value);
    }
    values.into_iter().filter_map(|(key, values)| Some((key, Spread::of(&values)?))).collect()
}

/// The median over rounds of `other ÷ base`, round by round: what disturbed the machine in one round disturbed both.
pub fn ratio(base: &[Figure], other: &[Figure], key: &str) -> Option<Spread> {
    let pairs = base.iter().zip(other).filter_map(|(base, other)| Some((base.get(key)?, other.get(key)?)));
    Spread::of(&pairs.filter(|(base, _)| *base > 0.0).map(|(base, other)| other / base).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        let mut figure = Figure::default();
        figure.push("requests_per_second", "requests/s", value);
        figure
    }

    #[test]
    fn ratios_are_taken_inside_a_round() {
        let base = [figure(10.0), figure(100.0), figure(20.0)];
        let other = [figure(20.0), figure(200.0), figure(60.0)];
        let spread = ratio(&base, &other, "requests_per_second").expect("both have it");
        assert_eq!(spread, Spread { median: 2.0, min: 2.0, max: 3.0 });
        assert_eq!(ratio(&base, &other, "mib_per_second"), None);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn cost_counts_requests_and_bytes_of_the_window() {
        let mut series = Series::new("");
        (series.requests, series.records, series.bytes) = (1000, 16_000, 1 << 30);
        let mut figure = Figure::default();
        figure.push_series(series, 2.0);
        let broker = Some(Duration::from_secs(1));
        figure.push_cpu(Cpu { broker, generator: Duration::from_millis(500) }, 2.0);
        let get = |key| figure.get(key).expect(key);
        assert_eq!((get("requests_per_second"), get("records_per_second"), get("mib_per_second")), (500.0, 8000.0, 512.0));
        assert_eq!((get("cpu_us_per_request"), get("cpu_s_per_gib")), (1000.0, 1.0));
        assert_eq!((get("cpu_percent"), get("generator_cpu_percent")), (50.0, 25.0));
    }
}
