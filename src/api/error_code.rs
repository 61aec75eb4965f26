//! The error code that stands for a response in the metrics: its own, or the first that a part of it has.

use kafka_protocol::messages::*;

use crate::protocol::supplement;

/// A response that can tell whether it says no.
pub trait FirstError {
    /// Kafka's number of the first error; 0 if there is none.
    fn first_error(&self) -> i16;
}

/// `own` is the response's own code; `a / b` the codes of all `b` of all `a`.
macro_rules! first_errors {
    ($($response:ident: $($own:ident)? $([$first:ident $(/ $then:ident)*])?;)*) => {
        $(
            impl FirstError for $response {
                fn first_error(&self) -> i16 {
                    let own = std::iter::empty() $(.chain([first_errors!(@ $own self)]))?;
                    let parts = std::iter::empty() $(.chain(
                        self.$first.iter() $(.flat_map(|part| part.$then.iter()))* .map(|part| part.error_code)
                    ))?;
                    own.chain(parts).find(|code: &i16| *code != 0).unwrap_or(0)
                }
            }
        )*
    };
    (@ own $response:ident) => { $response.error_code };
}

first_errors! {
    ProduceResponse: [responses / partition_responses];
    FetchResponse: own [responses / partitions];
    ListOffsetsResponse: [topics / partitions];
    MetadataResponse: own [topics];
    OffsetCommitResponse: [topics / partitions];
    OffsetFetchResponse: own [groups];
    FindCoordinatorResponse: own [coordinators];
    JoinGroupResponse: own;
    HeartbeatResponse: own;
    LeaveGroupResponse: own [members];
    SyncGroupResponse: own;
    DescribeGroupsResponse: [groups];
    ListGroupsResponse: own;
    SaslHandshakeResponse: own;
    ApiVersionsResponse: own;
    CreateTopicsResponse: [topics];
    DeleteTopicsResponse: [responses];
    DeleteRecordsResponse: [topics / partitions];
    InitProducerIdResponse: own;
    OffsetForLeaderEpochResponse: [topics / partitions];
    AddOffsetsToTxnResponse: own;
    EndTxnResponse: own;
    WriteTxnMarkersResponse: [markers / topics / partitions];
    TxnOffsetCommitResponse: [topics / partitions];
    DescribeAclsResponse: own;
    CreateAclsResponse: [results];
    DeleteAclsResponse: [filter_results];
    DescribeConfigsResponse: [results];
    AlterConfigsResponse: [responses];
    AlterReplicaLogDirsResponse: [results / partitions];
    DescribeLogDirsResponse: own [results];
    SaslAuthenticateResponse: own;
    CreatePartitionsResponse: [results];
    DeleteGroupsResponse: [results];
    ElectLeadersResponse: own [replica_election_results / partition_result];
    IncrementalAlterConfigsResponse: [responses];
    AlterPartitionReassignmentsResponse: own [responses / partitions];
    ListPartitionReassignmentsResponse: own;
    OffsetDeleteResponse: own [topics / partitions];
    DescribeClientQuotasResponse: own;
    AlterClientQuotasResponse: [entries];
    DescribeUserScramCredentialsResponse: own [results];
    AlterUserScramCredentialsResponse: [results];
    DescribeQuorumResponse: own;
    AlterPartitionResponse: own [topics / partitions];
    UpdateFeaturesResponse: own [results];
    DescribeClusterResponse: own;
    DescribeProducersResponse: [topics / partitions];
    UnregisterBrokerResponse: own;
    DescribeTransactionsResponse: [transaction_states];
    ListTransactionsResponse: own;
    ConsumerGroupHeartbeatResponse: own;
    ConsumerGroupDescribeResponse: [groups];
    ListConfigResourcesResponse: own;
    DescribeTopicPartitionsResponse: [topics];
}

impl FirstError for AddPartitionsToTxnResponse {
    fn first_error(&self) -> i16 {
        let topics = self.results_by_transaction.iter().flat_map(|result| &result.topic_results);
        let partitions = topics.chain(&self.results_by_topic_v3_and_below).flat_map(|topic| &topic.results_by_partition);
        let parts = partitions.map(|partition| partition.partition_error_code);
        std::iter::once(self.error_code).chain(parts).find(|code| *code != 0).unwrap_or(0)
    }
}

impl FirstError for supplement::DescribeLogDirsResponse {
    fn first_error(&self) -> i16 {
        self.response.first_error()
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};

    use super::*;

    #[test]
    fn the_whole_comes_before_its_parts() {
        let part = |code| FetchableTopicResponse::default().with_partitions(vec![PartitionData::default().with_error_code(code)]);
        let response = FetchResponse::default().with_responses(vec![part(0), part(6), part(3)]);
        assert_eq!(response.first_error(), 6);
        assert_eq!(response.with_error_code(71).first_error(), 71);
        assert_eq!(HeartbeatResponse::default().first_error(), 0);
    }
}
