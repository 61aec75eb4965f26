//! What a handler gives back: the two phases of a reply.
//!
//! A handler runs to its end before the next frame of its connection is read; that is the ordered phase, where appends happen. What it
//! returns says how the answer comes about. Answers leave in request order whatever their kind.

use std::pin::Pin;

/// The waiting phase of a reply. It owns all it needs: the request's bytes may be gone when it is polled.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub enum Reply<T> {
    /// The answer is known.
    Now(T),
    /// The answer has to wait; the following requests of the connection are handled meanwhile.
    Later(Pending<T>),
    /// The answer has to wait, and no further request of the connection is looked at before: for requests whose effect the next one
    /// may depend on, as topic creation.
    Alone(Pending<T>),
    /// No answer at all: Produce with acks=0 that succeeded.
    Silent,
    /// Hang up: the only way to tell an acks=0 producer of an error, and Kafka's answer to nonsense.
    Close(&'static str),
}

impl<T> Reply<T> {
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Reply::Later(Box::pin(future))
    }

    pub fn alone(future: impl Future<Output = T> + Send + 'static) -> Self {
        Reply::Alone(Box::pin(future))
    }
}
