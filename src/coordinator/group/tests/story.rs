//! The verbs of stories: one line, one request. What they mean stands at the head of the folder.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::world::World;
use super::{subscription, text};
use crate::coordinator::group::describe::GroupFilter;
use crate::coordinator::group::request::{Client, DeletedTopic, GroupRequest};
use crate::coordinator::shard::{EndOfTransaction, Producer, TransactionResult};

impl World {
    pub fn tell(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, args) = words.split_first().expect("lines are not empty");
        let who = args.first().copied().unwrap_or_default();
        match *verb {
            "join" => self.join(who, &args[1..]),
            "sync" => self.sync(who, &args[1..]),
            "heartbeat" => {
                let request = HeartbeatRequest::default()
                    .with_group_id(self.group.clone().into())
                    .with_generation_id(self.generation(who, args))
                    .with_member_id(self.id(who))
                    .with_group_instance_id(instance(who));
                self.ask(who, GroupRequest::Heartbeat(request));
            }
            "leave" | "kick" => {
                let member = |name: &&str| {
                    let id = if *verb == "kick" { StrBytes::new() } else { self.id(name) };
                    MemberIdentity::default().with_member_id(id).with_group_instance_id(instance(name))
                };
                let members = args.iter().map(member).collect();
                let request = LeaveGroupRequest::default().with_group_id(self.group.clone().into()).with_members(members);
                self.ask(who, GroupRequest::Leave(request));
            }
            "wait" => self.wait(duration(who)),
            "commit" => self.commit(who, &args[1..]),
            "end" => {
                let result = if args[1] == "commit" { TransactionResult::Commit } else { TransactionResult::Abort };
                let producer = Producer { id: who.parse().expect("a producer id"), epoch: 0 };
                let end = EndOfTransaction { producer, coordinator_epoch: 0, transaction_version: 0, result };
                self.ask(who, GroupRequest::EndTransaction(end));
            }
            "fetch" => self.fetch(args),
            "forget" => {
                let (topic, partition) = topic_partition(who);
                let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
                let topic = OffsetDeleteRequestTopic::default().with_name(topic.into()).with_partitions(vec![partition]);
                let request = OffsetDeleteRequest::default().with_group_id(self.group.clone().into()).with_topics(vec![topic]);
                self.ask("forget", GroupRequest::OffsetDelete(request));
            }
            "describe" => {
                let version = if who == "v5" { 5 } else { 6 };
                self.ask("describe", GroupRequest::Describe { groups: vec![self.group.clone()], version });
            }
            "list" => {
                let states: Vec<_> = args.iter().map(|state| text(state)).collect();
                self.ask("list", GroupRequest::List(GroupFilter::of(&states, &[]).into()));
            }
            "delete" => self.ask("delete", GroupRequest::Delete(vec![self.group.clone()])),
            "drop" => {
                let topics = vec![DeletedTopic { id: Uuid::from_u128(1), name: text(who) }];
                self.ask("drop", GroupRequest::TopicsDeleted(topics.into()));
            }
            "restart" => self.restart(),
            "compact" => self.compact(),
            "state" => {
                let state = self.state();
                self.answers.push(state);
            }
            "records" => self.answers.push(format!("{} records", self.log.len())),
            _ => panic!("unknown verb in {line:?}"),
        }
    }

    fn generation(&self, who: &str, options: &[&str]) -> i32 {
        match option(options, "gen") {
            Some(generation) => generation.parse().expect("a generation"),
            None => self.generations.get(who).copied().unwrap_or(-1),
        }
    }

    fn join(&mut self, who: &str, options: &[&str]) {
        if options.contains(&"anew") {
            self.ids.remove(who);
        }
        let protocols = option(options, "protocols").unwrap_or("range").split(',').filter(|name| !name.is_empty());
        let protocols = protocols.map(|name| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(subscription(option(options, "topics").unwrap_or("t")))
        });
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_session_timeout_ms(millis(option(options, "session").unwrap_or("45s")))
            .with_rebalance_timeout_ms(millis(option(options, "rebalance").unwrap_or("60s")))
            .with_member_id(self.id(who))
            .with_group_instance_id(instance(who))
            .with_protocol_type(text(option(options, "type").unwrap_or("consumer")))
            .with_protocols(protocols.collect());
        let version = version(options).unwrap_or(9);
        let client = Client { id: text(who), host: text("/127.0.0.1") };
        let member_uuid = Uuid::from_u128(u128::from(self.next_request));
        self.ask(who, GroupRequest::Join { request, version, client, member_uuid });
    }

    fn sync(&mut self, who: &str, options: &[&str]) {
        let assignments = options.iter().filter_map(|it| it.split_once('=')).map(|(member, assignment)| {
            let assignment = Bytes::copy_from_slice(assignment.as_bytes());
            SyncGroupRequestAssignment::default().with_member_id(self.id(member)).with_assignment(assignment)
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id(self.generation(who, options))
            .with_member_id(self.id(who))
            .with_group_instance_id(instance(who))
            .with_protocol_type(option(options, "type").map(text))
            .with_protocol_name(option(options, "protocol").map(text))
            .with_assignments(assignments.collect());
        self.ask(who, GroupRequest::Sync(request));
    }

    fn commit(&mut self, who: &str, options: &[&str]) {
        let offsets: Vec<_> = options.iter().filter_map(|it| it.split_once('=')).collect();
        let metadata = Some("x".repeat(option(options, "metadata").map_or(0, |n| n.parse().expect("a length"))));
        let (member_id, generation, instance_id) = match who {
            "-" => (StrBytes::new(), -1, None),
            who => (self.id(who), self.generation(who, options), instance(who)),
        };
        if let Some(producer) = option(options, "txn") {
            let topics = offsets.iter().map(|(name, offset)| {
                let (topic, partition) = topic_partition(name);
                let partition = TxnOffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(offset.parse().expect("an offset"))
                    .with_committed_metadata(metadata.clone().map(StrBytes::from_string));
                TxnOffsetCommitRequestTopic::default().with_name(topic.into()).with_partitions(vec![partition])
            });
            let request = TxnOffsetCommitRequest::default()
                .with_group_id(self.group.clone().into())
                .with_producer_id(producer.parse::<i64>().expect("a producer id").into())
                .with_generation_id(generation)
                .with_member_id(member_id)
                .with_group_instance_id(instance_id)
                .with_topics(topics.collect());
            return self.ask(who, GroupRequest::TxnOffsetCommit { request, topic_ids: HashMap::new(), guard: None });
        }
        let topics = offsets.iter().map(|(name, offset)| {
            let (topic, partition) = topic_partition(name);
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(offset.parse().expect("an offset"))
                .with_committed_metadata(metadata.clone().map(StrBytes::from_string));
            OffsetCommitRequestTopic::default().with_name(topic.into()).with_partitions(vec![partition])
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone().into())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member_id)
            .with_group_instance_id(instance_id)
            .with_retention_time_ms(option(options, "retention").map_or(-1, |it| i64::from(millis(it))))
            .with_topics(topics.collect());
        let version = version(options).unwrap_or(9);
        self.ask(who, GroupRequest::OffsetCommit { request, version });
    }

    fn fetch(&mut self, args: &[&str]) {
        let topics = (args[0] != "all").then(|| {
            let (topic, partition) = topic_partition(args[0]);
            vec![OffsetFetchRequestTopics::default().with_name(topic.into()).with_partition_indexes(vec![partition])]
        });
        let request = OffsetFetchRequestGroup::default().with_group_id(self.group.clone().into()).with_topics(topics);
        self.ask("fetch", GroupRequest::OffsetFetch { request, require_stable: args.contains(&"stable") });
    }
}

fn instance(who: &str) -> Option<StrBytes> {
    who.starts_with(char::is_uppercase).then(|| text(who))
}

fn option<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    let at = options.iter().position(|it| *it == name)?;
    options.get(at + 1).copied()
}

fn version(options: &[&str]) -> Option<i16> {
    options.iter().find_map(|it| it.strip_prefix('v')?.parse().ok())
}

fn topic_partition(name: &str) -> (StrBytes, i32) {
    let at = name.find(|c: char| c.is_ascii_digit()).expect("a partition like t0");
    (text(&name[..at]), name[at..].parse().expect("a partition number"))
}

fn duration(text: &str) -> Duration {
    let at = text.find(|c: char| !c.is_ascii_digit()).expect("a time like 45s");
    let count: u64 = text[..at].parse().expect("a time like 45s");
    Duration::from_millis(match &text[at..] {
        "ms" => count,
        "s" => count * 1000,
        "m" => count * 60_000,
        "h" => count * 3_600_000,
        "d" => count * 86_400_000,
        unit => panic!("unknown unit {unit}"),
    })
}

fn millis(text: &str) -> i32 {
    duration(text).as_millis() as i32
}
