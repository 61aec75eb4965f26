//! Which protocol a group uses, and what can be read in the metadata of those that are consumers. Pure.
//!
//! Metadata and assignments belong to the members; the broker passes them on. Only of the protocol type `consumer` it reads the subscribed
//! topics, to know whose offsets are still wanted; what it cannot read it treats as "may be anything".

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::protocol::StrBytes;

use crate::coordinator::wire::Reader;

use super::group::{ClassicGroup, State};
use super::member::Protocol;

/// The protocol type of consumers, whose subscriptions the broker can read.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

impl ClassicGroup {
    /// Whether somebody who speaks these protocols can be a member.
    pub(super) fn supports(&self, protocol_type: &StrBytes, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|it| self.supported.get(&it.name).copied().unwrap_or(0) == self.members.len())
    }

    pub(super) fn count_protocols(&mut self, protocols: &[Protocol], by: isize) {
        for protocol in protocols {
            let count = self.supported.entry(protocol.name.clone()).or_default();
            *count = count.checked_add_signed(by).expect("a protocol is supported by no fewer than no members");
            if *count == 0 {
                self.supported.remove(&protocol.name);
            }
        }
    }

    /// The protocol that most members like best among those that all support; the first by name of several. `None` without members.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let candidate = |name: &StrBytes| self.supported.get(name) == Some(&self.members.len());
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(vote) = member.protocols.iter().find(|it| candidate(&it.name)) {
                *votes.entry(&vote.name).or_default() += 1;
            }
        }
        votes.into_iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    /// All members' subscriptions, read as version 0 of the consumer protocol, with which every later version begins.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<StrBytes>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            read_subscription(&member.metadata(Some(self.protocol_name.as_ref()?)), &mut topics)?;
        }
        Some(topics)
    }

    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    pub fn knows_subscriptions(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// Whether members read this topic. If consumers cannot be understood, they may read anything; others are no business of the broker.
    pub fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }
}

/// Adds the topics of a `ConsumerProtocolSubscription`: version i16 · topics array of string · …; `None` if it is none.
fn read_subscription(metadata: &[u8], topics: &mut BTreeSet<StrBytes>) -> Option<()> {
    let mut reader = Reader::new(metadata);
    if reader.i16()? < 0 {
        return None;
    }
    for _ in 0..reader.any_array_len()? {
        topics.insert(reader.string()?);
    }
    reader.skip_nullable_bytes() // user data
}
