//! The configuration in force: what the node was started with and what was set since, as one value that is replaced whole.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tracing::warn;

use crate::base::ids::BrokerId;
use crate::config::broker::BrokerConfig;
use crate::config::settings::{Overrides, Settings};
use crate::config::topic::TopicConfig;
use crate::metadata::{ConfigMap, ConfigResource, MetadataImage, ResourceType};

pub struct Effective {
    id: BrokerId,
    settings: ArcSwap<Settings>,
    config: ArcSwap<BrokerConfig>,
    changed: watch::Sender<()>,
}

impl Effective {
    pub fn new(id: BrokerId, started_with: Settings) -> Self {
        let config = BrokerConfig::of(&started_with);
        Self {
            id,
            settings: ArcSwap::from_pointee(started_with),
            config: ArcSwap::from_pointee(config),
            changed: watch::channel(()).0,
        }
    }

    pub fn config(&self) -> Guard<Arc<BrokerConfig>> {
        self.config.load()
    }

    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Takes over the dynamic values of an image.
    pub fn follow(&self, image: &MetadataImage) {
        let of = |name: String| overrides(image.configs_of(&ConfigResource::new(ResourceType::Broker, name)));
        let (settings, problems) = self.settings.load().with_dynamic(&of(String::new()), &of(self.id.to_string()));
        for problem in problems {
            warn!(%problem, "a dynamic configuration value is ignored");
        }
        self.config.store(Arc::new(BrokerConfig::of(&settings)));
        self.settings.store(Arc::new(settings));
        self.changed.send_replace(());
    }

    /// Told after every change; a change before this call is told at once.
    pub fn changes(&self) -> watch::Receiver<()> {
        let mut changes = self.changed.subscribe();
        changes.mark_changed();
        changes
    }

    /// The configuration in force for one topic of an image.
    pub fn topic(&self, image: &MetadataImage, name: &str) -> TopicConfig {
        let own = overrides(image.configs_of(&ConfigResource::topic(name)));
        TopicConfig::resolve(&self.settings.load(), &own)
    }
}

/// What is set on a resource, as the configuration reads it.
pub fn overrides(map: &ConfigMap) -> Overrides {
    map.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
