//! The loop of `klamm consume`: what comes is written, until there is a reason to stop.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use super::latest::Latest;
use super::membership::{Assigned, COMMIT_INTERVAL, Membership};
use super::printer::Printer;
use crate::base::ids::{Offset, TopicPartition};
use crate::cli::bounds::{Bounds, bounds};
use crate::cli::error::{CliError, Result};
use crate::cli::output::note;
use crate::cli::runtime;
use crate::client::consumer::{Fetched, Polled};
use crate::client::offsets::IsolationLevel;
use crate::client::{Client, Consumer};

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
    /// Whether there is an end to come to: whoever is interrupted before it has not done what was asked.
    pub ends: bool,
    /// How long to wait for a record.
    pub idle: Option<Duration>,
    /// The latest records, to be written at the end.
    pub latest: Option<Latest>,
}

impl Reading {
    /// Reads until everything that was wanted is written, nothing comes any more, or somebody presses Ctrl-C.
    pub async fn run(mut self) -> Result {
        let mut interrupted = pin!(runtime::interrupted());
        let result = match self.group.is_some() {
            true => tokio::select! {
                joined = self.join() => joined,
                () = &mut interrupted => Err(CliError::Interrupted),
            },
            false => Ok(()),
        };
        let result = match result {
            Ok(()) => self.read(interrupted).await,
            Err(error) => Err(error),
        };
        let result = match result {
            Err(CliError::Interrupted) if !self.ends => Ok(()),
            result => result,
        };
        let written = self.write_latest();
        let left = self.leave().await;
        written.and(left).and(result)
    }

    async fn read(&mut self, mut interrupted: std::pin::Pin<&mut impl Future<Output = ()>>) -> Result {
        let mut commit = interval(COMMIT_INTERVAL);
        let mut last = Instant::now();
        loop {
            if self.is_complete() {
                let again = self.latest.as_mut().map(Latest::further_back).unwrap_or_default();
                if again.is_empty() {
                    return Ok(());
                }
                self.assign(again);
                continue;
            }
            let idle_left = self.idle.map(|idle| idle.saturating_sub(last.elapsed()));
            tokio::select! {
                polled = self.consumer.poll() => match polled? {
                    Polled::Records(fetched) => {
                        if !fetched.records.is_empty() {
                            last = Instant::now();
                        }
                        self.on_records(fetched)?;
                    }
                    Polled::OutOfRange { partition, offset } => self.on_out_of_range(&partition, offset).await?,
                },
                rebalance = rebalance(&mut self.group) => {
                    rebalance?;
                    self.join().await?;
                }
                _ = commit.tick(), if self.group.is_some() => self.commit().await?,
                () = sleep(idle_left.unwrap_or_default()), if idle_left.is_some() => return Ok(()),
                () = &mut interrupted => return Err(CliError::Interrupted),
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.printer.is_full() || self.stop_at.is_some() && self.consumer.is_empty()
    }

    fn on_records(&mut self, fetched: Fetched) -> Result {
        let Fetched { partition, records, position, .. } = fetched;
        let stop = self.stop_at.as_ref().and_then(|ends| ends.get(&partition)).copied().unwrap_or(Offset::MAX);
        let mut done = position.min(stop);
        for record in records {
            if record.offset >= stop {
                break;
            }
            if let Some(latest) = &mut self.latest {
                latest.keep(&partition, record);
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

    fn write_latest(&mut self) -> Result {
        for (partition, record) in self.latest.take().into_iter().flat_map(Latest::into_records) {
            self.printer.write(&partition.topic, partition.partition, &record)?;
        }
        self.printer.flush()
    }

    /// The log has moved on, or was cut: goes on where it begins or ends now.
    async fn on_out_of_range(&mut self, partition: &TopicPartition, offset: Offset) -> Result {
        let found = bounds(&self.client, std::slice::from_ref(partition), self.isolation).await?;
        let Some(Bounds { earliest, latest }) = found.get(partition).copied() else { return Ok(()) };
        let (next, why) = match offset {
            _ if offset < earliest => (earliest, "were deleted"),
            _ if offset > latest => (latest, "are not there any more"),
            // They are there by now.
            _ => {
                self.consumer.seek(partition, offset);
                return Ok(());
            }
        };
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
