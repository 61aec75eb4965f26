//! WriteTxnMarkers request 2: tells with each marker the level of `transaction.version` that its transaction has (KIP-1228).

use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{ApiKey, WriteTxnMarkersRequest as UnversionedRequest, WriteTxnMarkersResponse};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

use super::wire::*;
use crate::protocol::messages::{ApiMessage, ApiRequest, CodecError, refused};

/// The version whose topics are the same bytes.
const TOPIC_VERSION: i16 = 1;

/// The crate's request, and what version 2 adds to it. Below 2 the addition is left out, as Kafka does (it is "ignorable").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteTxnMarkersRequest {
    pub request: UnversionedRequest,
    /// `TransactionVersion` of each marker, in their order; one that is missing is 0.
    pub transaction_versions: Vec<i8>,
}

impl From<UnversionedRequest> for WriteTxnMarkersRequest {
    fn from(request: UnversionedRequest) -> Self {
        Self { request, transaction_versions: Vec::new() }
    }
}

impl HeaderVersion for WriteTxnMarkersRequest {
    fn header_version(version: i16) -> i16 {
        UnversionedRequest::header_version(version)
    }
}

impl ApiRequest for WriteTxnMarkersRequest {
    const KEY: i16 = ApiKey::WriteTxnMarkers as i16;
    type Response = WriteTxnMarkersResponse;
}

impl ApiMessage for WriteTxnMarkersRequest {
    const VERSIONS: VersionRange = VersionRange { min: <UnversionedRequest as Message>::VERSIONS.min, max: 2 };

    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
        if version != 2 {
            return UnversionedRequest::decode(buf, version).map(Self::from).map_err(refused);
        }
        let mut transaction_versions = Vec::new();
        let request = UnversionedRequest::default()
            .with_markers(get_array(buf, |buf| {
                let (marker, transaction_version) = read_marker(buf)?;
                transaction_versions.push(transaction_version);
                Ok(marker)
            })?)
            .with_unknown_tagged_fields(get_tagged(buf)?);
        Ok(Self { request, transaction_versions })
    }

    fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
        let Self { request, transaction_versions } = self;
        if version != 2 {
            return request.encode(buf, version).map_err(refused);
        }
        let mut transaction_versions = transaction_versions.iter();
        put_array(buf, &request.markers, |buf, marker| {
            write_marker(buf, marker, transaction_versions.next().copied().unwrap_or_default())
        })?;
        put_tagged(buf, &request.unknown_tagged_fields);
        Ok(())
    }
}

fn read_marker<B: ByteBuf>(buf: &mut B) -> Result<(WritableTxnMarker, i8), CodecError> {
    let marker = WritableTxnMarker::default()
        .with_producer_id(get_i64(buf)?.into())
        .with_producer_epoch(get_i16(buf)?)
        .with_transaction_result(get_i8(buf)? != 0)
        .with_topics(get_array(buf, |buf| WritableTxnMarkerTopic::decode(buf, TOPIC_VERSION).map_err(refused))?)
        .with_coordinator_epoch(get_i32(buf)?);
    let transaction_version = get_i8(buf)?;
    Ok((marker.with_unknown_tagged_fields(get_tagged(buf)?), transaction_version))
}

fn write_marker<B: ByteBufMut>(buf: &mut B, marker: &WritableTxnMarker, transaction_version: i8) -> Result<(), CodecError> {
    buf.put_i64(marker.producer_id.0);
    buf.put_i16(marker.producer_epoch);
    buf.put_i8(marker.transaction_result.into());
    put_array(buf, &marker.topics, |buf, topic| topic.encode(buf, TOPIC_VERSION).map_err(refused))?;
    buf.put_i32(marker.coordinator_epoch);
    buf.put_i8(transaction_version);
    put_tagged(buf, &marker.unknown_tagged_fields);
    Ok(())
}
