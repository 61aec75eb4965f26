//! DescribeLogDirs response 5: tells which directories are cordoned against new replicas (KIP-1066).

use kafka_protocol::messages::DescribeLogDirsResponse as UncordonedResponse;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

use super::wire::*;
use crate::protocol::messages::{ApiMessage, CodecError, refused};

/// The version whose topics are the same bytes.
const TOPIC_VERSION: i16 = 4;

/// The crate's response, and what version 5 adds to it. Below 5 the addition is left out, as Kafka does (it is "ignorable").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeLogDirsResponse {
    pub response: UncordonedResponse,
    /// `IsCordoned` of each result, in their order; one that is missing is not cordoned.
    pub is_cordoned: Vec<bool>,
}

/// What klamm adds to a partition in a tagged field, which other clients pass over: how much of a compacted log waits to be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionLag {
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// The log is left alone because of an error.
    pub uncleanable: bool,
}

impl CompactionLag {
    /// Far from any that Kafka will give out one by one.
    const TAG: i32 = 10_000;

    pub fn put_into(self, partition: &mut DescribeLogDirsPartition) {
        let [clean, dirty] = [self.clean_bytes, self.dirty_bytes].map(u64::to_be_bytes);
        let value = [&clean[..], &dirty, &[self.uncleanable.into()]].concat();
        partition.unknown_tagged_fields.insert(Self::TAG, value.into());
    }

    /// `None` of a log that is not compacted, or a broker that does not tell.
    pub fn of(partition: &DescribeLogDirsPartition) -> Option<Self> {
        let (clean, rest) = partition.unknown_tagged_fields.get(&Self::TAG)?.split_first_chunk()?;
        let (dirty, rest) = rest.split_first_chunk()?;
        let [clean_bytes, dirty_bytes] = [clean, dirty].map(|bytes| u64::from_be_bytes(*bytes));
        Some(Self { clean_bytes, dirty_bytes, uncleanable: *rest.first()? != 0 })
    }
}

impl From<UncordonedResponse> for DescribeLogDirsResponse {
    fn from(response: UncordonedResponse) -> Self {
        Self { response, is_cordoned: Vec::new() }
    }
}

impl HeaderVersion for DescribeLogDirsResponse {
    fn header_version(version: i16) -> i16 {
        UncordonedResponse::header_version(version)
    }
}

impl ApiMessage for DescribeLogDirsResponse {
    const VERSIONS: VersionRange = VersionRange { min: <UncordonedResponse as Message>::VERSIONS.min, max: 5 };

    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
        if version != 5 {
            return UncordonedResponse::decode(buf, version).map(Self::from).map_err(refused);
        }
        let mut is_cordoned = Vec::new();
        let response = UncordonedResponse::default()
            .with_throttle_time_ms(get_i32(buf)?)
            .with_error_code(get_i16(buf)?)
            .with_results(get_array(buf, |buf| {
                let (result, cordoned) = read_result(buf)?;
                is_cordoned.push(cordoned);
                Ok(result)
            })?)
            .with_unknown_tagged_fields(get_tagged(buf)?);
        Ok(Self { response, is_cordoned })
    }

    fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
        let Self { response, is_cordoned } = self;
        if version != 5 {
            return response.encode(buf, version).map_err(refused);
        }
        buf.put_i32(response.throttle_time_ms);
        buf.put_i16(response.error_code);
        let mut is_cordoned = is_cordoned.iter();
        put_array(buf, &response.results, |buf, result| write_result(buf, result, is_cordoned.next() == Some(&true)))?;
        put_tagged(buf, &response.unknown_tagged_fields);
        Ok(())
    }
}

fn read_result<B: ByteBuf>(buf: &mut B) -> Result<(DescribeLogDirsResult, bool), CodecError> {
    let result = DescribeLogDirsResult::default()
        .with_error_code(get_i16(buf)?)
        .with_log_dir(get_string(buf)?)
        .with_topics(get_array(buf, |buf| DescribeLogDirsTopic::decode(buf, TOPIC_VERSION).map_err(refused))?)
        .with_total_bytes(get_i64(buf)?)
        .with_usable_bytes(get_i64(buf)?);
    let is_cordoned = get_i8(buf)? != 0;
    Ok((result.with_unknown_tagged_fields(get_tagged(buf)?), is_cordoned))
}

fn write_result<B: ByteBufMut>(buf: &mut B, result: &DescribeLogDirsResult, is_cordoned: bool) -> Result<(), CodecError> {
    buf.put_i16(result.error_code);
    put_string(buf, &result.log_dir);
    put_array(buf, &result.topics, |buf, topic| topic.encode(buf, TOPIC_VERSION).map_err(refused))?;
    buf.put_i64(result.total_bytes);
    buf.put_i64(result.usable_bytes);
    buf.put_i8(is_cordoned.into());
    put_tagged(buf, &result.unknown_tagged_fields);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_waits_to_be_compacted_goes_over_the_wire_where_there_are_tagged_fields() {
        let lag = CompactionLag { clean_bytes: 7, dirty_bytes: u64::MAX, uncleanable: true };
        let mut partition = DescribeLogDirsPartition::default();
        assert_eq!(CompactionLag::of(&partition), None);
        lag.put_into(&mut partition);
        let topic = DescribeLogDirsTopic::default().with_partitions(vec![partition]);
        let response =
            UncordonedResponse::default().with_results(vec![DescribeLogDirsResult::default().with_topics(vec![topic])]);
        for version in 1..=5 {
            let mut bytes = bytes::BytesMut::new();
            DescribeLogDirsResponse::from(response.clone()).write(&mut bytes, version).unwrap();
            let read = DescribeLogDirsResponse::read(&mut bytes.freeze(), version).unwrap().response;
            let told = CompactionLag::of(&read.results[0].topics[0].partitions[0]);
            assert_eq!(told, (version >= 2).then_some(lag), "version {version}");
        }
        let mut short = DescribeLogDirsPartition::default();
        short.unknown_tagged_fields.insert(10_000, vec![0; 16].into());
        assert_eq!(CompactionLag::of(&short), None);
    }
}
