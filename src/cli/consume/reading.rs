//! The loop of `klamm consume`: what comes is written, until there is a reason to stop.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use super::membership::{Assigned, COMMIT_INTERVAL, Membership};
use super::printer::Printer;
use crate::base::ids::{Offset, TopicPartition};
use crate::cli::bounds::{Bounds, bounds};
use crate::cli::error::Result;
use crate::cli::output::note;
use crate::cli::runtime;
use crate::client::consumer::{Fetched, Polled};
use crate::client::offsets::IsolationLevel;
use crate::client::{Client, Consumer};
use crate::record::owned::Record;

/// See the module.
pub struct Reading {
    pub client: Arc<Client>,
    pub consumer: Consumer,
    pub printer: Printer,
    pub isolation: IsolationLevel,
    pub group: Option<Membership>,
    /// Where to stop in each partition; `None` reads on and on.
    pub stop_at: Option<BTreeMap<TopicPartition, Offset>>,
    /// Whether what is there now is where a newly assigned partition ends.
    pub exit_at_end: bool,
    /// How long to wait for a record.
    pub idle: Option<Duration>,
    /// The latest records, to be written at the end.
    pub latest: Option<Latest>,
}

/// So many of the latest records. Where offsets are missing, as after compaction and at the ends of transactions, they lie further back than
/// their number says.
pub struct Latest {
    pub count: usize,
    /// How far in front of its end each partition is read.
    pub back: i64,
    pub bounds: BTreeMap<TopicPartition, Bounds>,
}

impl Latest {
    /// Where to begin anew, further back, if `found` are too few and there may be more.
    fn further_back(&mut self, found: usize) -> Option<BTreeMap<TopicPartition, Offset>> {
        let begins = |bounds: &Bounds, back: i64| bounds.latest.saturating_sub(back).max(bounds.earliest);
        if found >= self.count || self.bounds.values().all(|bounds| begins(bounds, self.back) == bounds.earliest) {
            return None;
        }
        self.back = self.back.saturating_mul(8);
        Some(self.bounds.iter().map(|(partition, bounds)| (partition.clone(), begins(bounds, self.back))).collect())
    }
}

impl Reading {
    /// Reads until everything that was wanted is written, nothing comes any more, or somebody presses Ctrl-C.
    pub async fn run(mut self) -> Result {
        let mut interrupted = pin!(runtime::interrupted());
        let result = match self.group.is_some() {
            true => tokio::select! {
                joined = self.join() => joined,
                () = &mut interrupted => return self.leave().await,
            },
            false => Ok(()),
        };
        let result = match result {
            Ok(()) => self.read(interrupted).await,
            Err(error) => Err(error),
        };
        let flushed = self.printer.flush();
        let left = self.leave().await;
        result.and(flushed).and(left)
    }

    async fn read(&mut self, mut interrupted: std::pin::Pin<&mut impl Future<Output = ()>>) -> Result {
        let mut kept: Vec<(TopicPartition, Record)> = Vec::new();
        let mut commit = interval(COMMIT_INTERVAL);
        let mut last = Instant::now();
        loop {
            if self.is_complete() {
                let Some(positions) = self.latest.as_mut().and_then(|latest| latest.further_back(kept.len())) else { break };
                kept.clear();
                self.assign(positions);
                continue;
            }
            let idle_left = self.idle.map(|idle| idle.saturating_sub(last.elapsed()));
            tokio::select! {
                polled = self.consumer.poll() => match polled? {
                    Polled::Records(fetched) => {
                        if !fetched.records.is_empty() {
                            last = Instant::now();
                        }
                        self.on_records(fetched, &mut kept)?;
                    }
                    Polled::OutOfRange { partition, offset } => self.on_out_of_range(&partition, offset).await?,
                },
                rebalance = rebalance(&mut self.group) => {
                    rebalance?;
                    self.join().await?;
                }
                _ = commit.tick(), if self.group.is_some() => self.commit().await?,
                () = sleep(idle_left.unwrap_or_default()), if idle_left.is_some() => break,
                () = &mut interrupted => break,
            }
        }
        self.write_kept(kept)
    }

