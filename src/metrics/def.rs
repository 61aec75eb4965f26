//! What is declared of a metric: its name, its kind, its labels, what it means. Encoding and `docs/metrics.md` come from here, so nothing
//! is exported that is not documented, and a test holds the reverse.
//!
//! A declaration stands in the file of the part it belongs to and reads
//!
//! ```text
//! /// What it counts.
//! pub REQUESTS = counter "kafkas_name_in_lower_case" ["label", "label"];
//! ```
//!
//! Names are Kafka's JMX names as the rules of the Prometheus JMX exporter print them, `klamm_…` where Kafka has none. A counter is
//! declared without the `_total` that its samples carry.

use super::{cleaner, connections, controller, groups, log, logging, partitions, process, replication, requests, topics};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives; samples end in `_total`.
    Counter,
    Gauge,
    /// Cumulative buckets, in seconds.
    Histogram,
    /// Kafka's histograms as the JMX exporter prints them: a gauge with a label `quantile` over the last minutes, and `_count`.
    Quantiles,
}

/// A declared metric. Its address is its identity: there is one `static` of each.
#[derive(Debug)]
pub struct Metric {
    /// Without `_total`.
    pub name: &'static str,
    pub kind: Kind,
    /// A sample carries a leading part of these: the sum over all partitions of a topic has no label `partition`.
    pub labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// Metrics that belong together, under a heading.
pub struct Area {
    pub title: &'static str,
    pub(super) doc: &'static str,
    pub metrics: &'static [&'static Metric],
}

/// All metrics, in the order in which they are exported and documented.
pub static AREAS: &[&Area] = &[
    &requests::AREA,
    &topics::AREA,
    &connections::AREA,
    &log::AREA,
    &cleaner::AREA,
    &partitions::AREA,
    &replication::AREA,
    &controller::AREA,
    &groups::AREA,
    &logging::AREA,
    &process::AREA,
];

impl Area {
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }
}

impl Metric {
    /// What it means, in a sentence or two.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// The name that samples carry: of a counter with `_total`.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram | Kind::Quantiles => self.name.to_owned(),
        }
    }
}

/// All declared metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    AREAS.iter().flat_map(|area| area.metrics.iter().copied())
}

/// Declares the metrics of an area.
macro_rules! metrics {
    (
        $(#[doc = $area_doc:literal])+
        area $title:literal;
        $(
            $(#[doc = $doc:literal])+
            pub $static:ident = $kind:ident $name:literal [$($label:literal),*];
        )+
    ) => {
        $(
            $(#[doc = $doc])+
            pub static $static: $crate::metrics::def::Metric = $crate::metrics::def::Metric {
                name: $name,
                kind: $crate::metrics::def::metrics!(@kind $kind),
                labels: &[$($label),*],
                help: concat!($($doc),+),
            };
        )+

        pub(in $crate::metrics) static AREA: $crate::metrics::def::Area = $crate::metrics::def::Area {
            title: $title,
            doc: concat!($($area_doc),+),
            metrics: &[$(&$static),+],
        };
    };
    (@kind counter) => { $crate::metrics::def::Kind::Counter };
    (@kind gauge) => { $crate::metrics::def::Kind::Gauge };
    (@kind histogram) => { $crate::metrics::def::Kind::Histogram };
    (@kind quantiles) => { $crate::metrics::def::Kind::Quantiles };
}
pub(in crate::metrics) use metrics;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names = HashSet::new();
        for metric in all() {
            assert!(names.insert(metric.name), "{} is declared twice", metric.name);
            let letters = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            assert!(letters(metric.name) && metric.name.starts_with(|c: char| c.is_ascii_lowercase()), "{}", metric.name);
            assert!(metric.labels.iter().all(|label| letters(label)), "{}", metric.name);
            for suffix in ["_total", "_bucket", "_sum"] {
                assert!(!metric.name.ends_with(suffix), "{} ends like a sample of another kind", metric.name);
            }
        }
    }

    #[test]
    fn every_metric_is_explained_in_a_line() {
        for metric in all() {
            let help = metric.help();
            assert!(help.len() > 12 && help.ends_with('.'), "{} needs a sentence", metric.name);
            assert!(!help.contains(['\n', '\\', '"', '|']), "{}: the help goes out as it is", metric.name);
        }
    }
}
