//! Reading answers as far as a load generator must: error codes always, offsets where the next request needs them. Nothing is
//! allocated unless the broker refused.

use kafka_protocol::messages::ApiKey;

use super::error::{BenchError, Result};
use crate::base::ids::Offset;

/// A bounds-checked big-endian reader over one answer.
pub struct Reader<'a> {
    rest: &'a [u8],
    api: ApiKey,
}

impl<'a> Reader<'a> {
    pub fn new(api: ApiKey, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, api }
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.rest.len() {
            return Err(self.malformed(format!("{n} bytes expected, {} left", self.rest.len())));
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives the length asked for"))
    }

    pub fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.malformed("a length over 32 bits".to_owned()));
            }
        }
        Err(self.malformed("a length of more than five bytes".to_owned()))
    }

    /// A compact string or bytes; `None` if null.
    pub fn compact_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        match self.uvarint()? {
            0 => Ok(None),
            n => self.take(n as usize - 1).map(Some),
        }
    }

    /// A compact array that must have exactly one element, because one was asked for.
    pub fn one(&mut self, what: &str) -> Result<()> {
        match self.uvarint()? {
            2 => Ok(()),
            n => Err(self.malformed(format!("{} {what} where one was asked for", i64::from(n) - 1))),
        }
    }

    pub fn tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let len = self.uvarint()?;
            self.take(len as usize)?;
        }
        Ok(())
    }

    fn malformed(&self, what: String) -> BenchError {
        BenchError::Malformed { api: self.api, what }
    }
}

/// Produce v9–12, one partition: the base offset the batch got. `body` begins after the correlation id.
pub fn produced(body: &[u8]) -> Result<Offset> {
    let api = ApiKey::Produce;
    let mut r = Reader::new(api, body);
    r.tags()?;
    r.one("topics")?;
    r.compact_bytes()?;
    r.one("partitions")?;
    r.i32()?;
    let code = r.i16()?;
    let base_offset = r.i64()?;
    if code == 0 {
        return Ok(base_offset);
    }
    r.take(16)?; // log append time, log start offset
    for _ in 1..r.uvarint()?.max(1) {
        r.i32()?;
        r.compact_bytes()?;
        r.tags()?;
    }
    let detail = r.compact_bytes()?.map(|message| String::from_utf8_lossy(message).into_owned());
    Err(BenchError::Refused { api, code, detail })
}

/// What one partition answered to a Fetch.
pub struct Fetched<'a> {
    pub high_watermark: Offset,
    pub log_start: Offset,
    /// Whole batches, and perhaps the beginning of one more.
    pub records: &'a [u8],
}

/// Fetch v12, one partition. `body` begins after the correlation id.
pub fn fetched(body: &[u8]) -> Result<Fetched<'_>> {
    let api = ApiKey::Fetch;
    let mut r = Reader::new(api, body);
    let refused = |code| BenchError::Refused { api, code, detail: None };
    r.tags()?;
    r.i32()?; // throttle time
    match r.i16()? {
        0 => {}
        code => return Err(refused(code)),
    }
    r.i32()?; // session
    r.one("topics")?;
    r.compact_bytes()?;
    r.one("partitions")?;
    r.i32()?;
    match r.i16()? {
        0 => {}
        code => return Err(refused(code)),
    }
    let high_watermark = r.i64()?;
    r.i64()?; // last stable offset
    let log_start = r.i64()?;
    for _ in 1..r.uvarint()?.max(1) {
        r.take(16)?; // an aborted transaction: producer id, first offset
        r.tags()?;
    }
    r.i32()?; // preferred read replica
    let records = r.compact_bytes()?.unwrap_or_default();
    Ok(Fetched { high_watermark, log_start, records })
}

/// ApiVersions v3: the error code is all that matters under load.
pub fn api_versions(body: &[u8]) -> Result<()> {
    // The header of this answer has no tagged fields, whatever its version (KIP-511).
    match Reader::new(ApiKey::ApiVersions, body).i16()? {
        0 => Ok(()),
        code => Err(BenchError::Refused { api: ApiKey::ApiVersions, code, detail: None }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
    use kafka_protocol::messages::{FetchResponse, ProduceResponse, ResponseHeader, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;

    /// The answer as a broker sends it, from behind the correlation id.
    fn encode(message: &impl Encodable, version: i16) -> Bytes {
        let mut buf = BytesMut::new();
        ResponseHeader::default().encode(&mut buf, 1).expect("header v1");
        message.encode(&mut buf, version).expect("within its versions");
        buf.freeze().slice(4..)
    }

    fn produce_answer(code: i16, message: Option<&'static str>) -> ProduceResponse {
        let partition = PartitionProduceResponse::default()
            .with_base_offset(77)
            .with_error_code(code)
            .with_error_message(message.map(StrBytes::from_static_str));
        ProduceResponse::default().with_responses(vec![
            TopicProduceResponse::default()
                .with_name(TopicName(StrBytes::from_static_str("bench")))
                .with_partition_responses(vec![partition]),
        ])
    }

    #[test]
    fn produce_answers_are_read_in_every_version_the_generator_speaks() {
        for version in 9..=12 {
            assert_eq!(produced(&encode(&produce_answer(0, None), version)).expect("no error"), 77);
            let refusal = produced(&encode(&produce_answer(6, Some("moved")), version)).expect_err("an error code");
            assert_eq!(refusal.to_string(), "Produce was refused with NotLeaderOrFollower (6): moved");
        }
    }

    #[test]
    fn fetch_answers_give_their_records() {
        let partition = PartitionData::default()
            .with_high_watermark(9)
            .with_log_start_offset(3)
            .with_records(Some(Bytes::from_static(b"batches")));
        let topic = FetchableTopicResponse::default()
            .with_topic(TopicName(StrBytes::from_static_str("bench")))
            .with_partitions(vec![partition]);
        let bytes = encode(&FetchResponse::default().with_responses(vec![topic]), 12);
        let fetched = fetched(&bytes).expect("no error");
        assert_eq!((fetched.high_watermark, fetched.log_start, fetched.records), (9, 3, &b"batches"[..]));
        assert!(super::fetched(&bytes[..bytes.len() - 4]).is_err(), "a cut answer is malformed, not a panic");
        assert!(super::fetched(&encode(&FetchResponse::default().with_error_code(71), 12)).is_err());
    }
}
