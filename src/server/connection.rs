//! One connection, one task: reads frames, has them handled in order, writes the answers in the same order.
//!
//! A wake-up goes round this loop until nothing moves: collect answers that became ready → write everything queued with one `writev` →
//! handle every complete frame in the buffer → read. So all requests of one read are answered with one write.
//!
//! Invariants: answers leave in request order; at most [`MAX_IN_FLIGHT`] answers wait; while more than [`MAX_UNSENT`] bytes are unsent,
//! or a request stands alone ([`Reply::Alone`](crate::api::reply::Reply)), no further frame is handled and soon none is read: that is the
//! back-pressure. No buffer is held while a connection is idle.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::limits::{RequestMemory, Reserved, UNCOUNTED};
use crate::api::reply::Pending;
use crate::api::session::Session;
use crate::api::{self, Handled};
use crate::protocol::frame::{self, Front};
use crate::protocol::outbox::Outbox;

/// Answers that may wait on one connection before its requests are no longer looked at.
const MAX_IN_FLIGHT: usize = 128;
/// Unsent bytes above which requests are no longer looked at: one large fetch answer may be on its way while the next is prepared.
const MAX_UNSENT: usize = 1 << 20;
/// First buffer of a connection that wakes up; large enough for everything but bulk produce.
const SMALL_BUFFER: usize = UNCOUNTED;
/// A connection that sends large frames keeps a buffer of about their size, up to this.
const LARGE_BUFFER: usize = 4 << 20;
/// Parts of one `writev`.
const WRITE_PARTS: usize = 64;
/// How long a connection that fell silent keeps a large buffer.
const KEEP_BUFFER: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub enum Closed {
    /// The peer hung up, between two requests or in the middle of one.
    ByPeer,
    /// Nothing was sent or received for `connections.max.idle.ms`.
    Idle,
    /// The broker stops.
    Stopping,
    /// The peer sent what Kafka answers by hanging up; the text says what.
    Refused(String),
    Io(io::Error),
}

enum Answer {
    Ready(Outbox),
    Waiting { future: Pending<Outbox>, alone: bool },
}

struct Queued {
    answer: Answer,
    _memory: Option<Reserved>,
}

