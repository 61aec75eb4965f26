//! The way from a handler to a shard and back: a bounded line of requests, and an answer to await.
//!
//! Invariants: requests come out in the order in which they were submitted; every answer resolves, with an error if the shard ends first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;

use crate::base::ErrorCode;

use super::shard::Shard;

/// Requests that may wait in one mailbox; whoever comes later waits outside.
const MAILBOX: usize = 1024;

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
    /// Puts a request into the mailbox: requests are decided in the order of these calls. If the mailbox is full, the request keeps its
    /// place in the line before it, and gets in while its answer is awaited: that is the back-pressure its connection feels.
    pub fn submit(&self, request: S::Request) -> Answer<S> {
        self.send(request, false)
    }

    /// Like [`Mailbox::submit`], for what the shard must not miss: while it loads, the request is kept and not refused.
    pub fn submit_patiently(&self, request: S::Request) -> Answer<S> {
        self.send(request, true)
    }

    fn send(&self, request: S::Request, is_patient: bool) -> Answer<S> {
        let (reply, answer) = oneshot::channel();
        let envelope = match self.0.try_send(Envelope { request, reply, is_patient }) {
            Err(TrySendError::Full(envelope)) => envelope,
            // A closed mailbox drops the reply's sender with the envelope, which is how the answer learns of it.
            Ok(()) | Err(TrySendError::Closed(_)) => return Answer { queued: None, answer },
        };
        let mut place: Place<S> = Box::pin(self.0.clone().reserve_owned());
        // The first poll takes a place in the line.
        match (&mut place).now_or_never() {
            Some(permit) => {
                permit.map(|permit| permit.send(envelope)).ok();
                Answer { queued: None, answer }
            }
            None => Answer { queued: Some((place, envelope)), answer },
        }
    }
}

type Place<S> = Pin<Box<dyn Future<Output = Result<OwnedPermit<Envelope<S>>, SendError<()>>> + Send>>;

/// The answer to a submitted request, to be awaited. Dropping it does not take the request back.
#[must_use]
pub struct Answer<S: Shard> {
    /// The request, while it waits for room in the mailbox.
    queued: Option<(Place<S>, Envelope<S>)>,
    answer: oneshot::Receiver<Result<S::Response, ErrorCode>>,
}

impl<S: Shard> Future for Answer<S> {
    /// `NotCoordinator`, `CoordinatorLoadInProgress`, or the error of the log.
    type Output = Result<S::Response, ErrorCode>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((place, _)) = &mut self.queued {
            let permit = ready!(place.as_mut().poll(cx));
            let (_, envelope) = self.queued.take().expect("it was there a line ago");
            permit.map(|permit| permit.send(envelope)).ok();
        }
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(answer.unwrap_or(Err(ErrorCode::NotCoordinator)))
    }
}

impl<S: Shard> Unpin for Answer<S> {}

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
    use super::*;
    use crate::coordinator::runtime::tests::{Ask, Words};

    #[test]
    fn who_finds_the_mailbox_full_keeps_the_place_in_the_line() {
        let (mailbox, mut receiver) = new::<Words>();
        let mut answers: Vec<_> = (0..MAILBOX + 2).map(|_| mailbox.submit(Ask::Read)).collect();
        let (mut last, mut first_outside) = (answers.pop().unwrap(), answers.pop().unwrap());
        assert!(last.queued.is_some() && first_outside.queued.is_some());
        assert!(receiver.try_recv().is_ok(), "the mailbox is full");
        assert!((&mut last).now_or_never().is_none());
        assert!(last.queued.is_some(), "the room is for the one before");
        assert!((&mut first_outside).now_or_never().is_none());
        assert!(first_outside.queued.is_none(), "it is in now, and waits for its answer");
    }

    #[test]
    fn a_closed_mailbox_answers() {
        let (mailbox, receiver) = new::<Words>();
        drop(receiver);
        assert_eq!(mailbox.submit(Ask::Read).now_or_never(), Some(Err(ErrorCode::NotCoordinator)));
    }
}
