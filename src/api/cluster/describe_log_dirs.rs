//! DescribeLogDirs: v1–5. The log directories of this broker, how full they are, and what lies in them (KIP-113).
//!
//! v2 flexible · v3 an error of the whole request · v4 size and free space (KIP-827) · v5 cordoned directories (KIP-1066).

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;
use crate::base::ErrorCode;
use crate::base::ids::TopicPartition;
use crate::broker::Broker;
use crate::protocol::supplement::{CompactionLag, DescribeLogDirsResponse};
use crate::storage::LogShared;
use crate::storage::cleaner::CleanerLag;

pub fn handle(cx: &Context, request: DescribeLogDirsRequest) -> Reply<DescribeLogDirsResponse> {
    let (broker, version) = (cx.broker().clone(), cx.version());
    Reply::later(async move {
        // Asking a file system for its size may take as long as the file system likes.
        let results = tokio::task::spawn_blocking(move || describe(&broker, request.topics.as_deref()));
        let mut response = kafka_protocol::messages::DescribeLogDirsResponse::default();
        match results.await {
            Ok(results) => response.results = results,
            Err(_) if version >= 3 => response.error_code = ErrorCode::UnknownServerError.code(),
            Err(_) => {}
        }
        if version < 4 {
            for result in &mut response.results {
                (result.total_bytes, result.usable_bytes) = (-1, -1);
            }
        }
        // No directory is ever cordoned.
        DescribeLogDirsResponse::from(response)
    })
}

/// `asked` is `None` for everything.
fn describe(broker: &Broker, asked: Option<&[DescribableLogDirTopic]>) -> Vec<DescribeLogDirsResult> {
    let asked: Option<HashSet<(&str, i32)>> = asked.map(|topics| {
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (&**topic.topic, *partition))).collect()
    });
    let is_asked_for = |log: &LogShared| {
        let TopicPartition { topic, partition } = log.partition();
        asked.as_ref().is_none_or(|asked| asked.contains(&(&**topic, *partition)))
    };
    let logs = &broker.replicas.logs;
    let mut all: Vec<Arc<LogShared>> = logs.logs().into_iter().filter(|log| is_asked_for(log)).collect();
    all.sort_by(|a, b| a.partition().cmp(b.partition()));
    let config = broker.config();
    let configured = config.node.data_dirs();
    let results = configured.iter().map(|path| {
        let path = Path::new(path);
        let result = DescribeLogDirsResult::default().with_log_dir(absolute(path));
        // A directory that could not be used at start is as offline as one that failed since.
        let online = logs.directories().find(|d| d.path() == path).filter(|d| d.offline().is_none());
        let space = online.map(|directory| (directory, directory.disk().space(directory.path())));
        match space {
            Some((directory, Ok(space))) => result
                .with_total_bytes(i64::try_from(space.total).unwrap_or(i64::MAX))
                .with_usable_bytes(i64::try_from(space.free).unwrap_or(i64::MAX))
                .with_topics(topics(broker, all.iter().filter(|log| Arc::ptr_eq(log.directory(), directory)))),
            _ => result.with_error_code(ErrorCode::KafkaStorageError.code()),
        }
    });
    results.collect()
}

fn topics<'a>(broker: &Broker, logs: impl Iterator<Item = &'a Arc<LogShared>>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs {
        let mut partition = DescribeLogDirsPartition::default()
            .with_partition_index(log.partition().partition)
            .with_partition_size(i64::try_from(log.size()).unwrap_or(i64::MAX))
            // How far the log is behind what its partition has committed.
            .with_offset_lag((log.high_watermark() - log.log_end_offset()).max(0))
            .with_is_future_key(false);
        if let Some(CleanerLag { clean_bytes, dirty_bytes, uncleanable }) = broker.cleaner.lag(log) {
            CompactionLag { clean_bytes, dirty_bytes, uncleanable }.put_into(&mut partition);
        }
        topics.entry(&log.partition().topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, _)| {
        DescribeLogDirsTopic::default().with_name(TopicName(StrBytes::from_string(name.to_owned()))).with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}

fn absolute(path: &Path) -> StrBytes {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    StrBytes::from_string(path.display().to_string())
}
