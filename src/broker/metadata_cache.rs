//! The newest metadata image that this broker has acted on.
//!
//! Invariant: an image is shown only after the broker's parts follow it ([`publisher`](super::publisher)), so what a client is told is
//! already so.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::metadata::MetadataImage;

pub struct MetadataCache {
    image: ArcSwap<MetadataImage>,
    shown: watch::Sender<i64>,
}

impl Default for MetadataCache {
    fn default() -> Self {
        Self { image: ArcSwap::default(), shown: watch::channel(-1).0 }
    }
}

impl MetadataCache {
    pub fn image(&self) -> Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    pub fn show(&self, image: Arc<MetadataImage>) {
        let offset = image.offset();
        self.image.store(image);
        self.shown.send_replace(offset);
    }

    /// Waits until an image is shown for which `test` holds.
    pub async fn wait_until(&self, test: impl Fn(&MetadataImage) -> bool) -> Arc<MetadataImage> {
        let mut shown = self.shown.subscribe();
        loop {
            shown.mark_unchanged();
            let image = self.image.load_full();
            if test(&image) {
                return image;
            }
            shown.changed().await.expect("the sender lives as long as the cache");
        }
    }
}
