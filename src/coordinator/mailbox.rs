//! The way from a handler to a shard and back: a bounded line of requests, and an answer to await.
//!
//! Invariants: requests come out in the order in which they were submitted; every answer resolves, with an error if the shard ends first;
//! nobody who does not await an answer keeps others out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::base::ErrorCode;

use super::shard::Shard;

/// Requests that may wait in one mailbox. Deciding one takes microseconds: a full mailbox means that the log does not take appends any more.
const MAILBOX: usize = 8192;

pub(super) type Reply<R> = oneshot::Sender<Result<R, ErrorCode>>;

pub(super) struct Envelope<S: Shard> {
    pub request: S::Request,
    pub reply: Reply<S::Response>,
    /// Waits for a load to end instead of being refused.
    pub is_patient: bool,
}

/// A mailbox and the end at which its runtime receives.
pub(super) fn new<S: Shard>() -> (Mailbox<S>, mpsc::Receiver<Envelope<S>>) {
    let (sender, receiver) = mpsc::channel(MAILBOX);
    (Mailbox(sender), receiver)
}

/// The way to a running shard. Cheap to clone.
pub struct Mailbox<S: Shard>(mpsc::Sender<Envelope<S>>);

impl<S: Shard> Clone for Mailbox<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Shard> Mailbox<S> {
    /// Puts a request into the mailbox; requests are decided in the order of these calls. A full mailbox refuses it: holding the client's
    /// connection up would hold up others, whose answers may be what this shard waits for.
    pub fn submit(&self, request: S::Request) -> Answer<S::Response> {
        let (reply, answer) = oneshot::channel();
        match self.0.try_send(Envelope { request, reply, is_patient: false }) {
            Ok(()) => {}
            Err(TrySendError::Full(envelope)) => drop(envelope.reply.send(Err(ErrorCode::CoordinatorNotAvailable))),
            // The envelope's end of the answer is dropped, which tells.
            Err(TrySendError::Closed(_)) => {}
        }
        Answer(answer)
    }

    /// For what the shard must not miss: waits for room, and is kept while the shard loads.
    pub async fn submit_patiently(self, request: S::Request) -> Result<S::Response, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Envelope { request, reply, is_patient: true }).await;
        Answer(answer).await
    }
}

/// The answer to a submitted request, to be awaited. Dropping it does not take the request back.
#[must_use]
#[derive(Debug)]
pub struct Answer<R>(oneshot::Receiver<Result<R, ErrorCode>>);

impl<R> Future for Answer<R> {
    /// `NotCoordinator`, `CoordinatorLoadInProgress`, `CoordinatorNotAvailable`, or the error of the log.
    type Output = Result<R, ErrorCode>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(ErrorCode::NotCoordinator)))
    }
}

/// What a client is told when the runtime or the log refuses (`CoordinatorOperationExceptionHelper.handleOperationException`).
pub fn client_error(error: ErrorCode) -> ErrorCode {
    use ErrorCode::*;
    match error {
        // Verifying a transaction may fail this way, and older clients retry a loading coordinator but not this.
        NetworkException => CoordinatorLoadInProgress,
        UnknownTopicOrPartition | NotEnoughReplicas | RequestTimedOut => CoordinatorNotAvailable,
        NotLeaderOrFollower | KafkaStorageError => NotCoordinator,
        MessageTooLarge | RecordListTooLarge | InvalidFetchSize => UnknownServerError,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::coordinator::runtime::tests::{Ask, Words};

    #[test]
    fn a_full_mailbox_refuses_at_once() {
        let (mailbox, mut receiver) = new::<Words>();
        let mut waiting: Vec<_> = (0..MAILBOX).map(|_| mailbox.submit(Ask::Read)).collect();
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), Some(Err(ErrorCode::CoordinatorNotAvailable)));
        assert_eq!(waiting.remove(0).now_or_never(), None);
        assert!(receiver.try_recv().is_ok());
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), None, "there is room again");
    }

    #[test]
    fn a_closed_mailbox_answers() {
        let (mailbox, receiver) = new::<Words>();
        drop(receiver);
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), Some(Err(ErrorCode::NotCoordinator)));
        assert_eq!(mailbox.submit_patiently(Ask::Read).now_or_never(), Some(Err(ErrorCode::NotCoordinator)));
    }
}
