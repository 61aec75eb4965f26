//! Groups told as stories: `check("join a; join a; wait 3s", "a: need id; a: joined 1 leader a of a")`.
//!
//! A story is a list of requests and of time that passes; what is compared are the answers, in the order in which they are given. Members
//! are called by their client's name, a capital letter makes them static (instance id = name). Verbs:
//!
//! ```text
//! join a [protocols range,rr] [type connect] [rebalance 10s] [session 6s] [v3] [anew]     JoinGroup; `anew` forgets the member's id
//! sync a [a=1 b=2] [gen 5]    heartbeat a [gen 5]    leave a b    kick A (by instance id)    wait 45s
//! commit a t0=5 [gen 5] [v8] [txn 7]    commit - t0=5 (nobody's)    end 7 commit|abort    fetch t0 [stable]    fetch all    forget t0 (OffsetDelete)
//! describe    list [Stable]    delete    drop t (topic deleted)    restart    state    records
//! ```

mod classic;
mod offsets;
mod random;
mod records;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
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

use crate::base::ErrorCode;
use crate::base::ids::Offset;
use crate::base::time::Mono;
use crate::coordinator::rewrite::LiveState;
use crate::coordinator::shard::{At, Effects, Position, Producer, RequestId, Shard, TransactionResult, Write};

use super::classic::State;
use super::config::GroupConfig;
use super::record::Record;
use super::request::{Client, DeletedTopic, GroupRequest, GroupResponse};
use super::shard::{Group, GroupShard};

/// Plays a story and compares what was answered.
#[track_caller]
pub fn check(story: &str, expected: &str) {
    check_with(GroupConfig::default(), story, expected);
}

#[track_caller]
pub fn check_with(config: GroupConfig, story: &str, expected: &str) {
    let mut world = World::new(config);
    for line in story.split(';').map(str::trim).filter(|line| !line.is_empty()) {
        world.tell(line);
    }
    let told: Vec<_> = expected.split(';').map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.answers, told, "\nstory:    {story}\nanswered: {}", world.answers.join("; "));
    world.assert_durable();
}

pub fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub enum Entry {
    Record(Position, Record),
    End(Offset, i64, TransactionResult),
}

/// A shard with its log and its clients.
pub struct World {
    pub shard: GroupShard,
    pub config: Arc<GroupConfig>,
    pub log: Vec<Entry>,
    pub next_offset: Offset,
    pub now: Mono,
    pub wall_ms: i64,
    next_request: u64,
    /// Requests without an answer, and who made them.
    pub waiting: BTreeMap<RequestId, String>,
    pub answers: Vec<String>,
    /// Member ids and generations as the clients know them.
    pub ids: BTreeMap<String, StrBytes>,
    pub generations: BTreeMap<String, i32>,
    group: StrBytes,
    /// Somebody else wrote into the log, too.
    pub has_foreign_records: bool,
}

impl World {
    pub fn new(config: GroupConfig) -> Self {
        let config = Arc::new(config);
        Self {
            shard: GroupShard::new(config.clone()),
            config,
            log: Vec::new(),
            next_offset: 0,
            now: Mono::ZERO,
            wall_ms: 1_000_000,
            next_request: 0,
            waiting: BTreeMap::new(),
            answers: Vec::new(),
            ids: BTreeMap::new(),
            generations: BTreeMap::new(),
            group: text("g"),
            has_foreign_records: false,
        }
    }

    pub fn at(&self) -> At {
        At { now: self.now, wall_ms: self.wall_ms, max_batch_bytes: 1 << 20 }
    }

