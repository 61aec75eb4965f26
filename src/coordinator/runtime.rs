//! The task that runs one shard: mailbox, load, decide, append, replay, release.
//!
//! One task a led partition, from election to resignation. It sleeps unless a request, a commit or a deadline of the shard wakes it.
//! Invariants:
//! - requests are decided in the order of the mailbox; those that are waiting together share one appended batch;
//! - an answer leaves when the log is committed up to the end at which it was decided, and errors leave at once;
//! - if the log refuses an append or disagrees, the shard ([`super::active`]) is dropped and loaded again, and who waited in it is told
//!   to come back;
//! - without a shard, every request is answered at once.
//!
//! Errors that leave here are those that Kafka's CoordinatorRuntime throws; [`super::mailbox::client_error`] turns them into what clients
//! are told.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::ErrorCode;
use crate::base::ids::Offset;
use crate::base::time::{Clock, Mono};

use super::active::Active;
pub use super::active::Place;
use super::loader::{self, Loaded};
use super::log::CoordinatorLog;
use super::mailbox::{self, Envelope, Inbox, Mailbox};
use super::shard::Shard;

/// Requests decided before the batch is appended.
const DECIDED_AT_ONCE: usize = 128;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Starts the task that runs a shard at a place, until `stop` is called.
pub fn spawn<S: Shard, L: CoordinatorLog>(
    place: Place<L>,
    new_shard: impl Fn() -> S + Send + 'static,
    stop: CancellationToken,
) -> Mailbox<S> {
    let (mailbox, inbox) = mailbox::new();
    tokio::spawn(Runtime { place, stop, inbox }.run(new_shard));
    mailbox
}

/// Why a shard is no longer served.
enum Ended {
    Stopped,
    /// The log refused; the shard has to be loaded again.
    Failed(ErrorCode),
}

struct Runtime<S: Shard, L> {
    place: Place<L>,
    stop: CancellationToken,
    /// Notices wait in it while there is no shard.
    inbox: Inbox<S>,
}

impl<S: Shard, L: CoordinatorLog> Runtime<S, L> {
    async fn run(mut self, new_shard: impl Fn() -> S) {
        let mut retry = RETRY_MIN;
        loop {
            let ended = match self.load(new_shard()).await {
                Ok((shard, loaded)) => {
                    let served_from = self.place.clock.mono();
                    let ended = self.serve(shard, loaded).await;
                    if self.place.clock.mono().since(served_from) > RETRY_MAX {
                        retry = RETRY_MIN;
                    }
                    ended
                }
                Err(ended) => ended,
            };
            let refusal = match ended {
                Ended::Stopped => break,
                // Who leads now is not decided here: wait to be stopped, or replaced by the task of a later epoch.
                Ended::Failed(ErrorCode::NotLeaderOrFollower) => {
                    let _ = self.refuse(ErrorCode::NotLeaderOrFollower, None).await;
                    break;
                }
                Ended::Failed(error) => error,
            };
            tracing::warn!(partition = %self.place.log.topic_partition(), error = ?refusal, "the coordinator is loaded again in {retry:?}");
            if self.refuse(refusal, Some(retry)).await.is_err() {
                break;
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
        self.inbox.requests.close();
        while let Some(envelope) = self.inbox.requests.recv().await {
            let _ = envelope.reply.send(Err(ErrorCode::NotCoordinator));
        }
    }

    /// Answers every request with `error` for some time, or until stopped (`Err`).
    async fn refuse(&mut self, error: ErrorCode, time: Option<Duration>) -> Result<(), ()> {
        let until = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(()),
                () = &mut until => return Ok(()),
                envelope = self.inbox.requests.recv() => match envelope {
                    Some(envelope) => drop(envelope.reply.send(Err(error))),
                    None => return Err(()),
                },
            }
        }
    }

    /// Loads a shard on the blocking pool, and tells whoever asks meanwhile that it is loading.
    async fn load(&mut self, mut shard: S) -> Result<(S, Loaded), Ended> {
        let (log, stop, started) = (self.place.log.clone(), self.stop.clone(), self.place.clock.mono());
        let mut loading =
            tokio::task::spawn_blocking(move || loader::load(&*log, &mut shard, &stop).map(|loaded| (shard, loaded)));
        let loaded = loop {
            tokio::select! {
                biased;
                loaded = &mut loading => break loaded,
                envelope = self.inbox.requests.recv() => match envelope {
                    Some(envelope) => drop(envelope.reply.send(Err(ErrorCode::CoordinatorLoadInProgress))),
                    None => return Err(Ended::Stopped),
                },
            }
        };
        match loaded {
            Ok(Ok((shard, Some(loaded)))) => {
                tracing::debug!(
                    partition = %self.place.log.topic_partition(),
                    leader_epoch = self.place.leader_epoch,
                    records = loaded.records,
                    bytes = loaded.bytes,
                    "coordinator loaded in {:?}",
                    self.place.clock.mono().since(started)
                );
                Ok((shard, loaded))
            }
            Ok(Ok((_, None))) => Err(Ended::Stopped),
            Ok(Err(error)) => Err(Ended::Failed(error)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Serves requests until stopped or until the log fails.
    async fn serve(&mut self, shard: S, loaded: Loaded) -> Ended {
        let mut active = Active::new(self.place.clone(), shard, loaded);
        match self.serve_active(&mut active).await {
            Ok(()) => {
                active.end(ErrorCode::NotCoordinator);
                Ended::Stopped
            }
            Err(error) => {
                active.end(error);
                Ended::Failed(error)
            }
        }
    }

    async fn serve_active(&mut self, active: &mut Active<S, L>) -> Result<(), ErrorCode> {
        active.loaded()?;
        let Place { log, leader_epoch, clock, .. } = self.place.clone();
        let mut requests = Vec::with_capacity(DECIDED_AT_ONCE);
        let mut committed = Committed::nothing();
        loop {
            active.release()?;
            if let Some(end) = active.awaits().filter(|end| *end != committed.end) {
                committed = Committed { end, future: Box::pin(log.wait_committed(leader_epoch, end)) };
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                outcome = &mut committed.future => {
                    outcome?;
                    committed = Committed::nothing();
                }
                () = sleep_until(&clock, active.next_deadline()) => active.on_time()?,
                Some(notice) = self.inbox.notices.recv() => {
                    let at = active.at();
                    active.decide(&at, notice, None)?;
                    active.flush()?;
                }
                received = self.inbox.requests.recv_many(&mut requests, DECIDED_AT_ONCE) => {
                    if received == 0 {
                        return Ok(());
                    }
                    let at = active.at();
                    for Envelope { request, reply } in requests.drain(..) {
                        active.decide(&at, request, Some(reply))?;
                    }
                    active.flush()?;
                }
            }
        }
    }
}

/// A wait for one commit, kept while other things happen.
struct Committed {
    end: Offset,
    future: Pin<Box<dyn Future<Output = Result<(), ErrorCode>> + Send>>,
}

impl Committed {
    fn nothing() -> Self {
        Self { end: Offset::MIN, future: Box::pin(std::future::pending()) }
    }
}

async fn sleep_until(clock: &Clock, deadline: Option<Mono>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(clock.instant_of(deadline).into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(super) mod tests;
