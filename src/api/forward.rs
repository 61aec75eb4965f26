//! Requests that the controller answers: what it decides, and what only it knows.
//!
//! The answer to a change leaves once this broker itself acts on it, so the client's next request sees it, which Kafka does not promise.
//! A refusal of the whole request is told in the form that its response has for one: usually on every element.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::reply::Reply;
use super::session::Context;
use crate::base::ErrorCode;
use crate::controller::{ApiError, ControllerHandle};

/// For requests whose own timeout does not count, or that have none (`request.timeout.ms` of a broker that forwards).
pub const FORWARD_TIMEOUT_MS: i32 = 30_000;
/// Kafka's clock stops when the controller begins to decide, ours when the decision is durable and followed. So that a client with a very
/// short timeout is not told of failure where Kafka would have succeeded, the disk gets this long.
const LEAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks for what changes nothing. The connection's next requests are handled meanwhile.
pub fn ask<D, R, T>(
    cx: &Context,
    question: impl FnOnce(ControllerHandle) -> D,
    respond: impl FnOnce(Result<R, ApiError>) -> T + Send + 'static,
) -> Reply<T>
where
    D: Future<Output = Result<R, ApiError>> + Send + 'static,
    R: Send,
{
    let answer = question(cx.broker().controller.clone());
    Reply::later(async move {
        let answer = timeout(Duration::from_millis(FORWARD_TIMEOUT_MS as u64), answer).await;
        respond(answer.unwrap_or_else(|_| Err(ErrorCode::RequestTimedOut.into())))
    })
}

/// Has the controller decide, and makes the response of what it says. `timeout_ms` is the request's: 0 or less is REQUEST_TIMED_OUT at once, with
/// nothing done, as in Kafka's controller.
pub fn mutate<D, R, T>(
    cx: &Context,
    timeout_ms: i32,
    decide: impl FnOnce(ControllerHandle) -> D,
    respond: impl FnOnce(Result<R, ApiError>) -> T + Send + 'static,
) -> Reply<T>
where
    D: Future<Output = Result<R, ApiError>> + Send + 'static,
    R: Send,
{
    if timeout_ms <= 0 {
        return Reply::Now(respond(Err(ErrorCode::RequestTimedOut.into())));
    }
    let broker = cx.broker().clone();
    let deadline = Instant::now() + Duration::from_millis(timeout_ms as u64).max(LEAST_TIMEOUT);
    let decision = decide(broker.controller.clone());
    Reply::alone(async move {
        let decided = timeout_at(deadline, decision).await.unwrap_or_else(|_| Err(ErrorCode::RequestTimedOut.into()));
        if decided.is_ok() {
            // Decided it is; if this broker is slow to follow, the client has to hear of it nevertheless.
            let _ = timeout_at(deadline, broker.catch_up()).await;
        }
        respond(decided)
    })
}
