//! OffsetFetch request 10: topics by id (KIP-848). Up to 9 the crate does it; its struct has the id already.
//!
//! Version 10 has no topic names and version 9 no ids: reading leaves the field that is not there at its default, writing ignores it.
//! The single group of versions up to 7 is no such field: setting it is an error.

use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message, VersionRange};

use super::wire::*;
use crate::protocol::messages::{ApiMessage, CodecError, refused};

impl ApiMessage for OffsetFetchRequest {
    const VERSIONS: VersionRange = VersionRange { min: <Self as Message>::VERSIONS.min, max: 10 };

    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
        if version != 10 {
            return Self::decode(buf, version).map_err(refused);
        }
        Ok(Self::default()
            .with_groups(get_array(buf, read_group)?)
            .with_require_stable(get_i8(buf)? != 0)
            .with_unknown_tagged_fields(get_tagged(buf)?))
    }

    fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
        if version != 10 {
            return self.encode(buf, version).map_err(refused);
        }
        if !self.group_id.is_empty() || self.topics.as_ref().is_none_or(|topics| !topics.is_empty()) {
            return Err(refused("version 10 asks for groups, not for a single group"));
        }
        put_array(buf, &self.groups, write_group)?;
        buf.put_i8(self.require_stable.into());
        put_tagged(buf, &self.unknown_tagged_fields);
        Ok(())
    }
}

fn read_group<B: ByteBuf>(buf: &mut B) -> Result<OffsetFetchRequestGroup, CodecError> {
    Ok(OffsetFetchRequestGroup::default()
        .with_group_id(get_string(buf)?.into())
        .with_member_id(get_nullable_string(buf)?)
        .with_member_epoch(get_i32(buf)?)
        .with_topics(get_nullable_array(buf, read_topic)?)
        .with_unknown_tagged_fields(get_tagged(buf)?))
}

fn read_topic<B: ByteBuf>(buf: &mut B) -> Result<OffsetFetchRequestTopics, CodecError> {
    Ok(OffsetFetchRequestTopics::default()
        .with_topic_id(get_uuid(buf)?)
        .with_partition_indexes(get_array(buf, get_i32)?)
        .with_unknown_tagged_fields(get_tagged(buf)?))
}

fn write_group<B: ByteBufMut>(buf: &mut B, group: &OffsetFetchRequestGroup) -> Result<(), CodecError> {
    put_string(buf, &group.group_id);
    put_nullable_string(buf, group.member_id.as_deref());
    buf.put_i32(group.member_epoch);
    match &group.topics {
        Some(topics) => put_array(buf, topics, write_topic)?,
        None => put_null_array(buf),
    }
    put_tagged(buf, &group.unknown_tagged_fields);
    Ok(())
}

fn write_topic<B: ByteBufMut>(buf: &mut B, topic: &OffsetFetchRequestTopics) -> Result<(), CodecError> {
    buf.put_slice(topic.topic_id.as_bytes());
    put_array(buf, &topic.partition_indexes, |buf, &partition| {
        buf.put_i32(partition);
        Ok(())
    })?;
    put_tagged(buf, &topic.unknown_tagged_fields);
    Ok(())
}
