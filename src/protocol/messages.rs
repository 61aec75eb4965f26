//! Bodies of requests and responses: which types klamm reads and writes, in which versions, and the one way in and out.
//!
//! The structs are those of the kafka-protocol crate; versions it lacks come from [`super::supplement`]. Nothing from outside is decoded
//! unless [`shape::check`] has passed it.
//!
//! Invariant: the row of an API in [`shape`] spans exactly the versions that both its request and its response have here.

use std::error::Error;

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};

use super::shape::{self, ShapeError};
use super::supplement::DescribeLogDirsResponse;

/// A request or response body; knows also which version of the header stands before it.
pub trait ApiMessage: HeaderVersion + Sized {
    /// The versions that can be read and written.
    const VERSIONS: VersionRange;

    /// Reads a body. Bytes and strings stay slices of `buf` if that is [`Bytes`].
    ///
    /// May reserve memory for as many elements as the body announces: what comes from outside passes [`shape::check`] first.
    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError>;

    /// Writes a body. After an error `buf` may hold a part of it.
    fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError>;
}

/// A request body, and the response that belongs to it.
pub trait ApiRequest: ApiMessage {
    const KEY: i16;
    type Response: ApiMessage;
}

/// Why a body could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The lengths in a request's body do not fit the body.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Reading: a string is not UTF-8 or the body ends early. Writing: a field is set that the version does not have, or the version
    /// itself is not there.
    #[error("{0}")]
    Message(#[from] Box<dyn Error + Send + Sync>),
}

/// An error of the crate, whose type has no name here.
pub(super) fn refused(error: impl Into<Box<dyn Error + Send + Sync>>) -> CodecError {
    CodecError::Message(error.into())
}

/// Reads the body of a request that came in, header excluded. Records and strings stay slices of the frame.
pub fn decode_request<R: ApiRequest>(version: i16, mut body: Bytes) -> Result<R, CodecError> {
    shape::check(R::KEY, version, &body)?;
    R::read(&mut body, version)
}

/// Writes the body of a response, at the version of its request.
pub fn encode_response<M: ApiMessage>(response: &M, version: i16, buf: &mut impl ByteBufMut) -> Result<(), CodecError> {
    response.write(buf, version)
}

