//! Reading as a member of a group: what is assigned, where it was left off, and telling how far we are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::ids::{Offset, TopicPartition};
use crate::cli::bounds::{Bounds, bounds};
use crate::cli::error::Result;
use crate::cli::output::{note, plural};
use crate::client::group::member::{Member, MemberOptions};
use crate::client::offsets::IsolationLevel;
use crate::client::{Client, ClientError, kafka_name};

/// How often offsets are committed while reading (`auto.commit.interval.ms`).
pub const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

pub struct Membership {
    client: Arc<Client>,
    group: String,
    member: Member,
    from_beginning: bool,
    isolation: IsolationLevel,
    /// What was written out and is not committed yet.
    pending: BTreeMap<TopicPartition, Offset>,
}

/// What a member is to read now.
pub struct Assigned {
    pub positions: BTreeMap<TopicPartition, Offset>,
    pub bounds: BTreeMap<TopicPartition, Bounds>,
}

impl Membership {
    pub fn new(
        client: Arc<Client>,
        group: String,
        topics: Vec<String>,
        instance_id: Option<String>,
        from_beginning: bool,
        isolation: IsolationLevel,
    ) -> Self {
        let options = MemberOptions { instance_id, ..MemberOptions::default() };
        let member = Member::new(client.clone(), group.clone(), topics, options);
        Self { client, group, member, from_beginning, isolation, pending: BTreeMap::new() }
    }

    /// Joins the group, and finds out where each partition was left off. One that nobody has read begins at its end, or at its beginning.
    pub async fn join(&mut self) -> Result<Assigned> {
        let partitions = self.member.join().await?;
        let committed = self.client.committed_offsets(&self.group).await?;
        let bounds = bounds(&self.client, &partitions, self.isolation).await?;
        let mut positions = BTreeMap::new();
        let mut new = 0;
        for (partition, bounds) in &bounds {
            let otherwise = if self.from_beginning { bounds.earliest } else { bounds.latest };
            let left_off = committed.get(partition).map(|committed| committed.offset);
            let position = left_off.unwrap_or(otherwise);
            if left_off.is_none() {
                new += 1;
                // Committed even if nothing comes, so that whoever reads the partition next begins here and misses nothing.
                self.pending.insert(partition.clone(), position);
            }
            positions.insert(partition.clone(), position);
        }
        note(self.assignment_note(partitions.len() as i64, new));
        Ok(Assigned { positions, bounds })
    }

    fn assignment_note(&self, assigned: i64, new: i64) -> String {
        let end = if self.from_beginning { "beginning" } else { "end (--from-beginning reads what is there)" };
        let reading = format!("Group {}: reading {}", self.group, plural(assigned, "partition"));
        match (assigned, new) {
            (0, _) => format!("{reading}; other members read all there are."),
            (_, 0) => format!("{reading} from where the group left off."),
            (_, new) if new == assigned => format!("{reading} from the {end}."),
            (_, new) => format!("{reading}, {new} of them new to the group and read from the {end}."),
        }
    }

    /// Waits until the group shares out its partitions anew.
    pub async fn rebalance(&mut self) -> Result {
        Ok(self.member.rebalance().await?)
    }

    /// Remembers that everything before `offset` was written out.
    pub fn done(&mut self, partition: &TopicPartition, offset: Offset) {
        self.pending.insert(partition.clone(), offset);
    }

    /// Tells the group how far we are. Partitions that have gone to somebody else are theirs to commit.
    pub async fn commit(&mut self) -> Result {
        if self.pending.is_empty() {
            return Ok(());
        }
        let offsets = std::mem::take(&mut self.pending);
        for (partition, answer) in self.member.commit(&offsets).await? {
            if let Err(code) = answer {
                note(format!("warning: the offset of {partition} was not committed: {}", kafka_name(code)));
            }
        }
        Ok(())
    }

    /// Commits and leaves.
    pub async fn leave(mut self) -> Result {
        let committed = self.commit().await;
        let left: Result<(), ClientError> = self.member.leave().await;
        committed?;
        Ok(left?)
    }
}