pub struct Connection {
    stream: TcpStream,
    session: Arc<Session>,
    memory: Arc<RequestMemory>,
    frame_limit: usize,
    input: BytesMut,
    /// Whole size of the frame at the front of `input`, once known to be incomplete; else 0.
    partial: usize,
    /// Memory of the frame that is being read.
    reserved: Option<Reserved>,
    memory_returned: Option<Pin<Box<OwnedNotified>>>,
    /// Size of the last large frame: what the buffer should hold.
    large_frame: usize,
    answers: VecDeque<Queued>,
    outbox: Outbox,
    peer_done: bool,
    timer: Pin<Box<Sleep>>,
    timer_is_for_buffer: bool,
    idle_after: Duration,
    last_active: Instant,
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
        Self {
            stream,
            session,
            memory,
            frame_limit,
            input: BytesMut::new(),
            partial: 0,
            reserved: None,
            memory_returned: None,
            large_frame: 0,
            answers: VecDeque::new(),
            outbox: Outbox::default(),
            peer_done: false,
            timer: Box::pin(tokio::time::sleep(idle_after)),
            timer_is_for_buffer: false,
            idle_after,
            last_active: Instant::now(),
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
                return Poll::Pending;
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => self.peer_done = true,
                Ok(_) => self.last_active = Instant::now(),
                Err(e) => return Poll::Ready(Closed::Io(e)),
            }
        }
    }

    /// Moves answers to the outbox as far as they are ready, in order.
    fn collect_answers(&mut self, cx: &mut Context<'_>) {
        while let Some(front) = self.answers.front_mut() {
            let outbox = match &mut front.answer {
                Answer::Ready(outbox) => std::mem::take(outbox),
                Answer::Waiting { future, .. } => match future.as_mut().poll(cx) {
                    Poll::Ready(outbox) => outbox,
                    Poll::Pending => return,
                },
            };
            self.outbox.append(outbox);
            self.answers.pop_front();
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
        Poll::Ready(Ok(()))
    }

    /// Nothing more will be read and all that could be answered is sent. A peer that hung up does not wait for pending answers.
    fn finished(&self) -> bool {
        self.outbox.is_empty() && (self.peer_done || (self.stopping && self.answers.is_empty()))
    }

    fn is_full(&self) -> bool {
        let alone = self.answers.back().is_some_and(|q| matches!(q.answer, Answer::Waiting { alone: true, .. }));
        alone || self.answers.len() >= MAX_IN_FLIGHT || self.outbox.len() >= MAX_UNSENT
    }

    /// Handles what is complete in the buffer; whether that produced anything to send.
    fn handle_frames(&mut self) -> Result<bool, Closed> {
        let mut handled = false;
        while !self.is_full() && !self.stopping {
            let frame = match frame::take(&mut self.input, self.frame_limit) {
                Ok(Front::Frame(frame)) => frame,
                Ok(Front::Partial { size }) => {
                    self.partial = size;
                    break;
                }
                Ok(Front::Nothing) => break,
                Err(invalid) => return Err(Closed::Refused(invalid.to_string())),
            };
            self.partial = 0;
            handled = true;
            if frame.len() > UNCOUNTED {
                self.large_frame = frame.len();
            }
            let memory = self.reserved.take();
            let mut aside = Outbox::default();
            let in_turn = self.answers.is_empty();
            match api::dispatch(&self.session, frame, if in_turn { &mut self.outbox } else { &mut aside }) {
                Handled::Done if in_turn => {}
                Handled::Done => self.answers.push_back(Queued { answer: Answer::Ready(aside), _memory: None }),
                Handled::Waiting { future, alone } => {
                    self.answers.push_back(Queued { answer: Answer::Waiting { future, alone }, _memory: memory });
                }
                Handled::Close(reason) => return Err(Closed::Refused(reason)),
            }
        }
        Ok(handled)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.partial > UNCOUNTED && self.reserved.is_none() {
                ready!(self.poll_reserve(cx));
            }
            if self.stream.poll_read_ready(cx)?.is_pending() {
                self.rest();
                return Poll::Pending;
            }
            // A large frame is read to its end and not beyond, so that the next one starts an empty buffer and is not moved.
            let exactly = (self.partial > 4 * SMALL_BUFFER).then(|| self.partial - self.input.len());
            let room = exactly.unwrap_or_else(|| match self.large_frame {
                0 => SMALL_BUFFER,
                size => (size + SMALL_BUFFER / 4).clamp(4 * SMALL_BUFFER, LARGE_BUFFER),
            });
            self.input.reserve(room.max(self.partial.saturating_sub(self.input.len())));
            let read = match exactly {
                Some(limit) => self.stream.try_read_buf(&mut (&mut self.input).limit(limit)),
                None => self.stream.try_read_buf(&mut self.input),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Waits until the frame that is being read has its share of the memory for requests.
    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let waiting = self.memory_returned.take();
            // The notification is requested before looking, so that memory returned in between is not missed.
            let mut returned = waiting.unwrap_or_else(|| Box::pin(self.memory.returned()));
            let _ = returned.as_mut().enable();
            if let Some(reserved) = self.memory.reserve(self.partial) {
                self.reserved = Some(reserved);
                return Poll::Ready(());
            }
            if returned.as_mut().poll(cx).is_pending() {
                self.memory_returned = Some(returned);
                return Poll::Pending;
            }
        }
    }

    /// Called when there is nothing to read: an empty buffer is given back, a large one after a while.
    fn rest(&mut self) {
        self.outbox.release_memory();
        if !self.input.is_empty() || self.input.capacity() == 0 {
            return;
        }
        if self.large_frame == 0 {
            self.input = BytesMut::new();
        } else if !self.timer_is_for_buffer {
            self.timer_is_for_buffer = true;
            self.timer.as_mut().reset(tokio::time::Instant::now() + KEEP_BUFFER);
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let silent = self.last_active.elapsed();
            if self.timer_is_for_buffer && silent < KEEP_BUFFER {
                self.timer.as_mut().reset(tokio::time::Instant::now() + KEEP_BUFFER);
                continue;
            }
            if self.timer_is_for_buffer {
                self.timer_is_for_buffer = false;
                if self.input.is_empty() {
                    self.input = BytesMut::new();
                    self.large_frame = 0;
                }
            } else if silent >= self.idle_after {
                if self.answers.is_empty() {
                    return Poll::Ready(Closed::Idle);
                }
                self.last_active = Instant::now();
            }
            let idle_at = self.last_active + self.idle_after;
            self.timer.as_mut().reset(idle_at.into());
        }
        Poll::Pending
    }
}
