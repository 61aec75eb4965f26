//! Where partitions begin and end now.

use std::collections::BTreeMap;

use super::error::Result;
use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::client::Client;
use crate::client::offsets::{IsolationLevel, OffsetSpec, all_found};

/// What is in a partition: `earliest ≤ latest`, and `latest` is behind the last record that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub earliest: Offset,
    pub latest: Offset,
}

/// What is in each partition now.
pub async fn bounds(
    client: &Client,
    partitions: &[TopicPartition],
    isolation: IsolationLevel,
) -> Result<BTreeMap<TopicPartition, Bounds>> {
    let ask = async |spec| all_found(client.list_offsets(with(partitions, spec), isolation).await?);
    let (earliest, latest) = tokio::try_join!(ask(OffsetSpec::Earliest), ask(OffsetSpec::Latest))?;
    // Records may have been deleted or added between the two answers.
    let both = earliest.into_iter().filter_map(|(partition, earliest)| {
        let latest = latest.get(&partition)?.max(&earliest);
        Some((partition, Bounds { earliest, latest: *latest }))
    });
    Ok(both.collect())
}

/// The first offset of each partition at a time or later; −1 where there is none.
pub async fn offsets_at(
    client: &Client,
    partitions: &[TopicPartition],
    at: TimestampMs,
    isolation: IsolationLevel,
) -> Result<BTreeMap<TopicPartition, Offset>> {
    // What is negative has meanings of its own.
    Ok(all_found(client.list_offsets(with(partitions, OffsetSpec::Timestamp(at.max(0))), isolation).await?)?)
}

fn with(partitions: &[TopicPartition], spec: OffsetSpec) -> Vec<(TopicPartition, OffsetSpec)> {
    partitions.iter().map(|partition| (partition.clone(), spec)).collect()
}
