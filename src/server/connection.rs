//! One connection, one task: reads frames, has them handled in order, writes the answers in the same order.
//!
//! A wake-up goes round this loop until nothing moves: collect answers that became ready → write everything queued with one `writev` →
//! handle every complete frame in the buffer → read. So all requests of one read are answered with one write.
//!
//! Invariants: answers leave in request order; at most [`MAX_IN_FLIGHT`] answers wait; while more than [`MAX_UNSENT`] bytes of answers are here,
//! or a request stands alone ([`Reply::Alone`](crate::api::reply::Reply)), no further frame is handled and soon none is read: that is the
//! back-pressure. No buffer is held while a connection is idle.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::input::{Input, KEEP_BUFFER, Stalled};
use super::limits::{RequestMemory, Reserved};
use crate::api::reply::Pending;
use crate::api::session::Session;
use crate::api::{self, Dispatched, Handled};
use crate::metrics::Exchange;
use crate::protocol::outbox::Outbox;

/// Answers that may wait on one connection before its requests are no longer looked at.
const MAX_IN_FLIGHT: usize = 128;
/// Bytes of answers above which requests are no longer looked at: one large fetch answer may be on its way while the next is prepared.
const MAX_UNSENT: usize = 1 << 20;
/// Parts of one `writev`.
const WRITE_PARTS: usize = 64;

/// Why a connection ended.
#[derive(Debug)]
pub enum Closed {
    /// The peer hung up, between two requests or in the middle of one.
    ByPeer,
    /// Nothing was sent or received for `connections.max.idle.ms`.
    Idle,
    /// The broker stops.
    Stopping,
    /// The peer began a request and does not go on with it.
    Stalled(Stalled),
    /// The peer sent what Kafka answers by hanging up; the text says what.
    Refused(String),
    Io(io::Error),
}

enum Answer {
    Ready(Outbox),
    Waiting { future: Pending<(Outbox, i16)>, alone: bool },
}

struct Queued {
    answer: Answer,
    measured: Measured,
    _memory: Option<Reserved>,
}

/// A request on its way through, for the metrics.
struct Measured {
    row: usize,
    exchange: Exchange,
    /// When the phase before ended.
    since: Instant,
}

impl Measured {
    /// The time since the phase before ended; the next phase begins.
    fn lap(&mut self, now: Instant) -> u64 {
        let took = now.saturating_duration_since(self.since).as_nanos() as u64;
        self.since = now;
        took
    }
}

pub struct Connection {
    stream: TcpStream,
    session: Arc<Session>,
    frame_limit: usize,
    input: Input,
    answers: VecDeque<Queued>,
    /// Bytes of answers that are ready and wait for one before them.
    held_up: usize,
    outbox: Outbox,
    /// Requests whose answers are in the outbox, or were none.
    unsent: SmallVec<[Measured; 1]>,
    peer_done: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer goes off.
    timer_at: Instant,
    /// An empty buffer is kept, for a while.
    keeps_buffer: bool,
    idle_after: Duration,
    last_active: Instant,
    /// When bytes last came in.
    last_read: Instant,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: bool,
}

