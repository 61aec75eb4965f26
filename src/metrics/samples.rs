//! What one scrape gathers, and how it becomes text.
//!
//! Sources may add samples of any metric in any order; the text has each metric once, in the order of the declarations, as the formats
//! demand. Only declared metrics can be added, with labels that are a leading part of the declared ones.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::encoding::{EncodeLabel, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use smallvec::SmallVec;

use super::def::{self, Kind, Metric};
use super::histogram::Counts;
use crate::base::time::Mono;

/// Shares that are told of a [`Kind::Quantiles`] metric: those of Kafka's histograms.
const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// A label's value; names that are shared stay shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    Static(&'static str),
    Shared(Arc<str>),
    Owned(String),
    Number(i64),
}

#[derive(Clone, Debug)]
enum Value {
    Whole(i64),
    Real(f64),
    Histogram(Box<Counts>),
    /// Of the last minutes, and the count since the start.
    Quantiles(Box<Counts>, u64),
}

type Labels = SmallVec<[Label; 2]>;

/// The samples of one scrape.
#[derive(Debug, Default)]
pub struct Samples {
    families: HashMap<&'static str, Vec<(Labels, Value)>>,
    pub(super) now: Mono,
    /// Whether partitions get series of their own, or one sum a topic.
    pub(super) per_partition: bool,
}

impl Samples {
    pub(super) fn new(now: Mono, per_partition: bool) -> Self {
        Samples { families: HashMap::new(), now, per_partition }
    }

    /// Adds a whole number to a counter or gauge. Numbers beyond `i64` are cut off there.
    pub fn add(&mut self, metric: &'static Metric, labels: &[Label], value: impl TryInto<i64>) {
        self.push(metric, labels, Value::Whole(value.try_into().unwrap_or(i64::MAX)));
    }

    pub fn add_real(&mut self, metric: &'static Metric, labels: &[Label], value: f64) {
        self.push(metric, labels, Value::Real(value));
    }

    pub fn add_histogram(&mut self, metric: &'static Metric, labels: &[Label], counts: Counts) {
        self.push(metric, labels, Value::Histogram(Box::new(counts)));
    }

    /// Quantiles of what came lately, with the count of all that came.
    pub fn add_quantiles(&mut self, metric: &'static Metric, labels: &[Label], recent: Counts, count: u64) {
        self.push(metric, labels, Value::Quantiles(Box::new(recent), count));
    }

    fn push(&mut self, metric: &'static Metric, labels: &[Label], value: Value) {
        assert!(labels.len() <= metric.labels.len(), "{} has the labels {:?}", metric.name, metric.labels);
        let fits = match metric.kind {
            Kind::Counter | Kind::Gauge => matches!(value, Value::Whole(_) | Value::Real(_)),
            Kind::Histogram => matches!(value, Value::Histogram(_)),
            Kind::Quantiles => matches!(value, Value::Quantiles(..)),
        };
        assert!(fits, "{} is a {:?}", metric.name, metric.kind);
        self.families.entry(metric.name).or_default().push((labels.into(), value));
    }

    /// The samples as OpenMetrics text.
    pub fn into_open_metrics(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in def::all() {
            let Some(samples) = self.families.get(metric.name) else { continue };
            let mut family = encoder.encode_descriptor(metric.name, metric.help(), None, metric_type(metric.kind))?;
            for (labels, value) in samples {
                let labels = LabelSet { names: metric.labels, values: labels, quantile: None };
                encode_sample(&mut family, labels, metric.kind, value)?;
            }
            if metric.kind == Kind::Quantiles {
                let name = format!("{}_count", metric.name);
                let help = format!("How many {} counts, since the start.", metric.name);
                let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Unknown)?;
                for (labels, value) in samples {
                    let Value::Quantiles(_, count) = value else { continue };
                    let labels = LabelSet { names: metric.labels, values: labels, quantile: None };
                    labels.encode_on(&mut family, |e| e.encode_gauge(count))?;
                }
            }
        }
        Ok(())
    }
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::Quantiles => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn encode_sample(family: &mut MetricEncoder<'_>, labels: LabelSet<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match value {
        Value::Whole(n) if kind == Kind::Counter => {
            let n = (*n).max(0).cast_unsigned();
            labels.encode_on(family, |e| e.encode_counter::<NoLabelSet, u64, f64>(&n, None))
        }
        Value::Real(x) if kind == Kind::Counter => {
            labels.encode_on(family, |e| e.encode_counter::<NoLabelSet, f64, f64>(x, None))
        }
        Value::Whole(n) => labels.encode_on(family, |e| e.encode_gauge(n)),
        Value::Real(x) => labels.encode_on(family, |e| e.encode_gauge(x)),
        Value::Histogram(counts) => labels.encode_on(family, |e| {
            e.encode_histogram::<NoLabelSet>(counts.sum_seconds(), counts.count(), &counts.exported_buckets(), None)
        }),
        Value::Quantiles(recent, _) => QUANTILES.into_iter().try_for_each(|(share, name)| {
            let labels = LabelSet { quantile: Some(name), ..labels };
            labels.encode_on(family, |e| e.encode_gauge(&recent.quantile_ms(share)))
        }),
    }
}

#[derive(Clone, Copy)]
struct LabelSet<'a> {
    names: &'static [&'static str],
    values: &'a [Label],
    quantile: Option<&'static str>,
}

impl LabelSet<'_> {
    /// Encodes a sample with these labels, or without braces if there are none.
    fn encode_on(
        &self,
        family: &mut MetricEncoder<'_>,
        sample: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if self.values.is_empty() && self.quantile.is_none() { sample(family) } else { sample(&mut family.encode_family(self)?) }
    }
}

impl EncodeLabelSet for LabelSet<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.names.iter().zip(self.values) {
            (*name, value.text()).encode(encoder.encode_label())?;
        }
        match self.quantile {
            Some(quantile) => ("quantile", quantile).encode(encoder.encode_label()),
            None => Ok(()),
        }
    }
}

impl Label {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Label::Static(text) => Cow::Borrowed(text),
            Label::Shared(text) => Cow::Borrowed(text),
            Label::Owned(text) => Cow::Borrowed(text),
            Label::Number(number) => Cow::Owned(number.to_string()),
        }
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Label::Static(text)
    }
}

impl From<&Arc<str>> for Label {
    fn from(text: &Arc<str>) -> Self {
        Label::Shared(text.clone())
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Label::Owned(text)
    }
}

impl From<i32> for Label {
    fn from(number: i32) -> Self {
        Label::Number(number.into())
    }
}

impl From<i64> for Label {
    fn from(number: i64) -> Self {
        Label::Number(number)
    }
}
