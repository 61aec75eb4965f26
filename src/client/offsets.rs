//! ListOffsets: where partitions begin and end, and which offset belongs to a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use super::cluster::{Client, topic_name};
use super::connection::Connection;
use super::error::ClientError;
use super::leaders::PerPartition;
use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, NO_LEADER_EPOCH, Offset, TimestampMs, TopicPartition};

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is still there.
    Earliest,
    /// Behind the last that consumers may read.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at this time or later.
    Timestamp(TimestampMs),
}

impl OffsetSpec {
    /// The number that stands for it in a request (`ListOffsetsRequest`).
    pub fn timestamp(self) -> TimestampMs {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(at) => at,
        }
    }
}

/// Whether records of transactions that are open or aborted count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IsolationLevel {
    #[default]
    ReadUncommitted = 0,
    ReadCommitted = 1,
}

/// An offset that was found. Offset and timestamp are −1 where no record matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub leader_epoch: LeaderEpoch,
}

impl Client {
    /// Looks up one offset of each partition, at the partitions' leaders.
    pub async fn list_offsets(
        &self,
        wanted: Vec<(TopicPartition, OffsetSpec)>,
        isolation: IsolationLevel,
    ) -> Result<PerPartition<FoundOffset>, ClientError> {
        self.ask_leaders(wanted, async |connection, wanted| ask(connection, wanted, isolation).await).await
    }
}

async fn ask(
    connection: Arc<Connection>,
    wanted: Vec<(TopicPartition, OffsetSpec)>,
    isolation: IsolationLevel,
) -> Result<PerPartition<FoundOffset>, ClientError> {
    let mut topics = BTreeMap::<&str, Vec<ListOffsetsPartition>>::new();
    for (partition, spec) in &wanted {
        let row = ListOffsetsPartition::default()
            .with_partition_index(partition.partition)
            .with_current_leader_epoch(NO_LEADER_EPOCH)
            .with_timestamp(spec.timestamp());
        topics.entry(&partition.topic).or_default().push(row);
    }
    let version = connection.version_of::<ListOffsetsRequest>()?;
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions));
    let mut request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
    if version >= 2 {
        request.isolation_level = isolation as i8;
    }
    let response = connection.send_version(&request, version).await?;
    let mut found = PerPartition::new();
    for topic in response.topics {
        for row in topic.partitions {
            let answer = match row.error_code.err() {
                Some(code) => Err(code),
                None => Ok(FoundOffset { offset: row.offset, timestamp: row.timestamp, leader_epoch: row.leader_epoch }),
            };
            found.insert(TopicPartition::new(&**topic.name, row.partition_index), answer);
        }
    }
    Ok(found)
}

/// The offsets alone, or the first refusal.
pub fn all_found(answers: PerPartition<FoundOffset>) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
    let each = |(partition, answer): (TopicPartition, Result<FoundOffset, ErrorCode>)| match answer {
        Ok(found) => Ok((partition, found.offset)),
        Err(code) => Err(ClientError::refused(format!("offsets of {partition}"), code)),
    };
    answers.into_iter().map(each).collect()
}
