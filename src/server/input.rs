//! The receiving end of a connection: the buffer that frames are read into, and how far a peer is believed and waited for.
//!
//! The length of a frame is the peer's word. It is believed as far as the peer has shown that it sends such frames, so that four bytes never
//! make the broker hold a hundred mebibytes. Invariants, with `present` the bytes of the frame that are there:
//! - `capacity ≤ max(64 KiB, 2 × present, 2 × the largest frame ever taken)` while a frame is under way, up to its length;
//! - a frame larger than [`UNCOUNTED`] is not read before memory for it is reserved: all of it up to [`LENT_AT_ONCE`] or twice the largest frame
//!   taken, and then as much again as is present, each time that much has come;
//! - a frame under way grows by [`LEAST_RATE`] on average over any [`PATIENCE`] in which it is read, or the connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;

use super::limits::{RequestMemory, Reserved, UNCOUNTED};
use crate::protocol::frame::{self, Front, InvalidFrame};

/// First buffer of a connection that wakes up; large enough for everything but bulk produce.
const SMALL_BUFFER: usize = UNCOUNTED;
/// What is given to a frame of any length at once.
const BELIEVED: usize = 4 * SMALL_BUFFER;
/// A connection that sends large frames keeps a buffer of about their size, up to this.
const LARGE_BUFFER: usize = 4 << 20;
/// Memory for requests that a frame gets before any of it has come: so much is what honest frames need, and they need it whole. If all
/// that wait had some and needed more, none could go on.
const LENT_AT_ONCE: usize = 1 << 20;
/// How long a connection that fell silent keeps a large buffer.
pub const KEEP_BUFFER: Duration = Duration::from_secs(1);
/// Bytes a second that a frame under way has to bring.
const LEAST_RATE: u128 = 1024;
/// Over how long that is measured, and how long a frame waits for more memory while it holds some that others wait for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a frame under way is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stalled {
    #[error("a request that was begun has brought {brought} bytes in {millis} ms")]
    Peer { brought: usize, millis: u128 },
    #[error("no memory was left for the rest of a request of {size} bytes (queued.max.request.bytes)")]
    Memory { size: usize },
}

pub struct Input {
    buffer: BytesMut,
    memory: Arc<RequestMemory>,
    /// Whole size of the frame at the front of the buffer, once known to be incomplete; else 0.
    partial: usize,
    /// Memory of that frame.
    reserved: Option<Reserved>,
    memory_returned: Option<Pin<Box<OwnedNotified>>>,
    /// Size of the last large frame: what the buffer should hold.
    large_frame: usize,
    /// Size of the largest frame this connection ever sent whole.
    largest_frame: usize,
    /// How long a stalled frame is waited for.
    patience: Duration,
    /// Since when the rest of a frame is waited for, and how much of it was there then.
    waiting: Option<(Instant, usize)>,
    /// Since when a frame that holds memory waits for more.
    starving: Option<Instant>,
}

impl Input {
    /// `idle_after` is how long a silent connection is kept; a stalled frame is not waited for any longer.
    pub fn new(memory: Arc<RequestMemory>, idle_after: Duration) -> Self {
        Self {
            buffer: BytesMut::new(),
            memory,
            partial: 0,
            reserved: None,
            memory_returned: None,
            large_frame: 0,
            largest_frame: 0,
            patience: PATIENCE.min(idle_after),
            waiting: None,
            starving: None,
        }
    }

    /// Takes the next frame off the buffer, if it is all there, with the memory that is reserved for it.
    pub fn take(&mut self, limit: usize) -> Result<Option<(bytes::Bytes, Option<Reserved>)>, InvalidFrame> {
        match frame::take(&mut self.buffer, limit)? {
            Front::Frame(frame) => {
                (self.partial, self.waiting) = (0, None);
                if frame.len() > UNCOUNTED {
                    self.large_frame = frame.len();
                    self.largest_frame = self.largest_frame.max(frame.len());
                }
                Ok(Some((frame, self.reserved.take())))
            }
            Front::Partial { size } => {
                self.partial = size;
                Ok(None)
            }
            Front::Nothing => Ok(None),
        }
    }

