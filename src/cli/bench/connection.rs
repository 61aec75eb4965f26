//! One connection under load: a ring of request frames and a buffer of answers, on a socket that never blocks.
//!
//! Invariants: `answered ≤ written ≤ queued ≤ answered + depth`. Request `n` lives in slot `n mod depth`, which is free again once
//! the answer is there: frames are patched and sent where they lie, and never copied.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::error::{BenchError, Result};
use super::frame::{self, LENGTH_LEN};

/// Slices in one `writev`: more gains nothing, and the kernel takes 1,024 at most.
const GATHER_MAX: usize = 64;
const INBOX_LEN: usize = 64 << 10;
/// The largest answer that is believed. Kafka's own limit for a Fetch is 55 MiB.
const ANSWER_LEN_MAX: usize = 256 << 20;

struct Slot {
    frame: Vec<u8>,
    /// When the request was due; its latency counts from here.
    intended: Instant,
}

pub struct Connection {
    socket: TcpStream,
    address: String,
    slots: Vec<Slot>,
    queued: u64,
    written: u64,
    answered: u64,
    /// Bytes of request `written` that the kernel already took.
    partial: usize,
    blocked: bool,
    inbox: Vec<u8>,
    /// `inbox[begin..end]` was read and not yet handed out.
    begin: usize,
    end: usize,
}

impl Connection {
    /// Connects; `template` is copied into each of `depth` slots.
    pub fn open(address: &str, depth: usize, template: &[u8]) -> Result<Self> {
        let io = |operation| move |source| BenchError::Io { address: address.to_owned(), operation, source };
        let socket = TcpStream::connect(address).map_err(io("connect"))?;
        socket.set_nodelay(true).map_err(io("set TCP_NODELAY"))?;
        socket.set_nonblocking(true).map_err(io("set non-blocking"))?;
        let now = Instant::now();
        Ok(Self {
            socket,
            address: address.to_owned(),
            slots: (0..depth.max(1)).map(|_| Slot { frame: template.to_vec(), intended: now }).collect(),
            queued: 0,
            written: 0,
            answered: 0,
            partial: 0,
            blocked: false,
            inbox: vec![0; INBOX_LEN],
            begin: 0,
            end: 0,
        })
    }

    pub fn has_room(&self) -> bool {
        self.queued - self.answered < self.slots.len() as u64
    }

    pub fn is_quiet(&self) -> bool {
        self.answered == self.queued
    }

    /// Requests that were sent, or wait to be, and are not answered.
    pub fn outstanding(&self) -> u64 {
        self.queued - self.answered
    }

    /// Whether the kernel's buffer was full at the last write.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Queues the next request after `prepare` has patched its frame. There must be room.
    pub fn queue(&mut self, intended: Instant, prepare: impl FnOnce(&mut [u8])) {
        assert!(self.has_room(), "the caller asks for room first");
        let index = (self.queued % self.slots.len() as u64) as usize;
        let slot = &mut self.slots[index];
        slot.intended = intended;
        frame::set_correlation(&mut slot.frame, self.queued as i32);
        prepare(&mut slot.frame);
        self.queued += 1;
    }

    /// Hands the kernel as much as it takes, many requests with one call.
    pub fn flush(&mut self) -> Result<()> {
        self.blocked = false;
        while self.written < self.queued {
            let depth = self.slots.len() as u64;
            let mut slices = [IoSlice::new(&[]); GATHER_MAX];
            let mut used = 0;
            for n in (self.written..self.queued).take(GATHER_MAX) {
                let skip = if n == self.written { self.partial } else { 0 };
                slices[used] = IoSlice::new(&self.slots[(n % depth) as usize].frame[skip..]);
                used += 1;
            }
            match (&self.socket).write_vectored(&slices[..used]) {
                Ok(n) => self.took(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(BenchError::Io { address: self.address.clone(), operation: "write", source }),
            }
        }
        Ok(())
    }

    fn took(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let rest = self.slots[(self.written % self.slots.len() as u64) as usize].frame.len() - self.partial;
            if bytes < rest {
                self.partial += bytes;
                return;
            }
            bytes -= rest;
            self.partial = 0;
            self.written += 1;
        }
    }

    /// Without acks the broker says nothing: what the kernel took is done. Gives the moment the oldest such request was due.
    pub fn retire_written(&mut self) -> Option<Instant> {
        (self.answered < self.written).then(|| self.retire())
    }

    fn retire(&mut self) -> Instant {
        let intended = self.slots[(self.answered % self.slots.len() as u64) as usize].intended;
        self.answered += 1;
        intended
    }

    /// Reads what has come, until at least one answer is whole or nothing more is there.
    pub fn receive(&mut self) -> Result<()> {
        while self.whole_frame()?.is_none() {
            self.make_room();
            match (&self.socket).read(&mut self.inbox[self.end..]) {
                Ok(0) => return Err(BenchError::Closed { address: self.address.clone(), operation: "read" }),
                Ok(n) => self.end += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(BenchError::Io { address: self.address.clone(), operation: "read", source }),
            }
        }
        Ok(())
    }

    /// The next answer from behind its correlation id, and when its request was due; `None` until one is whole.
    pub fn next_answer(&mut self) -> Result<Option<(Instant, &[u8])>> {
        let Some(len) = self.whole_frame()? else { return Ok(None) };
        let expected = self.answered as i32;
        if self.is_quiet() {
            return Err(self.malformed("an answer that nobody asked for".to_owned()));
        }
        let at = self.begin + LENGTH_LEN;
        let correlation = i32::from_be_bytes(*self.inbox[at..].first_chunk().expect("a whole frame has a correlation id"));
        if correlation != expected {
            return Err(self.malformed(format!("correlation id {correlation} where {expected} is next")));
        }
        let intended = self.retire();
        self.begin += LENGTH_LEN + len;
        Ok(Some((intended, &self.inbox[at + 4..at + len])))
    }

    /// Length of the frame that begins at `begin`, if all of it is there.
    fn whole_frame(&self) -> Result<Option<usize>> {
        let Some(len) = self.frame_len()? else { return Ok(None) };
        Ok((self.end - self.begin >= LENGTH_LEN + len).then_some(len))
    }

    fn frame_len(&self) -> Result<Option<usize>> {
        let Some(prefix) = self.inbox[self.begin..self.end].first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        match i32::from_be_bytes(*prefix) {
            len @ 4.. if len as usize <= ANSWER_LEN_MAX => Ok(Some(len as usize)),
            len => Err(self.malformed(format!("a frame of {len} bytes"))),
        }
    }

    /// Makes space for the rest of the frame under way, or for some bytes if its length is not known yet.
    fn make_room(&mut self) {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        }
        let needed = self.frame_len().ok().flatten().map_or(INBOX_LEN, |len| LENGTH_LEN + len);
        if self.begin + needed > self.inbox.len() || self.end == self.inbox.len() {
            self.inbox.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if needed > self.inbox.len() {
            self.inbox.resize(needed, 0);
        }
    }

    fn malformed(&self, what: String) -> BenchError {
        BenchError::Frame { address: self.address.clone(), what }
    }
}