/// Calls `$then!` with all requests klamm knows, in the order of their keys, each with its response. A type marked `supplement` is
/// read and written by [`supplement`](crate::protocol::supplement) in at least one version; a request marked `wrapped` is a type of its own
/// there.
#[doc(hidden)]
#[macro_export]
macro_rules! each_request {
    ($then:ident) => {
        $then! {
            ProduceRequest => ProduceResponse;
            FetchRequest => FetchResponse;
            ListOffsetsRequest (supplement) => ListOffsetsResponse (supplement);
            MetadataRequest => MetadataResponse;
            OffsetCommitRequest (supplement) => OffsetCommitResponse;
            OffsetFetchRequest (supplement) => OffsetFetchResponse;
            FindCoordinatorRequest => FindCoordinatorResponse;
            JoinGroupRequest => JoinGroupResponse;
            HeartbeatRequest => HeartbeatResponse;
            LeaveGroupRequest => LeaveGroupResponse;
            SyncGroupRequest => SyncGroupResponse;
            DescribeGroupsRequest => DescribeGroupsResponse;
            ListGroupsRequest => ListGroupsResponse;
            SaslHandshakeRequest => SaslHandshakeResponse;
            ApiVersionsRequest => ApiVersionsResponse;
            CreateTopicsRequest => CreateTopicsResponse;
            DeleteTopicsRequest => DeleteTopicsResponse;
            DeleteRecordsRequest => DeleteRecordsResponse;
            InitProducerIdRequest => InitProducerIdResponse;
            OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
            AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
            AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
            EndTxnRequest => EndTxnResponse;
            WriteTxnMarkersRequest (wrapped) => WriteTxnMarkersResponse (supplement);
            TxnOffsetCommitRequest => TxnOffsetCommitResponse;
            DescribeAclsRequest => DescribeAclsResponse;
            CreateAclsRequest => CreateAclsResponse;
            DeleteAclsRequest => DeleteAclsResponse;
            DescribeConfigsRequest => DescribeConfigsResponse;
            AlterConfigsRequest => AlterConfigsResponse;
            AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse;
            DescribeLogDirsRequest (supplement) => DescribeLogDirsResponse (supplement);
            SaslAuthenticateRequest => SaslAuthenticateResponse;
            CreatePartitionsRequest => CreatePartitionsResponse;
            CreateDelegationTokenRequest => CreateDelegationTokenResponse;
            RenewDelegationTokenRequest => RenewDelegationTokenResponse;
            ExpireDelegationTokenRequest => ExpireDelegationTokenResponse;
            DescribeDelegationTokenRequest => DescribeDelegationTokenResponse;
            DeleteGroupsRequest => DeleteGroupsResponse;
            ElectLeadersRequest => ElectLeadersResponse;
            IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
            AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
            ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
            OffsetDeleteRequest => OffsetDeleteResponse;
            DescribeClientQuotasRequest => DescribeClientQuotasResponse;
            AlterClientQuotasRequest => AlterClientQuotasResponse;
            DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse;
            AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse;
            DescribeQuorumRequest => DescribeQuorumResponse;
            AlterPartitionRequest => AlterPartitionResponse;
            UpdateFeaturesRequest => UpdateFeaturesResponse;
            EnvelopeRequest => EnvelopeResponse;
            DescribeClusterRequest => DescribeClusterResponse;
            DescribeProducersRequest => DescribeProducersResponse;
            BrokerRegistrationRequest => BrokerRegistrationResponse;
            BrokerHeartbeatRequest => BrokerHeartbeatResponse;
            UnregisterBrokerRequest => UnregisterBrokerResponse;
            DescribeTransactionsRequest => DescribeTransactionsResponse;
            ListTransactionsRequest => ListTransactionsResponse;
            AllocateProducerIdsRequest => AllocateProducerIdsResponse;
            ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
            ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
            ControllerRegistrationRequest => ControllerRegistrationResponse;
            GetTelemetrySubscriptionsRequest => GetTelemetrySubscriptionsResponse;
            PushTelemetryRequest => PushTelemetryResponse;
            AssignReplicasToDirsRequest => AssignReplicasToDirsResponse;
            ListConfigResourcesRequest => ListConfigResourcesResponse;
            DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
            ShareGroupHeartbeatRequest => ShareGroupHeartbeatResponse;
            ShareGroupDescribeRequest => ShareGroupDescribeResponse;
            ShareFetchRequest => ShareFetchResponse;
            ShareAcknowledgeRequest => ShareAcknowledgeResponse;
            AddRaftVoterRequest => AddRaftVoterResponse;
            RemoveRaftVoterRequest => RemoveRaftVoterResponse;
            UpdateRaftVoterRequest => UpdateRaftVoterResponse;
            InitializeShareGroupStateRequest => InitializeShareGroupStateResponse;
            ReadShareGroupStateRequest => ReadShareGroupStateResponse;
            WriteShareGroupStateRequest => WriteShareGroupStateResponse;
            DeleteShareGroupStateRequest => DeleteShareGroupStateResponse;
            ReadShareGroupStateSummaryRequest => ReadShareGroupStateSummaryResponse;
            DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse;
            AlterShareGroupOffsetsRequest => AlterShareGroupOffsetsResponse;
            DeleteShareGroupOffsetsRequest => DeleteShareGroupOffsetsResponse;
        }
    };
}

macro_rules! implement {
    ($($request:ident $(($in_request:ident))? => $response:ident $(($in_response:ident))?;)*) => {
        $(
            implement!(@message $request $($in_request)?);
            implement!(@message $response $($in_response)?);

            implement!(@request $request $response $($in_request)?);
        )*
    };
    (@request $request:ident $response:ident wrapped) => {};
    (@request $request:ident $response:ident $(supplement)?) => {
        impl ApiRequest for $request {
            const KEY: i16 = <$request as Request>::KEY;
            type Response = $response;
        }
    };
    (@message $message:ident wrapped) => {};
    (@message $message:ident supplement) => {};
    (@message $message:ident) => {
        impl ApiMessage for $message {
            const VERSIONS: VersionRange = <$message as Message>::VERSIONS;

            fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
                Self::decode(buf, version).map_err(refused)
            }

            fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
                self.encode(buf, version).map_err(refused)
            }
        }
    };
}

each_request!(implement);
