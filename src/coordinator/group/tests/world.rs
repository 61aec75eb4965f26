//! A shard with its log and its clients, for stories and random histories: does what the runtime does, on a log that takes everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use kafka_protocol::protocol::StrBytes;

use super::text;
use crate::base::ErrorCode;
use crate::base::ids::{Offset, ProducerId};
use crate::base::time::Mono;
use crate::coordinator::group::classic::State;
use crate::coordinator::group::config::GroupConfig;
use crate::coordinator::group::record::Record;
use crate::coordinator::group::request::{GroupRequest, GroupResponse};
use crate::coordinator::group::shard::{Group, GroupShard};
use crate::coordinator::shard::{At, Effects, EndOfTransaction, Position, RequestId, Shard, TransactionResult, Write};

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
    pub next_request: u64,
    /// Requests without an answer, and who made them.
    pub waiting: BTreeMap<RequestId, String>,
    pub answers: Vec<String>,
    /// Member ids and generations as the clients know them.
    pub ids: BTreeMap<String, StrBytes>,
    pub generations: BTreeMap<String, i32>,
    pub group: StrBytes,
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
        At { now: self.now, wall_ms: self.wall_ms, max_batch_bytes: 1 << 20, next_offset: self.next_offset }
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
            Write::Transactional { producer, records, .. } => self.append(Some(producer.id), records),
            Write::Marker(EndOfTransaction { producer, result, .. }) => {
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

    /// The log is compacted as far as all in it is decided, and what the cleaner drops after a while is dropped: what is left of a key is its last
    /// record, unless that deletes it; of a transaction its committed records, and its marker if there are any.
    pub fn compact(&mut self) {
        let mut open: BTreeMap<ProducerId, Offset> = BTreeMap::new();
        for entry in &self.log {
            match entry {
                Entry::Record(Position { offset, transaction: Some(id) }, _) => drop(open.entry(*id).or_insert(*offset)),
                Entry::Record(..) => {}
                Entry::End(_, id, _) => drop(open.remove(id)),
            }
        }
        let stable = open.values().min().copied().unwrap_or(self.next_offset);
        let mut results: BTreeMap<ProducerId, TransactionResult> = BTreeMap::new();
        let (mut keys, mut with_records) = (BTreeSet::new(), BTreeSet::new());
        let mut kept = Vec::new();
        for entry in self.log.drain(..).rev() {
            let stays = match &entry {
                Entry::Record(Position { offset, transaction }, record) => {
                    let result = transaction.and_then(|id| results.get(&id)).copied();
                    let (key, value) = record.encode();
                    let is_last = *offset < stable && result != Some(TransactionResult::Abort) && keys.insert(key);
                    *offset >= stable || is_last && value.is_some()
                }
                Entry::End(_, id, result) => {
                    results.insert(*id, *result);
                    true
                }
            };
            if stays {
                kept.push(entry);
            }
        }
        for entry in kept.into_iter().rev() {
            let stays = match &entry {
                Entry::Record(position, _) => {
                    with_records.extend(position.transaction);
                    true
                }
                Entry::End(offset, id, _) => with_records.remove(id) || *offset >= stable,
            };
            if stays {
                self.log.push(entry);
            }
        }
    }

    pub fn id(&self, who: &str) -> StrBytes {
        self.ids.get(who).cloned().unwrap_or_default()
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

    pub fn state(&self) -> String {
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
                let partition = |topic: &str, p: &OffsetFetchResponsePartitions| match p.error_code {
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
