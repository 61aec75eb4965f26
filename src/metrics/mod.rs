//! Seeing inside: counters that parts of the broker keep, gauges that are read when somebody looks, and their text for Prometheus.
//!
//! There is no global registry: a [`Metrics`] belongs to one broker and is handed around. What can be derived (sizes, counts of
//! partitions and groups, lag, memory) is not counted at all but gathered by the sources of an [`Exporter`] at each scrape.
//!
//! Every metric is declared once, in the file of its part (see `def`); `docs/metrics.md` is made from the declarations.

pub mod cleaner;
pub mod connections;
pub mod controller;
pub mod def;
#[cfg(test)]
mod docs;
mod exporter;
pub mod groups;
mod histogram;
pub mod log;
mod logging;
pub mod partitions;
mod process;
mod recent;
pub mod replication;
pub mod requests;
mod samples;
mod stripe;
mod text;
pub mod topics;

use std::sync::Arc;

use parking_lot::Mutex;

pub use connections::{Ended, ListenerMetrics};
pub use exporter::{Exporter, Format};
pub use requests::{ApiMetrics, Exchange};
pub use samples::{Label, Samples};
pub use topics::{TopicMetrics, Topics};

use self::groups::GroupMetrics;
use self::replication::IsrMetrics;

/// What one broker counts.
#[derive(Debug)]
pub struct Metrics {
    /// One row an API, in the order of the names given to [`Metrics::new`].
    pub apis: Box<[ApiMetrics]>,
    pub topics: Topics,
    pub isr: IsrMetrics,
    pub groups: GroupMetrics,
    listeners: Mutex<Vec<Arc<ListenerMetrics>>>,
}

impl Metrics {
    /// `apis` are Kafka's names of the APIs, in the order of the table.
    pub fn new(apis: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        Arc::new(Metrics {
            apis: apis.into_iter().map(ApiMetrics::new).collect(),
            topics: Topics::default(),
            isr: IsrMetrics::default(),
            groups: GroupMetrics::default(),
            listeners: Mutex::default(),
        })
    }

    /// The counts of a new listener; call it once for each.
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        let listener = Arc::new(ListenerMetrics::new(name));
        self.listeners.lock().push(listener.clone());
        listener
    }

    fn collect(&self, out: &mut Samples) {
        for api in &self.apis {
            api.collect(out);
        }
        self.topics.collect(out);
        for listener in self.listeners.lock().iter() {
            listener.collect(out);
        }
        self.isr.collect(out);
        self.groups.collect(out);
    }
}