    pub fn ask(&mut self, who: &str, request: GroupRequest) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.waiting.insert(id, who.to_owned());
        let effects = self.shard.handle(&self.at(), id, request);
        self.take(effects);
    }

    /// Does what the runtime does with a decision, on a log that takes everything.
    fn take(&mut self, effects: Effects<GroupShard>) {
        match effects.write {
            Write::Records(records) => self.append(None, records),
            Write::Transactional { producer, records } => self.append(Some(producer.id), records),
            Write::Marker { producer, result, .. } => {
                self.log.push(Entry::End(self.next_offset, producer.id, result));
                self.next_offset += 1;
                self.shard.replay_end_transaction(producer.id, result);
            }
        }
        for (id, response) in effects.replies {
            let who = self.waiting.remove(&id).expect("each request is answered once");
            let answer = self.describe_answer(&who, response);
            self.answers.push(answer);
        }
        for Group::Classic(group) in self.shard.groups.values() {
            group.assert_invariants();
            if !self.has_foreign_records {
                group.assert_is_stored();
            }
        }
    }

    fn append(&mut self, transaction: Option<i64>, records: Vec<Record>) {
        for record in records {
            let (key, value) = record.encode();
            assert_eq!(Record::decode(&key, value.as_deref()).as_ref(), Ok(&record));
            let position = Position { offset: self.next_offset, transaction };
            self.next_offset += 1;
            self.shard.replay(position, record.clone());
            self.log.push(Entry::Record(position, record));
        }
    }

    /// Lets time pass, waking the shard exactly when it asked for it.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.shard.next_deadline().filter(|deadline| *deadline <= until) {
            self.pass_to(deadline.max(self.now));
            let effects = self.shard.on_time(&self.at());
            self.take(effects);
        }
        self.pass_to(until);
    }

    fn pass_to(&mut self, now: Mono) {
        self.wall_ms += now.since(self.now).as_millis() as i64;
        self.now = now;
    }

    pub fn replayed(&self) -> GroupShard {
        let mut shard = GroupShard::new(self.config.clone());
        replay(&mut shard, &self.log);
        shard
    }

    /// What survives in the live shard is what its records say.
    pub fn assert_durable(&self) {
        assert_eq!(self.shard.durable(), self.replayed().durable());
    }

    /// The coordinator fails over: who waited has to ask again.
    pub fn restart(&mut self) {
        self.shard = self.replayed();
        self.waiting.clear();
        let effects = self.shard.loaded(&self.at());
        self.take(effects);
    }

    /// The log is rewritten (`coordinator/rewrite.rs`).
    pub fn rewrite(&mut self) {
        let live = self.shard.live();
        let start = live.keep_from.unwrap_or(self.next_offset).min(self.next_offset);
        let offset = |entry: &Entry| match entry {
            Entry::Record(position, _) => position.offset,
            Entry::End(offset, ..) => *offset,
        };
        let kept = self.log.drain(..).filter(|entry| offset(entry) >= start);
        self.log = kept.collect();
        self.append(None, live.records);
    }

    fn tell(&mut self, line: &str) {
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
                self.ask(who, GroupRequest::EndTransaction { producer, coordinator_epoch: 0, result });
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
                let states = args.iter().map(|state| text(state)).collect();
                self.ask("list", GroupRequest::List { states, types: Vec::new() });
            }
            "delete" => self.ask("delete", GroupRequest::Delete(vec![self.group.clone()])),
            "drop" => {
                let topics = vec![DeletedTopic { id: Uuid::from_u128(1), name: text(who) }];
                self.ask("drop", GroupRequest::TopicsDeleted(topics.into()));
            }
            "restart" => self.restart(),
            "rewrite" => self.rewrite(),
            "state" => {
                let state = self.state();
                self.answers.push(state);
            }
            "records" => self.answers.push(format!("{} records", self.log.len())),
            _ => panic!("unknown verb in {line:?}"),
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
            return self.ask(who, GroupRequest::TxnOffsetCommit(request));
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

    pub fn id(&self, who: &str) -> StrBytes {
        self.ids.get(who).cloned().unwrap_or_default()
    }

    fn generation(&self, who: &str, options: &[&str]) -> i32 {
        match option(options, "gen") {
            Some(generation) => generation.parse().expect("a generation"),
            None => self.generations.get(who).copied().unwrap_or(-1),
        }
    }

    /// Ids begin with the name of the client or instance.
    fn name_of(&self, id: &str) -> String {
        id.split_once('-').map_or("nobody", |(name, _)| name).to_owned()
    }

    fn names<'a>(&self, ids: impl Iterator<Item = &'a StrBytes>) -> String {
        let mut names: Vec<_> = ids.map(|id| self.name_of(id)).collect();
        names.sort();
        names.join(",")
    }

    fn state(&self) -> String {
        match self.shard.group(&self.group) {
            None => "no group".into(),
            Some(Group::Classic(group)) if group.state() == State::Empty => format!("Empty {}", group.generation()),
            Some(Group::Classic(group)) => {
                let leader = self.names(group.leader().into_iter());
                let members = self.names(group.members().map(|member| &member.id));
                format!("{} {} leader {leader} of {members}", group.state().name(), group.generation())
            }
        }
    }

    fn describe_answer(&mut self, who: &str, response: GroupResponse) -> String {
        let told = match response {
            GroupResponse::Join(response) => {
                if response.error_code == 0 || response.error_code == ErrorCode::MemberIdRequired.code() {
                    self.ids.insert(who.to_owned(), response.member_id.clone());
                }
                if response.error_code == 0 {
                    self.generations.insert(who.to_owned(), response.generation_id);
                    let members = self.names(response.members.iter().map(|member| &member.member_id));
                    let of = if members.is_empty() { String::new() } else { format!(" of {members}") };
                    let skip = if response.skip_assignment { " nothing to assign" } else { "" };
                    format!("joined {} leader {}{of}{skip}", response.generation_id, self.name_of(&response.leader))
                } else {
                    error(response.error_code)
                }
            }
            GroupResponse::Sync(response) if response.error_code == 0 => {
                format!("assigned {:?}", String::from_utf8_lossy(&response.assignment))
            }
            GroupResponse::Sync(response) => error(response.error_code),
            GroupResponse::Heartbeat(response) => error(response.error_code),
            GroupResponse::Gauges(groups) => format!("{} groups", groups.len()),
            GroupResponse::Leave(response) => {
                response.members.iter().map(|member| error(member.error_code)).collect::<Vec<_>>().join(" ")
            }
            GroupResponse::OffsetCommit(response) => {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|partition| error(partition.error_code)).collect::<Vec<_>>().join(" ")
            }
            GroupResponse::TxnOffsetCommit(response) => {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.map(|partition| error(partition.error_code)).collect::<Vec<_>>().join(" ")
            }
            GroupResponse::OffsetFetch(response) => {
                let partition = |topic: &str, p: &offset_fetch_response::OffsetFetchResponsePartitions| match p.error_code {
                    0 => format!("{topic}{}={}", p.partition_index, p.committed_offset),
                    code => format!("{topic}{} {}", p.partition_index, error(code)),
                };
                let topics = response.topics.iter();
                topics.flat_map(|t| t.partitions.iter().map(|p| partition(&t.name, p))).collect::<Vec<_>>().join(" ")
            }
            GroupResponse::OffsetDelete(response) if response.error_code != 0 => error(response.error_code),
            GroupResponse::OffsetDelete(response) => error(response.topics[0].partitions[0].error_code),
            GroupResponse::Describe(groups) => {
                let members = groups[0].members.iter().map(|member| {
                    let assignment = String::from_utf8_lossy(&member.member_assignment);
                    let metadata = if member.member_metadata.is_empty() { "" } else { "*" };
                    format!(" {}{}:{assignment}{metadata}", self.name_of(&member.member_id), member.client_host)
                });
                let code = if groups[0].error_code == 0 { String::new() } else { format!(" {}", error(groups[0].error_code)) };
                let members: String = members.collect();
                format!("{} {} {}{members}{code}", groups[0].group_state, groups[0].protocol_type, groups[0].protocol_data)
            }
            GroupResponse::List(groups) => {
                let listed = groups
                    .iter()
                    .map(|it| format!("{}:{}:{}:{}", &*it.group_id, it.group_state, it.protocol_type, it.group_type));
                listed.collect::<Vec<_>>().join(" ")
            }
            GroupResponse::Delete(results) => error(results[0].error_code),
            GroupResponse::Done(()) => "done".into(),
        };
        format!("{who}: {}", told.trim_end()).trim_end().to_owned()
    }
}

/// Replays a log from its beginning.
pub fn replay(shard: &mut GroupShard, log: &[Entry]) {
    for entry in log {
        match entry.clone() {
            Entry::Record(position, record) => shard.replay(position, record),
            Entry::End(_, producer, result) => shard.replay_end_transaction(producer, result),
        }
    }
}

fn error(code: i16) -> String {
    match ErrorCode::try_from_code(code) {
        None => "ok".into(),
        Some(error) => format!("{error:?}"),
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

/// A consumer's subscription as version 0 of its protocol.
pub fn subscription(topics: &str) -> Bytes {
    if topics == "garbage" {
        return Bytes::from_static(b"?");
    }
    let topics: Vec<_> = topics.split(',').filter(|topic| !topic.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}
