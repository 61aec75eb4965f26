//! OffsetCommit request 10: topics by id (KIP-848). Up to 9 the crate does it; its struct has the id already.
//!
//! Version 10 has no topic names and version 9 no ids: reading leaves the field that is not there at its default, writing ignores it.

use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message, VersionRange};

use super::wire::*;
use crate::protocol::messages::{ApiMessage, CodecError, refused};

/// The version whose partitions are the same bytes.
const PARTITION_VERSION: i16 = 9;

impl ApiMessage for OffsetCommitRequest {
    const VERSIONS: VersionRange = VersionRange { min: <Self as Message>::VERSIONS.min, max: 10 };

    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
        if version != 10 {
            return Self::decode(buf, version).map_err(refused);
        }
        Ok(Self::default()
            .with_group_id(get_string(buf)?.into())
            .with_generation_id_or_member_epoch(get_i32(buf)?)
            .with_member_id(get_string(buf)?)
            .with_group_instance_id(get_nullable_string(buf)?)
            .with_topics(get_array(buf, read_topic)?)
            .with_unknown_tagged_fields(get_tagged(buf)?))
    }

    fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
        if version != 10 {
            return self.encode(buf, version).map_err(refused);
        }
        put_string(buf, &self.group_id);
        buf.put_i32(self.generation_id_or_member_epoch);
        put_string(buf, &self.member_id);
        put_nullable_string(buf, self.group_instance_id.as_deref());
        put_array(buf, &self.topics, write_topic)?;
        put_tagged(buf, &self.unknown_tagged_fields);
        Ok(())
    }
}

fn read_topic<B: ByteBuf>(buf: &mut B) -> Result<OffsetCommitRequestTopic, CodecError> {
    Ok(OffsetCommitRequestTopic::default()
        .with_topic_id(get_uuid(buf)?)
        .with_partitions(get_array(buf, |buf| OffsetCommitRequestPartition::decode(buf, PARTITION_VERSION).map_err(refused))?)
        .with_unknown_tagged_fields(get_tagged(buf)?))
}

fn write_topic<B: ByteBufMut>(buf: &mut B, topic: &OffsetCommitRequestTopic) -> Result<(), CodecError> {
    buf.put_slice(topic.topic_id.as_bytes());
    put_array(buf, &topic.partitions, |buf, partition| partition.encode(buf, PARTITION_VERSION).map_err(refused))?;
    put_tagged(buf, &topic.unknown_tagged_fields);
    Ok(())
}
