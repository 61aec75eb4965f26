//! The text of `docs/metrics.md`, and the test that holds the committed file to the declarations.
//!
//! After a change of the declarations, `KLAMM_REGENERATE=1 cargo test metrics::docs` writes it anew.

use std::fmt::Write;

use super::def::{AREAS, Kind, Metric};

const INTRODUCTION: &str = "\
# Metrics

This page is made from the declarations in `src/metrics` by `KLAMM_REGENERATE=1 cargo test metrics::docs`; tests hold it to what a running
broker exports, and the reverse.

With `http.listener = \"127.0.0.1:8080\"` a broker serves its metrics at `/metrics`, as OpenMetrics or as the older Prometheus text,
whichever the scraper asks for. [`grafana/`](grafana) has a dashboard, alerts and a configuration of Prometheus.

Names are Kafka's JMX names as the usual rules of the Prometheus JMX exporter print them, so that dashboards made for Kafka show
klamm too; names that start with `klamm_` have no counterpart in Kafka, and those that start with `process_` are what Prometheus calls
them for every program. Counters start at 0 with the process.

Kafka's histograms are *quantiles* here: gauges with a label `quantile` (0.50, 0.75, 0.95, 0.98, 0.99, 0.999) over the last two and a half
to five minutes, and a series `…_count` that only grows. Quantiles of several brokers cannot be added up; where that is wanted, take the
`klamm_…_seconds` histograms.

";

fn metrics_md() -> String {
    let mut text = INTRODUCTION.to_owned();
    for area in AREAS {
        let _ = writeln!(text, "## {}\n\n{}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|", area.title, area.doc());
        for metric in area.metrics {
            let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "| `{}` | {} | {labels} | {} |", metric.sample_name(), kind(metric), metric.help());
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Quantiles => "quantiles",
    }
}

#[test]
fn the_committed_reference_is_up_to_date() {
    crate::base::committed::up_to_date("docs/metrics.md", &metrics_md(), "metrics::docs");
}
