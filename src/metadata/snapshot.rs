//! An image as a run of records that rebuilds it, preceded by the few numbers that no record holds.
//!
//! Invariant: `from_records(header(i), records(i)) = i`, down to epochs and offsets. How the records lie in a file is the quorum's matter.

use super::delta::MetadataDelta;
use super::image::MetadataImage;
use super::record::MetadataRecord;
use super::replay::ReplayError;
use super::wire::{DecodeError, Reader, Writer};

/// What a snapshot says before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    pub offset: i64,
    claim_epoch: i32,
    last_seq: u64,
    controller_id: i32,
    next_broker_epoch: i64,
}

impl SnapshotHeader {
    pub fn of(image: &MetadataImage) -> Self {
        Self {
            offset: image.offset,
            claim_epoch: image.claim_epoch,
            last_seq: image.last_seq,
            controller_id: image.controller_id,
            next_broker_epoch: image.next_broker_epoch,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out);
        w.i64(self.offset);
        w.i64(i64::from(self.claim_epoch));
        w.uvarint(self.last_seq);
        w.i64(i64::from(self.controller_id));
        w.i64(self.next_broker_epoch);
        w.tagged(&[]);
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(bytes);
        let header = Self {
            offset: r.i64()?,
            claim_epoch: r.i32()?,
            last_seq: r.uvarint()?,
            controller_id: r.i32()?,
            next_broker_epoch: r.i64()?,
        };
        r.tagged(|_, _| Ok(()))?;
        Ok(header)
    }
}

/// The records that rebuild `image`, in an order in which they can be replayed.
pub fn records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> {
    let cluster =
        image.cluster.iter().map(|c| MetadataRecord::ClusterInit { cluster_id: c.cluster_id.clone(), created_ms: c.created_ms });
    let features = image.features.iter().map(|(name, level)| MetadataRecord::FeatureLevel { name: name.clone(), level: *level });
    let brokers = image.brokers.values().map(|b| MetadataRecord::RegisterBroker(Box::new((**b).clone())));
    let topics = image.topics.iter().flat_map(|topic| {
        let topic_id = topic.id;
        let partitions = topic.iter().map(move |(partition, registration)| MetadataRecord::Partition {
            topic_id,
            partition,
            registration: (**registration).clone(),
        });
        std::iter::once(MetadataRecord::Topic { topic_id, name: topic.name.clone() }).chain(partitions)
    });
    let configs = image.configs.iter().flat_map(|(resource, map)| {
        map.iter().map(move |(key, value)| MetadataRecord::Config {
            resource: resource.clone(),
            key: key.clone(),
            value: Some(value.clone()),
        })
    });
    let producer_ids = (image.next_producer_id > 0).then_some(MetadataRecord::ProducerIds {
        broker_id: -1,
        broker_epoch: -1,
        next: image.next_producer_id,
    });
    cluster.chain(features).chain(brokers).chain(topics).chain(configs).chain(producer_ids)
}

/// Appends records to `out`, one after the other, until it holds at least `enough` bytes; the number of records, 0 at the end.
pub fn encode_some(records: &mut impl Iterator<Item = MetadataRecord>, enough: usize, out: &mut Vec<u8>) -> u64 {
    let mut count = 0;
    while out.len() < enough {
        let Some(record) = records.next() else { break };
        record.encode(out);
        count += 1;
    }
    count
}

/// An image that a snapshot is read into.
pub struct SnapshotLoader {
    header: SnapshotHeader,
    image: MetadataImage,
    delta: MetadataDelta,
    records: u64,
}

/// Why a snapshot is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl SnapshotLoader {
    pub fn new(header: SnapshotHeader) -> Self {
        Self { header, image: MetadataImage::default(), delta: MetadataDelta::default(), records: 0 }
    }

    /// Replays records that were written by [`encode_some`].
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.image.replay(&MetadataRecord::decode(&mut reader)?, &mut self.delta)?;
            self.records += 1;
        }
        // Nobody asks what a snapshot touched: its delta is taken between images.
        self.delta = MetadataDelta::default();
        Ok(())
    }

    /// Records loaded so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn finish(self) -> MetadataImage {
        let SnapshotHeader { offset, claim_epoch, last_seq, controller_id, next_broker_epoch } = self.header;
        MetadataImage { offset, claim_epoch, last_seq, controller_id, next_broker_epoch, ..self.image }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metadata::testing::{any_history, replay_all};

    fn through_snapshot(image: &MetadataImage) -> MetadataImage {
        let mut header = Vec::new();
        SnapshotHeader::of(image).encode(&mut header);
        let mut loader = SnapshotLoader::new(SnapshotHeader::decode(&header).unwrap());
        let mut records = records(image);
        let mut total = 0;
        loop {
            let mut block = Vec::new();
            let count = encode_some(&mut records, 64, &mut block);
            if count == 0 {
                break;
            }
            total += count;
            loader.load(&block).unwrap();
        }
        assert_eq!(loader.records(), total);
        loader.finish()
    }

    proptest! {
        #[test]
        fn image_from_log_equals_image_from_snapshot_and_tail(history in any_history(), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(history.len() + 1);
            let whole = replay_all(MetadataImage::default(), &history);
            let at_cut = replay_all(MetadataImage::default(), &history[..cut]);
            let restored = through_snapshot(&at_cut);
            prop_assert_eq!(&restored, &at_cut);
            prop_assert_eq!(replay_all(restored, &history[cut..]), whole);
        }

        #[test]
        fn a_delta_between_images_names_what_the_records_touched(history in any_history(), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(history.len() + 1);
            let old = replay_all(MetadataImage::default(), &history[..cut]);
            let mut new = old.clone();
            let mut touched = MetadataDelta::default();
            for batch in &history[cut..] {
                new.apply(new.offset() + 1, batch, &mut touched).unwrap();
            }
            let between = MetadataDelta::between(&old, &new);
            for id in between.topics.keys() {
                prop_assert!(touched.topics.contains_key(id));
            }
            prop_assert!(between.brokers.is_subset(&touched.brokers) && between.configs.is_subset(&touched.configs));
            prop_assert!(MetadataDelta::between(&new, &new).is_empty());
        }
    }
}
