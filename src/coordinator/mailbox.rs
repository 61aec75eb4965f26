//! The way from a handler to a shard and back: a bounded line of requests, and an answer to await.
//!
//! Beside the line stand notices: what the broker itself tells the shard, rarely, and what the shard must not miss.
//!
//! Invariants: requests come out in the order in which they were submitted; every answer resolves, with an error if the shard ends first;
//! nobody who does not await an answer keeps others out; a notice is kept until there is a shard to decide it.

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
}

/// The ends at which a runtime receives.
pub(super) struct Inbox<S: Shard> {
    pub requests: mpsc::Receiver<Envelope<S>>,
    pub notices: mpsc::UnboundedReceiver<S::Request>,
}

pub(super) fn new<S: Shard>() -> (Mailbox<S>, Inbox<S>) {
    let (requests, requests_in) = mpsc::channel(MAILBOX);
    let (notices, notices_in) = mpsc::unbounded_channel();
    (Mailbox { requests, notices }, Inbox { requests: requests_in, notices: notices_in })
}

/// The way to a running shard. Cheap to clone.
pub struct Mailbox<S: Shard> {
    requests: mpsc::Sender<Envelope<S>>,
    notices: mpsc::UnboundedSender<S::Request>,
}

impl<S: Shard> Clone for Mailbox<S> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), notices: self.notices.clone() }
    }
}

impl<S: Shard> Mailbox<S> {
    /// Puts a request into the mailbox; requests are decided in the order of these calls. A full mailbox refuses it: holding the client's
    /// connection up would hold up others, whose answers may be what this shard waits for.
    pub fn submit(&self, request: S::Request) -> Answer<S::Response> {
        let (reply, answer) = oneshot::channel();
        match self.requests.try_send(Envelope { request, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(envelope)) => drop(envelope.reply.send(Err(ErrorCode::CoordinatorNotAvailable))),
            // The envelope's end of the answer is dropped, which tells.
            Err(TrySendError::Closed(_)) => {}
        }
        Answer(answer)
    }

    /// Tells the shard something, before all requests that are submitted later. Nobody is answered.
    pub fn notify(&self, notice: S::Request) {
        // A shard that has ended has no use for it.
        let _ = self.notices.send(notice);
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
        let (mailbox, mut inbox) = new::<Words>();
        let mut waiting: Vec<_> = (0..MAILBOX).map(|_| mailbox.submit(Ask::Read)).collect();
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), Some(Err(ErrorCode::CoordinatorNotAvailable)));
        assert_eq!(waiting.remove(0).now_or_never(), None);
        assert!(inbox.requests.try_recv().is_ok());
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), None, "there is room again");
    }

    #[test]
    fn a_closed_mailbox_answers() {
        let (mailbox, inbox) = new::<Words>();
        drop(inbox);
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), Some(Err(ErrorCode::NotCoordinator)));
        mailbox.notify(Ask::Read);
    }
}