impl Connection {
    pub fn new(
        stream: TcpStream,
        session: Arc<Session>,
        memory: Arc<RequestMemory>,
        frame_limit: usize,
        idle_after: Duration,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            session,
            frame_limit,
            input: Input::new(memory, idle_after),
            answers: VecDeque::new(),
            held_up: 0,
            outbox: Outbox::default(),
            unsent: SmallVec::new(),
            peer_done: false,
            timer: Box::pin(tokio::time::sleep(idle_after)),
            timer_at: now + idle_after,
            keeps_buffer: false,
            idle_after,
            last_active: now,
            last_read: now,
            stop: Box::pin(stop.cancelled_owned()),
            stopping: false,
        }
    }

    /// Serves the connection until it ends.
    pub async fn serve(mut self) -> Closed {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        if !self.stopping && self.stop.as_mut().poll(cx).is_ready() {
            self.stopping = true;
        }
        if let Poll::Ready(closed) = self.poll_timer(cx) {
            return Poll::Ready(closed);
        }
        loop {
            self.collect_answers(cx);
            if let Poll::Ready(Err(e)) = self.poll_write(cx) {
                return Poll::Ready(Closed::Io(e));
            }
            if self.finished() {
                return Poll::Ready(if self.stopping { Closed::Stopping } else { Closed::ByPeer });
            }
            match self.handle_frames() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(closed) => return Poll::Ready(closed),
            }
            if self.is_full() || self.peer_done || self.stopping {
                // Only an answer, a write or the stop can move things on; each of them wakes this task.
                self.input.pause();
                return Poll::Pending;
            }
            let Poll::Ready(read) = self.input.poll_read(&self.stream, cx) else {
                self.rest();
                return Poll::Pending;
            };
            match read {
                Ok(0) => self.peer_done = true,
                Ok(_) => {
                    self.last_read = Instant::now();
                    self.last_active = self.last_read;
                }
                Err(e) => return Poll::Ready(Closed::Io(e)),
            }
        }
    }

    /// Moves answers to the outbox as far as they are ready, in order.
    fn collect_answers(&mut self, cx: &mut Context<'_>) {
        while let Some(front) = self.answers.front_mut() {
            let outbox = match &mut front.answer {
                Answer::Ready(outbox) => {
                    self.held_up -= outbox.len();
                    std::mem::take(outbox)
                }
                Answer::Waiting { future, .. } => match future.as_mut().poll(cx) {
                    Poll::Ready((outbox, error_code)) => {
                        front.measured.exchange.remote_ns = front.measured.lap(Instant::now());
                        front.measured.exchange.response_bytes = outbox.len();
                        front.measured.exchange.error_code = error_code;
                        outbox
                    }
                    Poll::Pending => return,
                },
            };
            self.outbox.append(outbox);
            self.unsent.extend(self.answers.pop_front().map(|answered| answered.measured));
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            ready!(self.stream.poll_write_ready(cx))?;
            let mut parts = [IoSlice::new(&[]); WRITE_PARTS];
            let filled = self.outbox.fill(&mut parts);
            match self.stream.try_write_vectored(&parts[..filled]) {
                Ok(written) => {
                    self.outbox.written(written);
                    self.last_active = Instant::now();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        self.record_sent();
        Poll::Ready(Ok(()))
    }

    /// Everything in the outbox is on its way: the requests behind it are done.
    fn record_sent(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let now = Instant::now();
        let apis = &self.session.broker.metrics.apis;
        for mut measured in self.unsent.drain(..) {
            measured.exchange.send_ns = measured.lap(now);
            apis[measured.row].record(&measured.exchange);
        }
    }

    /// Nothing more will be read and all that could be answered is sent. A peer that hung up does not wait for pending answers.
    fn finished(&self) -> bool {
        self.outbox.is_empty() && (self.peer_done || (self.stopping && self.answers.is_empty()))
    }

    fn is_full(&self) -> bool {
        let alone = self.answers.back().is_some_and(|q| matches!(q.answer, Answer::Waiting { alone: true, .. }));
        alone || self.answers.len() >= MAX_IN_FLIGHT || self.outbox.len() + self.held_up >= MAX_UNSENT
    }

    /// Handles what is complete in the buffer; whether that produced anything to send.
    fn handle_frames(&mut self) -> Result<bool, Closed> {
        let mut handled = false;
        let mut started = None;
        while !self.is_full() && !self.stopping {
            let taken = self.input.take(self.frame_limit).map_err(|invalid| Closed::Refused(invalid.to_string()))?;
            let Some((frame, memory)) = taken else { break };
            handled = true;
            let mut aside = Outbox::default();
            let in_turn = self.answers.is_empty();
            let request_bytes = frame.len();
            // A request begins when the one before it was handled.
            let begin = *started.get_or_insert_with(Instant::now);
            let outbox = if in_turn { &mut self.outbox } else { &mut aside };
            let before = outbox.len();
            let Dispatched { row, version, handled: outcome } =
                api::dispatch(&self.session, frame, outbox).map_err(Closed::Refused)?;
            let response_bytes = outbox.len() - before;
            let exchange = Exchange { version, request_bytes, response_bytes, ..Exchange::default() };
            let mut measured = Measured { row, exchange, since: self.last_read };
            let end = Instant::now();
            started = Some(end);
            measured.exchange.queue_ns = measured.lap(begin);
            measured.exchange.local_ns = measured.lap(end);
            match outcome {
                Handled::Done { error_code } => {
                    measured.exchange.error_code = error_code;
                    match in_turn {
                        true => self.unsent.push(measured),
                        false => {
                            self.held_up += aside.len();
                            self.answers.push_back(Queued { answer: Answer::Ready(aside), measured, _memory: None });
                        }
                    }
                }
                Handled::Waiting { future, alone } => {
                    self.answers.push_back(Queued { answer: Answer::Waiting { future, alone }, measured, _memory: memory });
                }
                Handled::Close(reason) => return Err(Closed::Refused(reason)),
            }
        }
        Ok(handled)
    }

    /// Called when there is nothing to read: memory is given back, and the timer set for what is waited for.
    fn rest(&mut self) {
        self.outbox.release_memory();
        self.unsent.shrink_to_fit();
        self.keeps_buffer = self.input.rest();
        let due = self.keeps_buffer.then(|| Instant::now() + KEEP_BUFFER).into_iter().chain(self.input.stalls_at()).min();
        if let Some(due) = due.filter(|due| *due < self.timer_at) {
            self.set_timer(due);
        }
    }

    fn set_timer(&mut self, at: Instant) {
        self.timer_at = at;
        self.timer.as_mut().reset(at.into());
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(stalled) = self.input.stalled(now) {
                return Poll::Ready(Closed::Stalled(stalled));
            }
            let silent = now.saturating_duration_since(self.last_active);
            if silent >= self.idle_after {
                // Who has an answer to come may wait for it; who does not take the one that is there may not.
                if self.answers.is_empty() || !self.outbox.is_empty() {
                    return Poll::Ready(Closed::Idle);
                }
                self.last_active = now;
            }
            let mut due = self.last_active + self.idle_after;
            if self.keeps_buffer && silent >= KEEP_BUFFER {
                self.keeps_buffer = false;
                self.input.release();
            } else if self.keeps_buffer {
                due = due.min(self.last_active + KEEP_BUFFER);
            }
            self.set_timer(self.input.stalls_at().map_or(due, |stalls_at| due.min(stalls_at)));
        }
        Poll::Pending
    }
}