    fn is_complete(&self) -> bool {
        self.printer.is_full() || self.stop_at.is_some() && self.consumer.is_empty()
    }

    fn on_records(&mut self, fetched: Fetched, kept: &mut Vec<(TopicPartition, Record)>) -> Result {
        let Fetched { partition, records, position, .. } = fetched;
        let stop = self.stop_at.as_ref().and_then(|ends| ends.get(&partition)).copied().unwrap_or(Offset::MAX);
        let mut done = position.min(stop);
        for record in records {
            if record.offset >= stop {
                break;
            }
            if self.latest.is_some() {
                kept.push((partition.clone(), record));
            } else if !self.printer.write(&partition.topic, partition.partition, &record)? {
                done = record.offset;
                break;
            }
        }
        self.printer.flush()?;
        if let Some(group) = &mut self.group {
            group.done(&partition, done);
        }
        if position >= stop {
            self.consumer.remove(&partition);
        }
        Ok(())
    }

    /// Writes the latest of what was kept, by the clock: that is the order in which a person who asks for the last records means them.
    fn write_kept(&mut self, mut kept: Vec<(TopicPartition, Record)>) -> Result {
        kept.sort_by(|(p, a), (q, b)| (a.timestamp, p, a.offset).cmp(&(b.timestamp, q, b.offset)));
        let first = kept.len().saturating_sub(self.latest.as_ref().map_or(0, |latest| latest.count));
        for (partition, record) in &kept[first..] {
            self.printer.write(&partition.topic, partition.partition, record)?;
        }
        self.printer.flush()
    }

    /// The log has moved on, or was cut: goes on where it begins or ends now.
    async fn on_out_of_range(&mut self, partition: &TopicPartition, offset: Offset) -> Result {
        let found = bounds(&self.client, std::slice::from_ref(partition), self.isolation).await?;
        let Some(Bounds { earliest, latest }) = found.get(partition).copied() else { return Ok(()) };
        let (next, why) = if offset < earliest { (earliest, "were deleted") } else { (latest, "are not there any more") };
        note(format!("warning: records of {partition} from offset {offset} on {why}; going on at {next}"));
        if let Some(group) = &mut self.group {
            group.done(partition, next);
        }
        // What was to be read up to may be gone as well.
        match self.stop_at.as_ref().and_then(|ends| ends.get(partition)) {
            Some(stop) if next >= *stop => self.consumer.remove(partition),
            _ => self.consumer.seek(partition, next),
        }
        Ok(())
    }

    async fn join(&mut self) -> Result {
        self.commit().await?;
        let Some(group) = &mut self.group else { return Ok(()) };
        let Assigned { positions, bounds } = group.join().await?;
        if self.exit_at_end {
            self.stop_at = Some(bounds.iter().map(|(partition, bounds)| (partition.clone(), bounds.latest)).collect());
        }
        self.assign(positions);
        Ok(())
    }

    /// Reads these partitions, except those that are at their end already.
    pub fn assign(&mut self, positions: BTreeMap<TopicPartition, Offset>) {
        let ends = self.stop_at.as_ref();
        let open = |partition: &TopicPartition, position: Offset| {
            ends.is_none_or(|ends| ends.get(partition).is_some_and(|end| position < *end))
        };
        self.consumer.assign(positions.into_iter().filter(|(partition, position)| open(partition, *position)));
    }

    async fn commit(&mut self) -> Result {
        match &mut self.group {
            Some(group) => group.commit().await,
            None => Ok(()),
        }
    }

    async fn leave(self) -> Result {
        let Some(group) = self.group else { return Ok(()) };
        tokio::select! {
            left = group.leave() => left,
            // Who presses Ctrl-C again does not want to wait for a farewell.
            () = runtime::interrupted() => Ok(()),
        }
    }
}

async fn rebalance(group: &mut Option<Membership>) -> Result {
    match group {
        Some(group) => group.rebalance().await,
        None => std::future::pending().await,
    }
}
