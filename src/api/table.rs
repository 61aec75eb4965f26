//! What klamm speaks: one row an API. Dispatch, the ApiVersions answer, metrics per API and `docs/protocol.md` come from here.
//!
//! A row exists only if everything its versions promise works. Rows stand in the order of Kafka's api keys.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::HeaderVersion;

use super::session::Session;
use super::{Handled, cluster, config, data, group, run, topic, transaction};
use crate::protocol::ApiRequest;
use crate::protocol::header::RequestHeader;
use crate::protocol::outbox::Outbox;
use crate::protocol::supplement::WriteTxnMarkersRequest;

pub const API_VERSIONS: i16 = 18;

type Handle = fn(&Arc<Session>, &RequestHeader, Bytes, &mut Outbox) -> Handled;

pub struct Api {
    pub key: i16,
    pub name: &'static str,
    /// Versions whose requests are decoded and answered.
    pub min: i16,
    pub max: i16,
    /// Lowest version that ApiVersions tells of; below `min` only for Produce.
    pub advertised_min: i16,
    pub header_version: fn(i16) -> i16,
    pub handle: Handle,
}

macro_rules! apis {
    ($( $name:ident($request:ident) $min:literal ..= $max:literal => $($module:ident)::+ $([advertised from $from:literal])? $([slices: $announce:path])? ; )*) => {
        /// All rows, by rising key.
        pub static APIS: &[Api] = &[$( Api {
            key: <$request as ApiRequest>::KEY,
            name: stringify!($name),
            min: $min,
            max: $max,
            advertised_min: first!($($from,)? $min),
            header_version: <$request as HeaderVersion>::header_version,
            handle: |session, header, body, outbox| {
                run::<$request>(
                    session, header, body, outbox, $($module)::+::handle, first!($($announce,)? |_, _| {}))
            },
        } ),*];
    };
}

macro_rules! first {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

apis! {
    Produce(ProduceRequest) 3..=13 => data::produce [advertised from 0];
    Fetch(FetchRequest) 4..=18 => data::fetch [slices: data::fetch::announce];
    ListOffsets(ListOffsetsRequest) 1..=11 => data::list_offsets;
    Metadata(MetadataRequest) 0..=13 => cluster::metadata;
    OffsetCommit(OffsetCommitRequest) 2..=10 => group::offset_commit;
    OffsetFetch(OffsetFetchRequest) 1..=10 => group::offset_fetch;
    FindCoordinator(FindCoordinatorRequest) 0..=6 => group::find_coordinator;
    JoinGroup(JoinGroupRequest) 0..=9 => group::join_group;
    Heartbeat(HeartbeatRequest) 0..=4 => group::heartbeat;
    LeaveGroup(LeaveGroupRequest) 0..=5 => group::leave_group;
    SyncGroup(SyncGroupRequest) 0..=5 => group::sync_group;
    DescribeGroups(DescribeGroupsRequest) 0..=6 => group::describe_groups;
    ListGroups(ListGroupsRequest) 0..=5 => group::list_groups;
    ApiVersions(ApiVersionsRequest) 0..=4 => cluster::api_versions;
    CreateTopics(CreateTopicsRequest) 2..=7 => topic::create_topics;
    DeleteTopics(DeleteTopicsRequest) 1..=6 => topic::delete_topics;
    DeleteRecords(DeleteRecordsRequest) 0..=2 => data::delete_records;
    InitProducerId(InitProducerIdRequest) 0..=5 => transaction::init_producer_id;
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest) 2..=4 => data::offset_for_leader_epoch;
    AddPartitionsToTxn(AddPartitionsToTxnRequest) 0..=5 => transaction::add_partitions_to_txn;
    AddOffsetsToTxn(AddOffsetsToTxnRequest) 0..=4 => transaction::add_offsets_to_txn;
    EndTxn(EndTxnRequest) 0..=5 => transaction::end_txn;
    WriteTxnMarkers(WriteTxnMarkersRequest) 1..=2 => transaction::write_txn_markers;
    TxnOffsetCommit(TxnOffsetCommitRequest) 0..=5 => transaction::txn_offset_commit;
    DescribeConfigs(DescribeConfigsRequest) 1..=4 => config::describe_configs;
    AlterConfigs(AlterConfigsRequest) 0..=2 => config::alter_configs;
    DescribeLogDirs(DescribeLogDirsRequest) 1..=5 => cluster::describe_log_dirs;
    CreatePartitions(CreatePartitionsRequest) 0..=3 => topic::create_partitions;
    DeleteGroups(DeleteGroupsRequest) 0..=2 => group::delete_groups;
    ElectLeaders(ElectLeadersRequest) 0..=2 => topic::elect_leaders;
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest) 0..=1 => config::incremental_alter_configs;
    ListPartitionReassignments(ListPartitionReassignmentsRequest) 0..=0 => topic::list_partition_reassignments;
    OffsetDelete(OffsetDeleteRequest) 0..=0 => group::offset_delete;
    DescribeQuorum(DescribeQuorumRequest) 0..=2 => cluster::describe_quorum;
    UpdateFeatures(UpdateFeaturesRequest) 0..=2 => cluster::update_features;
    DescribeCluster(DescribeClusterRequest) 0..=2 => cluster::describe_cluster;
    DescribeProducers(DescribeProducersRequest) 0..=0 => data::describe_producers;
    UnregisterBroker(UnregisterBrokerRequest) 0..=0 => cluster::unregister_broker;
    DescribeTransactions(DescribeTransactionsRequest) 0..=0 => transaction::describe_transactions;
    ListTransactions(ListTransactionsRequest) 0..=2 => transaction::list_transactions;
    ListConfigResources(ListConfigResourcesRequest) 0..=1 => config::list_config_resources;
    DescribeTopicPartitions(DescribeTopicPartitionsRequest) 0..=0 => topic::describe_topic_partitions;
}

/// The row of an api key.
pub fn find(key: i16) -> Option<&'static Api> {
    place(key).map(|row| &APIS[row])
}

/// The place of an api key's row, which is also that of its metrics.
pub fn place(key: i16) -> Option<usize> {
    // Keys 0, 1 and 3 are nearly all of the traffic, and stand first.
    APIS.iter().position(|api| api.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_keys() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
    }
}
