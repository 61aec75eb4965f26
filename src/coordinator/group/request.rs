//! What a group shard is asked and what it answers: Kafka's messages, and the few things that are asked within the broker.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
    TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::base::ids::TopicId;
use crate::coordinator::shard::EndOfTransaction;
use crate::metrics::groups::GroupGauges;
use crate::storage::producer_state::VerificationGuard;

use super::config::GroupConfig;
use super::describe::GroupFilter;

/// The client behind a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The header's client id; empty if there is none.
    pub id: StrBytes,
    /// The peer's address as Kafka shows it: `/127.0.0.1`.
    pub host: StrBytes,
}

/// A topic that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub id: TopicId,
    pub name: StrBytes,
}

#[derive(Clone, Debug)]
pub enum GroupRequest {
    /// `member_uuid` makes the member's id unique, should it need one.
    Join {
        request: JoinGroupRequest,
        version: i16,
        client: Client,
        member_uuid: Uuid,
    },
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    /// In the form of version 3 and later: the leaving members as a list.
    Leave(LeaveGroupRequest),
    OffsetCommit {
        request: OffsetCommitRequest,
        version: i16,
    },
    TxnOffsetCommit {
        request: TxnOffsetCommitRequest,
        /// By name, of those that have one.
        topic_ids: HashMap<TopicName, TopicId>,
        guard: Option<VerificationGuard>,
    },
    OffsetFetch {
        request: OffsetFetchRequestGroup,
        require_stable: bool,
    },
    OffsetDelete(OffsetDeleteRequest),
    Describe {
        groups: Vec<StrBytes>,
        version: i16,
    },
    List(Arc<GroupFilter>),
    Delete(Vec<StrBytes>),
    /// How all groups stand, for the metrics.
    Gauges,
    /// The end marker of a transaction that reached this partition (WriteTxnMarkers).
    EndTransaction(EndOfTransaction),
    TopicsDeleted(Arc<[DeletedTopic]>),
    Reconfigure(Arc<GroupConfig>),
}

macro_rules! responses {
    ($($variant:ident($type:ty),)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum GroupResponse {
            $($variant($type),)*
        }

        $(
            impl From<$type> for GroupResponse {
                fn from(response: $type) -> Self {
                    GroupResponse::$variant(response)
                }
            }

            impl From<GroupResponse> for $type {
                /// # Panics
                /// If the shard answered with another kind: a request has one kind of answer.
                fn from(response: GroupResponse) -> Self {
                    match response {
                        GroupResponse::$variant(response) => response,
                        other => unreachable!("asked for {}, answered {other:?}", stringify!($variant)),
                    }
                }
            }
        )*
    };
}

responses! {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Leave(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    Describe(Vec<DescribedGroup>),
    List(Vec<ListedGroup>),
    Delete(Vec<DeletableGroupResult>),
    Gauges(Vec<GroupGauges>),
    Done(()),
}
