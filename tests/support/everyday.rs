//! What clients do all day, in one call each: find a topic, write to it, read from it, commit offsets.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, FindCoordinatorRequest, GroupId,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use klamm::base::ErrorCode;
use klamm::record::batches::batches;
use klamm::record::builder::BatchBuilder;
use klamm::record::compression::Codec;
use klamm::record::records::records;

use super::{Client, DEADLINE};

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// The error of a code; `None` is none.
pub fn error(code: i16) -> Option<ErrorCode> {
    ErrorCode::try_from_code(code)
}

/// A batch of records without keys, written at one moment.
pub fn batch(values: &[&[u8]]) -> Bytes {
    let mut batch = BatchBuilder::new(Codec::None);
    for value in values {
        batch.push_plain(1_700_000_000_000, None, Some(value));
    }
    batch.build()
}

/// A produce request of one batch.
pub fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A fetch of one partition that does not wait.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let wanted =
        FetchPartition::default().with_partition(partition).with_fetch_offset(offset).with_partition_max_bytes(max_bytes);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![wanted]);
    FetchRequest::default().with_replica_id(BrokerId(-1)).with_max_bytes(max_bytes).with_topics(vec![topic])
}

/// What a fetch of one partition gave.
pub struct Fetched {
    pub high_watermark: i64,
    pub log_start_offset: i64,
    pub records: Bytes,
}

impl Client {
    /// Makes a topic by asking for it; how many partitions it has.
    pub fn make_topic(&mut self, name: &str) -> usize {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
        let response = self.call(9, &request);
        assert_eq!(error(response.topics[0].error_code), None, "{name} cannot be made");
        response.topics[0].partitions.len()
    }

    /// Makes a topic of one partition with a configuration of its own.
    pub fn create_topic(&mut self, name: &str, configs: &[(&str, &str)]) {
        let configs =
            configs.iter().map(|(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))));
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let response = self.call(5, &CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000));
        let created = &response.topics[0];
        assert_eq!(error(created.error_code), None, "{name}: {:?}", created.error_message);
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, name: &str) -> Option<ErrorCode> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(30_000);
        error(self.call(4, &request).responses[0].error_code)
    }

    /// Gives up the records of partition 0 before an offset; the first that is left.
    pub fn delete_records(&mut self, topic: &str, before: i64) -> Result<i64, ErrorCode> {
        let partition = DeleteRecordsPartition::default().with_offset(before);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let response = self.call(1, &DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000));
        let partition = &response.topics[0].partitions[0];
        error(partition.error_code).map_or(Ok(partition.low_watermark), Err)
    }

    /// Writes a batch; the offset of its first record.
    pub fn try_produce(&mut self, topic: &str, partition: i32, acks: i16, batch: Bytes) -> Result<i64, ErrorCode> {
        let response = self.call(9, &produce_request(topic, partition, acks, batch));
        let partition = &response.responses[0].partition_responses[0];
        error(partition.error_code).map_or(Ok(partition.base_offset), Err)
    }

    pub fn produce(&mut self, topic: &str, values: &[&[u8]]) -> i64 {
        self.try_produce(topic, 0, -1, batch(values)).unwrap_or_else(|code| panic!("producing to {topic}: {code:?}"))
    }

    /// Reads from a partition.
    pub fn try_fetch(&mut self, topic: &str, partition: i32, offset: i64, max_bytes: i32) -> Result<Fetched, ErrorCode> {
        let response = self.call(11, &fetch_request(topic, partition, offset, max_bytes));
        let partition = &response.responses[0].partitions[0];
        match error(partition.error_code) {
            Some(code) => Err(code),
            None => Ok(Fetched {
                high_watermark: partition.high_watermark,
                log_start_offset: partition.log_start_offset,
                records: partition.records.clone().unwrap_or_default(),
            }),
        }
    }

    /// Every value of a partition from `from` to its end, with its offset, as a consumer would see them: damaged batches end the test.
    pub fn read_from(&mut self, topic: &str, partition: i32, from: i64) -> Vec<(i64, Vec<u8>)> {
        let (mut next, mut values) = (from, Vec::new());
        loop {
            let fetched = self.try_fetch(topic, partition, next, 1 << 20);
            let fetched = fetched.unwrap_or_else(|code| panic!("fetching {topic}-{partition} from {next}: {code:?}"));
            if fetched.records.is_empty() {
                assert_eq!(next, fetched.high_watermark, "{topic}-{partition} ends where its high watermark says");
                return values;
            }
            let before = next;
            for batch in batches(&fetched.records).map_while(Result::ok) {
                batch.verify_checksum().unwrap_or_else(|e| panic!("{topic}-{partition} at {next}: {e}"));
                let base = batch.header.base_offset;
                for (n, record) in records(&batch.header, batch.body()).enumerate() {
                    let record = record.expect("a batch with the right checksum is whole");
                    values.push((base + n as i64, record.value.unwrap_or_default().to_vec()));
                }
                next = batch.header.next_offset();
            }
            assert!(next > before, "{topic}-{partition}: no whole batch at {before}");
        }
    }

    /// Commits an offset of partition 0 for a group without members, as a client does: the coordinator may have to be made and loaded first.
    pub fn commit(&mut self, group: &str, topic: &str, offset: i64) -> Option<ErrorCode> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.try_commit(group, topic, offset) {
                Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator)
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                outcome => return outcome,
            }
        }
    }

    fn try_commit(&mut self, group: &str, topic: &str, offset: i64) -> Option<ErrorCode> {
        let coordinator = FindCoordinatorRequest::default().with_key(text(group));
        let found = self.call(3, &coordinator);
        if found.error_code != 0 {
            return error(found.error_code);
        }
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        loop {
            let response = self.call(8, &request);
            let code = error(response.topics[0].partitions[0].error_code);
            // A coordinator that was only just made is still being loaded; every client asks again.
            if code != Some(ErrorCode::CoordinatorLoadInProgress) {
                return code;
            }
        }
    }

    /// The offset a group has committed of partition 0; −1 if none.
    pub fn committed(&mut self, group: &str, topic: &str) -> Result<i64, ErrorCode> {
        let topic = OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
        let response = self.call(8, &OffsetFetchRequest::default().with_groups(vec![group]));
        let group = &response.groups[0];
        match error(group.error_code) {
            Some(code) => Err(code),
            None => Ok(group.topics[0].partitions[0].committed_offset),
        }
    }
}