    /// Reads more; 0 is the end of what the peer sends.
    pub fn poll_read(&mut self, stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if self.partial > UNCOUNTED {
                ready!(self.poll_reserve(cx));
            }
            if stream.poll_read_ready(cx)?.is_pending() {
                if !self.buffer.is_empty() && self.waiting.is_none() {
                    self.waiting = Some((Instant::now(), self.buffer.len()));
                }
                return Poll::Pending;
            }
            // A large frame is read to its end and not beyond, so that the next one starts an empty buffer and is not moved.
            let rest = self.partial.saturating_sub(self.buffer.len());
            let read = if self.partial > BELIEVED {
                self.buffer.reserve(self.believed(BELIEVED).saturating_sub(self.buffer.len()));
                stream.try_read_buf(&mut (&mut self.buffer).limit(rest))
            } else {
                let room = match self.large_frame {
                    0 => SMALL_BUFFER,
                    size => (size + SMALL_BUFFER / 4).clamp(BELIEVED, LARGE_BUFFER),
                };
                self.buffer.reserve(room.max(rest));
                stream.try_read_buf(&mut self.buffer)
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// How large the frame under way may become for now.
    fn believed(&self, at_once: usize) -> usize {
        self.partial.min(at_once.max(2 * self.buffer.len()).max(2 * self.largest_frame))
    }

    /// Waits until the frame under way has its share of the memory for requests.
    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let held = self.reserved.as_ref().map_or(0, Reserved::bytes);
        if held >= self.partial || (held > 0 && self.buffer.len() < held) {
            return Poll::Ready(());
        }
        let wanted = self.believed(LENT_AT_ONCE) - held;
        loop {
            let waiting = self.memory_returned.take();
            // The notification is requested before looking, so that memory returned in between is not missed.
            let mut returned = waiting.unwrap_or_else(|| Box::pin(self.memory.returned()));
            let _ = returned.as_mut().enable();
            if let Some(more) = self.memory.reserve(wanted) {
                self.reserved = Some(match self.reserved.take() {
                    Some(held) => held.and(more),
                    None => more,
                });
                self.starving = None;
                return Poll::Ready(());
            }
            if returned.as_mut().poll(cx).is_pending() {
                self.memory_returned = Some(returned);
                self.waiting = None;
                if held > 0 && self.starving.is_none() {
                    self.starving = Some(Instant::now());
                }
                return Poll::Pending;
            }
        }
    }

    /// Called when nothing is read for reasons of our own: then the peer is not to blame for the time that passes.
    pub fn pause(&mut self) {
        self.waiting = None;
    }

    /// Called when nothing comes: an empty buffer is given back; if it is to be kept for a while, that is told.
    pub fn rest(&mut self) -> bool {
        if !self.buffer.is_empty() || self.buffer.capacity() == 0 {
            return false;
        }
        if self.large_frame == 0 {
            self.buffer = BytesMut::new();
        }
        self.large_frame > 0
    }

    /// Gives back a buffer that was kept, if it is still not used.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.large_frame = 0;
        }
    }

    /// When [`Self::stalled`] is to be asked; `None` while no frame is waited for.
    pub fn stalls_at(&self) -> Option<Instant> {
        let since = self.waiting.map(|(since, _)| since).into_iter().chain(self.starving).min();
        since.map(|since| since + self.patience)
    }

    /// Whether the frame under way is to be given up. If it got on well enough, the next span begins.
    pub fn stalled(&mut self, now: Instant) -> Option<Stalled> {
        if self.starving.is_some_and(|since| now >= since + self.patience) {
            return Some(Stalled::Memory { size: self.partial });
        }
        let (since, present) = self.waiting.filter(|(since, _)| now >= *since + self.patience)?;
        let (brought, span) = (self.buffer.len() - present, now - since);
        if (brought as u128) * 1000 < LEAST_RATE * span.as_millis() {
            return Some(Stalled::Peer { brought, millis: span.as_millis() });
        }
        self.waiting = Some((now, self.buffer.len()));
        None
    }
}
