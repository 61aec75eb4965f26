//! Incremental fetch sessions (KIP-227; `FetchSession.scala`): a client names its partitions once, and later only what changed. Pure.
//!
//! Invariants: `sessions ≤ max slots`; `partitions of all of them ≤ MAX_PARTITIONS`, those of one request aside; a session's epoch goes 1, 2, …, 2³¹−1, 1, one step a request; all topics of a session are known by
//! id, or all by name; partitions that just returned records stand behind those that did not, so that all get their turn.
//!
//! A request's epoch says what it wants: −1 no session (and close the one named), 0 a new session with exactly these partitions,
//! otherwise the next step of the session named.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::base::ErrorCode;
use crate::base::ids::{LeaderEpoch, Offset, TopicId};
use crate::base::time::Mono;

/// "No session": in a request, and in an answer that grants none.
pub const INVALID_SESSION_ID: i32 = 0;
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;
/// Partitions that all sessions together may hold; a hundred bytes each. Kafka bounds the sessions only.
const MAX_PARTITIONS: usize = 1 << 20;
/// A session younger than this is not evicted for a larger one (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_AFTER: Duration = Duration::from_secs(120);

/// A topic as a fetch names it: by id from version 13 (KIP-516), by name before. The name of an id is filled in once it is known.
#[derive(Clone, Debug)]
pub struct FetchTopic {
    pub id: TopicId,
    pub name: Option<Arc<str>>,
}

impl FetchTopic {
    /// What tells two topics apart: the id, or the name where there is none.
    fn key(&self) -> (TopicId, Option<&str>) {
        (self.id, if self.id.is_nil() { self.name.as_deref() } else { None })
    }
}

impl PartialEq for FetchTopic {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for FetchTopic {}

impl Hash for FetchTopic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// One partition a fetch asks for.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    pub topic: FetchTopic,
    pub partition: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    /// −1 where the fetcher does not check for divergence (before version 12, KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    /// Log start of a follower; −1 from consumers.
    pub log_start_offset: Offset,
    pub max_bytes: i32,
}

/// What a request says of its session.
#[derive(Debug)]
pub struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    pub uses_topic_ids: bool,
    pub from_follower: bool,
    pub partitions: Vec<FetchPartition>,
    pub forgotten: Vec<(FetchTopic, i32)>,
}

/// Which partitions to read, and what to do with the answer.
#[derive(Debug)]
pub struct FetchPlan {
    pub partitions: Vec<FetchPartition>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sessionless,
    Full { uses_topic_ids: bool, privileged: bool },
    Incremental { session_id: i32, epoch: i32 },
}

/// What an answer holds for one partition of the plan, as far as sessions care.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub has_records: bool,
    pub has_error: bool,
    /// A preferred replica or a diverging epoch is named.
    pub has_direction: bool,
}

/// What of an answer is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    pub session_id: i32,
    /// Partitions of the plan that are part of the answer, in its order.
    pub included: Vec<usize>,
}

#[derive(Debug)]
struct Cached {
    request: FetchPartition,
    high_watermark: Offset,
    log_start_offset: Offset,
}

#[derive(Debug)]
struct Session {
    uses_topic_ids: bool,
    /// Of a follower: never evicted by consumers' sessions.
    privileged: bool,
    created: Mono,
    last_used: Mono,
    epoch: i32,
    partitions: Vec<Cached>,
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct FetchSessionCache {
    sessions: HashMap<i32, Session>,
    max_slots: usize,
    evictions: u64,
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        FINAL_EPOCH => FINAL_EPOCH,
        i32::MAX => 1,
        _ => epoch + 1,
    }
}

