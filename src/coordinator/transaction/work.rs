//! What a shard wants done in the world: markers to be written, and transactions to be aborted because their time is over. Pure.
//!
//! One request of the broker is always open ([`WorkQueue::take`]); it is answered together with the decision that makes work, and therefore
//! leaves when that decision is committed: **no marker is written before its Prepare record is committed.** An answer that is lost costs
//! nothing: who asks `again` gets all that is not finished.
//!
//! A decision goes by the offset of its Prepare record. The producer does not name it: a client of version 1 keeps its epoch, so its next
//! transaction looks like the last one, whose end may still be on its way. The offset stays what it is when the shard is loaded again.

use std::collections::{BTreeSet, HashSet};

use kafka_protocol::protocol::StrBytes;

use super::metadata::TransactionMetadata;
use crate::base::ids::{Offset, TopicPartition};
use crate::coordinator::shard::{EndOfTransaction, Producer, RequestId};

/// The markers of one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Markers {
    pub id: StrBytes,
    /// Offset of the record that decided it.
    pub decision: Offset,
    pub end: EndOfTransaction,
    /// May be empty: an abort of nothing.
    pub partitions: BTreeSet<TopicPartition>,
}

/// All markers of a transaction are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finished {
    pub id: StrBytes,
    /// As in the markers.
    pub decision: Offset,
}

/// A transaction that was open for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    pub id: StrBytes,
    pub producer: Producer,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    pub markers: Vec<Markers>,
    pub timed_out: Vec<TimedOut>,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.markers.is_empty() && self.timed_out.is_empty()
    }
}

impl Markers {
    /// The markers that a transaction needs which is prepared by the record at `decision`; `None` if it is not prepared.
    pub fn of(id: &StrBytes, metadata: &TransactionMetadata, decision: Offset, coordinator_epoch: i32) -> Option<Self> {
        let end = EndOfTransaction {
            producer: metadata.producer(),
            coordinator_epoch,
            transaction_version: metadata.client_transaction_version,
            result: metadata.result()?,
        };
        Some(Self { id: id.clone(), decision, end, partitions: metadata.partitions.clone() })
    }

    pub fn finished(&self) -> Finished {
        Finished { id: self.id.clone(), decision: self.decision }
    }
}

/// Work that nobody has taken yet, and who waits for it.
#[derive(Debug, Default)]
pub struct WorkQueue {
    work: Work,
    taker: Option<RequestId>,
}

impl WorkQueue {
    pub fn push_markers(&mut self, markers: Option<Markers>) {
        self.work.markers.extend(markers);
    }

    /// A transaction has ended: markers that were queued for it and not taken, as they are when the shard has just been loaded again, would end
    /// what its producer begins next.
    pub fn drop_markers(&mut self, ended: &Finished) {
        self.work.markers.retain(|markers| markers.finished() != *ended);
    }

    /// Names what has timed out, all of it; what an earlier look has found and nobody has taken is in it.
    pub fn set_timed_out(&mut self, timed_out: Vec<TimedOut>) {
        self.work.timed_out = timed_out;
    }

    /// Whether somebody waits for work. There is one taker at a time: a second is told that there is nothing, and may ask again.
    pub fn has_taker(&self) -> bool {
        self.taker.is_some()
    }

    pub fn take(&mut self, taker: RequestId) {
        self.taker = Some(taker);
    }

    /// Forgets what was queued: it is all told anew.
    pub fn clear(&mut self) {
        self.work = Work::default();
    }

    /// The answer that is due.
    pub fn answer(&mut self) -> Option<(RequestId, Work)> {
        if self.work.is_empty() {
            return None;
        }
        Some((self.taker.take()?, std::mem::take(&mut self.work)))
    }

    /// Nobody waits any more, as after a lost connection.
    #[cfg(test)]
    pub fn forget_taker(&mut self) {
        self.taker = None;
    }
}

/// Which ends of transactions are under way, for whoever takes the work. It asks for all that is not finished when an answer may have been
/// lost; such an answer may be older than an end that it has seen itself since.
#[derive(Debug, Default)]
pub struct Ends {
    under_way: HashSet<Finished>,
    /// Ended since the shard was asked what it has.
    ended: HashSet<Finished>,
}

impl Ends {
    /// The shard is asked what it has: it has heard of all ends before.
    pub fn ask(&mut self) {
        self.ended.clear();
    }

    /// Whether markers that were told are to be written. They are not if that is being done; nor if it was done since, as the producer may be
    /// in its next transaction by now, which they would end.
    pub fn begin(&mut self, end: Finished) -> bool {
        !self.ended.contains(&end) && self.under_way.insert(end)
    }

    /// An end is over: the shard has heard of it, or somebody else has ended the transaction.
    pub fn end(&mut self, end: Finished) {
        self.under_way.remove(&end);
        self.ended.insert(end);
    }
}