impl FetchSessionCache {
    pub fn new(max_slots: usize) -> Self {
        Self { sessions: HashMap::new(), max_slots, evictions: 0 }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Partitions in all sessions together.
    pub fn partitions(&self) -> usize {
        self.sessions.values().map(|s| s.partitions.len()).sum()
    }

    /// Sessions evicted since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Works out which partitions a request means. An error is the answer to the whole request.
    pub fn plan(&mut self, now: Mono, request: SessionRequest) -> Result<FetchPlan, ErrorCode> {
        let SessionRequest { session_id, epoch, uses_topic_ids, from_follower, partitions, forgotten } = request;
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            if session_id != INVALID_SESSION_ID {
                self.sessions.remove(&session_id);
            }
            let kind = match epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full { uses_topic_ids, privileged: from_follower },
            };
            return Ok(FetchPlan { partitions, kind });
        }
        let held = if partitions.is_empty() { 0 } else { self.partitions() };
        let session = self.sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if !partitions.is_empty() && held >= MAX_PARTITIONS {
            // Its client begins anew, and does without a session if it must.
            self.sessions.remove(&session_id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        session.update(partitions.clone(), &forgotten);
        if session.partitions.is_empty() {
            self.sessions.remove(&session_id);
            return Ok(FetchPlan { partitions, kind: Kind::Sessionless });
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        let partitions = session.partitions.iter().map(|c| c.request.clone()).collect();
        Ok(FetchPlan { partitions, kind: Kind::Incremental { session_id, epoch: session.epoch } })
    }

    /// Decides which partitions the answer names, and remembers what was told. `outcomes` are those of `plan.partitions`, in order;
    /// `fresh_id` makes a random positive number.
    pub fn select(
        &mut self,
        now: Mono,
        plan: &FetchPlan,
        outcomes: &[Outcome],
        fresh_id: impl FnMut() -> i32,
    ) -> Result<Selection, ErrorCode> {
        assert_eq!(plan.partitions.len(), outcomes.len(), "one outcome for each partition of the plan");
        match plan.kind {
            Kind::Sessionless => Ok(Selection { session_id: INVALID_SESSION_ID, included: (0..outcomes.len()).collect() }),
            Kind::Full { uses_topic_ids, privileged } => {
                let partitions = plan.partitions.iter().zip(outcomes).map(|(p, o)| Cached::new(p, o));
                let session = Session {
                    uses_topic_ids,
                    privileged,
                    created: now,
                    last_used: now,
                    epoch: next_epoch(INITIAL_EPOCH),
                    partitions: Vec::new(),
                };
                let session_id = match self.make_room(now, privileged, outcomes.len()) {
                    true => self.insert(Session { partitions: partitions.collect(), ..session }, fresh_id),
                    false => INVALID_SESSION_ID,
                };
                Ok(Selection { session_id, included: (0..outcomes.len()).collect() })
            }
            Kind::Incremental { session_id, epoch } => {
                // While the fetch waited, the client may have given up and gone on.
                let session = self.sessions.get_mut(&session_id).filter(|s| s.epoch == epoch);
                let session = session.ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
                Ok(Selection { session_id, included: session.select(outcomes) })
            }
        }
    }

    fn insert(&mut self, session: Session, mut fresh_id: impl FnMut() -> i32) -> i32 {
        loop {
            let id = fresh_id() & i32::MAX;
            if id != INVALID_SESSION_ID && !self.sessions.contains_key(&id) {
                self.sessions.insert(id, session);
                return id;
            }
        }
    }

    /// `FetchSessionCacheShard.tryEvict`: a stale session goes first; else the least valuable one, if the new one is worth more.
    fn make_room(&mut self, now: Mono, privileged: bool, size: usize) -> bool {
        if !privileged && size + self.partitions() > MAX_PARTITIONS {
            return false;
        }
        if self.sessions.len() < self.max_slots {
            return true;
        }
        let Some((&stalest, session)) = self.sessions.iter().min_by_key(|(id, s)| (s.last_used, **id)) else { return false };
        let victim = if now.since(session.last_used) > EVICTION_AFTER {
            stalest
        } else {
            let old = |s: &Session| now.since(s.created) > EVICTION_AFTER;
            let evictable = self.sessions.iter().filter(|(_, s)| if privileged { !s.privileged || old(s) } else { old(s) });
            let Some((&id, session)) = evictable.min_by_key(|(id, s)| (s.privileged, s.partitions.len(), **id)) else {
                return false;
            };
            if (privileged, size, INVALID_SESSION_ID) < (session.privileged, session.partitions.len(), id) {
                return false;
            }
            id
        };
        self.sessions.remove(&victim);
        self.evictions += 1;
        true
    }
}

impl Cached {
    fn new(request: &FetchPartition, outcome: &Outcome) -> Self {
        let high_watermark = if outcome.has_error { -1 } else { outcome.high_watermark };
        Self { request: request.clone(), high_watermark, log_start_offset: outcome.log_start_offset }
    }
}

impl Session {
    fn update(&mut self, partitions: Vec<FetchPartition>, forgotten: &[(FetchTopic, i32)]) {
        if !partitions.is_empty() {
            let mut places: HashMap<(FetchTopic, i32), usize> = HashMap::with_capacity(self.partitions.len());
            places.extend(self.partitions.iter().enumerate().map(|(i, c)| ((c.request.topic.clone(), c.request.partition), i)));
            for request in partitions {
                match places.entry((request.topic.clone(), request.partition)) {
                    Entry::Occupied(place) => self.partitions[*place.get()].request = request,
                    Entry::Vacant(place) => {
                        place.insert(self.partitions.len());
                        self.partitions.push(Cached { request, high_watermark: -1, log_start_offset: -1 });
                    }
                }
            }
        }
        if !forgotten.is_empty() {
            let forgotten: HashSet<(&FetchTopic, i32)> = forgotten.iter().map(|(topic, partition)| (topic, *partition)).collect();
            self.partitions.retain(|c| !forgotten.contains(&(&c.request.topic, c.request.partition)));
        }
    }

    /// `CachedPartition.maybeUpdateResponseData` for each, then those with records go to the back.
    fn select(&mut self, outcomes: &[Outcome]) -> Vec<usize> {
        let mut included = Vec::new();
        for (index, (cached, outcome)) in self.partitions.iter_mut().zip(outcomes).enumerate() {
            let Outcome { high_watermark, log_start_offset, has_records, has_error, has_direction } = *outcome;
            let changed = cached.high_watermark != high_watermark || cached.log_start_offset != log_start_offset;
            // After an error the partition is told again when the error is gone: no high watermark equals −1.
            cached.high_watermark = if has_error { -1 } else { high_watermark };
            cached.log_start_offset = log_start_offset;
            if has_records || changed || has_error || has_direction {
                included.push(index);
            }
        }
        if outcomes.iter().any(|o| o.has_records) && self.partitions.len() > 1 {
            let (back, front): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.partitions).into_iter().zip(outcomes).partition(|(_, o)| o.has_records);
            self.partitions = front.into_iter().chain(back).map(|(c, _)| c).collect();
        }
        included
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(n: i32) -> FetchPartition {
        FetchPartition {
            topic: FetchTopic { id: TopicId::nil(), name: Some("t".into()) },
            partition: n,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: 100,
        }
    }

    fn request(session_id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
        SessionRequest {
            session_id,
            epoch,
            uses_topic_ids: false,
            from_follower: false,
            partitions: partitions.iter().map(|n| partition(*n)).collect(),
            forgotten: vec![],
        }
    }

    fn quiet(high_watermark: Offset) -> Outcome {
        Outcome { high_watermark, log_start_offset: 0, has_records: false, has_error: false, has_direction: false }
    }

    fn records(high_watermark: Offset) -> Outcome {
        Outcome { has_records: true, ..quiet(high_watermark) }
    }

    fn open(cache: &mut FetchSessionCache, now: Mono, id: i32, partitions: &[i32]) -> i32 {
        let plan = cache.plan(now, request(0, 0, partitions)).unwrap();
        let outcomes = vec![quiet(5); partitions.len()];
        cache.select(now, &plan, &outcomes, || id).unwrap().session_id
    }

    fn numbers(plan: &FetchPlan) -> Vec<i32> {
        plan.partitions.iter().map(|p| p.partition).collect()
    }

    #[test]
    fn a_session_answers_only_what_changed_and_rotates_what_was_served() {
        let mut cache = FetchSessionCache::new(10);
        let now = Mono::ZERO;
        assert_eq!(open(&mut cache, now, 7, &[0, 1, 2]), 7);
        let plan = cache.plan(now, request(7, 1, &[])).unwrap();
        assert_eq!(numbers(&plan), [0, 1, 2]);
        let selection = cache.select(now, &plan, &[records(6), quiet(5), quiet(5)], || 0).unwrap();
        assert_eq!(selection, Selection { session_id: 7, included: vec![0] });

        let plan = cache.plan(now, request(7, 2, &[3])).unwrap();
        assert_eq!(numbers(&plan), [1, 2, 0, 3], "0 was served and stands behind; 3 is new");
        let failed = Outcome { has_error: true, ..quiet(5) };
        let selection = cache.select(now, &plan, &[failed, quiet(5), quiet(6), quiet(9)], || 0).unwrap();
        assert_eq!(selection.included, [0, 3]);

        let mut forgetting = request(7, 3, &[]);
        forgetting.forgotten = vec![(partition(2).topic, 2), (partition(3).topic, 3)];
        let plan = cache.plan(now, forgetting).unwrap();
        assert_eq!(numbers(&plan), [1, 0]);
        let selection = cache.select(now, &plan, &[quiet(5), quiet(6)], || 0).unwrap();
        assert_eq!(selection.included, [0], "the error is gone, so the partition is told again");
    }

    #[test]
    fn wrong_sessions_are_named_by_kafkas_codes() {
        let mut cache = FetchSessionCache::new(10);
        let now = Mono::ZERO;
        open(&mut cache, now, 7, &[0]);
        let code = |cache: &mut FetchSessionCache, r| cache.plan(now, r).unwrap_err();
        assert_eq!(code(&mut cache, request(8, 1, &[])), ErrorCode::FetchSessionIdNotFound);
        assert_eq!(code(&mut cache, request(7, 2, &[])), ErrorCode::InvalidFetchSessionEpoch);
        let by_id = SessionRequest { uses_topic_ids: true, ..request(7, 1, &[]) };
        assert_eq!(code(&mut cache, by_id), ErrorCode::FetchSessionTopicIdError);
        cache.plan(now, request(7, -1, &[0])).unwrap();
        assert!(cache.is_empty(), "epoch −1 closes the session");
    }

    #[test]
    fn a_fetch_that_waited_while_its_client_went_on_is_refused() {
        let mut cache = FetchSessionCache::new(10);
        let now = Mono::ZERO;
        open(&mut cache, now, 7, &[0]);
        let waiting = cache.plan(now, request(7, 1, &[])).unwrap();
        cache.plan(now, request(7, 2, &[])).unwrap();
        assert_eq!(cache.select(now, &waiting, &[quiet(5)], || 0).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
    }

    #[test]
    fn a_session_whose_last_partition_is_forgotten_ends() {
        let mut cache = FetchSessionCache::new(10);
        open(&mut cache, Mono::ZERO, 7, &[0]);
        let mut forgetting = request(7, 1, &[]);
        forgetting.forgotten = vec![(partition(0).topic, 0)];
        let plan = cache.plan(Mono::ZERO, forgetting).unwrap();
        assert!(cache.is_empty() && plan.partitions.is_empty());
    }

    #[test]
    fn room_is_made_for_the_more_valuable_session_only() {
        let mut cache = FetchSessionCache::new(1);
        let at = Mono::from_millis;
        assert_eq!(open(&mut cache, at(0), 1, &[0, 1]), 1);
        assert_eq!(open(&mut cache, at(1), 2, &[0, 1, 2]), 0, "the old one is too young to go");
        cache.plan(at(100_000), request(1, 1, &[])).unwrap();
        assert_eq!(open(&mut cache, at(121_000), 3, &[0]), 0, "smaller than the old one");
        assert_eq!(open(&mut cache, at(121_000), 4, &[0, 1, 2]), 4, "larger, and the old one is old enough");
        assert_eq!(open(&mut cache, at(300_000), 5, &[0]), 5, "stale sessions go whatever their size");
        assert_eq!(cache.evictions(), 2);
        let mut follower = request(0, 0, &[0]);
        follower.from_follower = true;
        let plan = cache.plan(at(300_001), follower).unwrap();
        assert_eq!(cache.select(at(300_001), &plan, &[quiet(5)], || 6).unwrap().session_id, 6, "followers come first");
    }

    #[test]
    fn epochs_wrap_to_one() {
        assert_eq!([next_epoch(0), next_epoch(i32::MAX), next_epoch(-1)], [1, 1, -1]);
    }
}
