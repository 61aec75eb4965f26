//! Where responses are gathered before they are written: one growing buffer for all small fields, and slices of segment maps in between.
//!
//! The kafka-protocol encoder is generic over its buffer but hands record bytes over as a bare `&[u8]`. A caller therefore announces a
//! slice with [`Outbox::expect`] before encoding; `put_slice` recognises it by address and length, and pushes the handle instead of
//! copying. Slices below [`COPY_BELOW`] are copied: that is cheaper than one more part of a `writev`.
//!
//! Invariants: bytes leave in the order they were put; a frame's length prefix is right before any of its bytes leave; encoding a
//! response never allocates for record bytes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;

/// Record slices shorter than this are copied into the buffer.
pub const COPY_BELOW: usize = 8 * 1024;

#[derive(Default)]
pub struct Outbox {
    /// Finished parts, in order, before `tail`.
    parts: VecDeque<Bytes>,
    /// Bytes behind the last part. While a frame is being encoded, all its small fields, with the slices noted in `inserts`.
    tail: BytesMut,
    /// Slices of the frame being encoded and where in `tail` they belong.
    inserts: Vec<(usize, Bytes)>,
    expected: VecDeque<Bytes>,
    queued: usize,
}

impl Outbox {
    /// Bytes waiting to be written.
    pub fn len(&self) -> usize {
        self.queued
    }

    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Announces a slice that the next encoding will put; slices are put in the order they were announced.
    pub fn expect(&mut self, slice: &Bytes) {
        if slice.len() >= COPY_BELOW {
            self.expected.push_back(slice.clone());
        }
    }

    /// Encodes one frame with its length prefix. If `encode` fails nothing of it remains.
    pub fn frame<E>(&mut self, encode: impl FnOnce(&mut Outbox) -> Result<(), E>) -> Result<(), E> {
        let start = self.tail.len();
        self.tail.put_i32(0);
        let result = encode(self);
        self.expected.clear();
        if let Err(e) = result {
            self.tail.truncate(start);
            self.inserts.clear();
            return Err(e);
        }
        let slices: usize = self.inserts.iter().map(|(_, s)| s.len()).sum();
        let length = self.tail.len() - start - 4 + slices;
        self.tail[start..start + 4].copy_from_slice(&(length as i32).to_be_bytes());
        self.queued += length + 4;
        let mut cut = 0;
        for (at, slice) in self.inserts.drain(..) {
            let before = self.tail.split_to(at - cut).freeze();
            cut = at;
            if !before.is_empty() {
                self.parts.push_back(before);
            }
            self.parts.push_back(slice);
        }
        Ok(())
    }

    /// Moves everything queued in `other` behind what is queued here.
    pub fn append(&mut self, mut other: Outbox) {
        if other.parts.is_empty() {
            self.queued += other.tail.len();
            self.tail.extend_from_slice(&other.tail);
            return;
        }
        if !self.tail.is_empty() {
            self.parts.push_back(self.tail.split().freeze());
        }
        self.parts.append(&mut other.parts);
        self.tail.extend_from_slice(&other.tail);
        self.queued += other.queued;
    }

    /// The next bytes to write, as many parts as fit into `slices`; returns how many were filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for part in self.parts.iter().take(slices.len()) {
            slices[filled] = IoSlice::new(part);
            filled += 1;
        }
        if filled < slices.len() && filled == self.parts.len() && !self.tail.is_empty() {
            slices[filled] = IoSlice::new(&self.tail);
            filled += 1;
        }
        filled
    }

    /// Forgets the first `n` bytes: they are written.
    pub fn written(&mut self, mut n: usize) {
        self.queued -= n;
        while n > 0 {
            let Some(front) = self.parts.front_mut() else {
                if n == self.tail.len() {
                    self.tail.clear();
                } else {
                    self.tail.advance(n);
                }
                return;
            };
            if n < front.len() {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.parts.pop_front();
        }
    }

    /// Gives back memory that an idle connection has no use for.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            *self = Outbox::default();
        }
    }
}

// SAFETY: every method delegates to `BytesMut`, whose implementation upholds the contract.
unsafe impl BufMut for Outbox {
    fn remaining_mut(&self) -> usize {
        self.tail.remaining_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller upholds the contract of `advance_mut` on the chunk that `chunk_mut` handed out.
        unsafe { self.tail.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.tail.chunk_mut()
    }

    fn put_slice(&mut self, source: &[u8]) {
        if source.len() >= COPY_BELOW
            && let Some(next) = self.expected.front()
            && std::ptr::eq(next.as_ptr(), source.as_ptr())
            && next.len() == source.len()
        {
            let slice = self.expected.pop_front().expect("it was just looked at");
            self.inserts.push((self.tail.len(), slice));
            return;
        }
        self.tail.put_slice(source);
    }
}

/// Message encoding never seeks; only record batch building does, and that happens elsewhere. The methods work on the small fields.
impl ByteBufMut for Outbox {
    fn offset(&self) -> usize {
        self.tail.len()
    }

    fn seek(&mut self, offset: usize) {
        ByteBufMut::seek(&mut self.tail, offset)
    }

    fn range(&mut self, range: std::ops::Range<usize>) -> &mut [u8] {
        &mut self.tail[range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = outbox.fill(&mut slices);
            let some: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).take(step).collect();
            outbox.written(some.len());
            all.extend(some);
        }
        all
    }

    fn frame(outbox: &mut Outbox, fields: &[u8], records: &Bytes) {
        outbox
            .frame(|o| {
                o.expect(records);
                o.put_slice(fields);
                o.put_slice(records);
                o.put_u8(9);
                Ok::<_, ()>(())
            })
            .unwrap();
    }

    #[test]
    fn slices_are_passed_by_handle_and_frames_read_as_one_stream() {
        let large = Bytes::from(vec![5u8; 3 * COPY_BELOW]);
        let small = Bytes::from_static(&[6; 10]);
        for step in [1, 7, 1000, 1 << 20] {
            let mut outbox = Outbox::default();
            frame(&mut outbox, &[1, 2], &large);
            frame(&mut outbox, &[3], &small);
            assert_eq!(outbox.parts[1].as_ptr(), large.as_ptr(), "not copied");
            let mut expected = ((large.len() + 3) as i32).to_be_bytes().to_vec();
            expected.extend([1, 2]);
            expected.extend(&large);
            expected.push(9);
            expected.extend(12i32.to_be_bytes());
            expected.push(3);
            expected.extend(&small);
            expected.push(9);
            assert_eq!(outbox.len(), expected.len());
            assert_eq!(contents(&mut outbox, step), expected);
        }
    }

    #[test]
    fn a_failed_frame_leaves_nothing() {
        let mut outbox = Outbox::default();
        frame(&mut outbox, &[1], &Bytes::from_static(&[2]));
        let before = outbox.len();
        assert!(
            outbox
                .frame(|o| {
                    o.put_u8(3);
                    Err(())
                })
                .is_err()
        );
        assert_eq!(outbox.len(), before);
        assert_eq!(contents(&mut outbox, 100), [0, 0, 0, 3, 1, 2, 9]);
    }

    #[test]
    fn appending_keeps_the_order() {
        let large = Bytes::from(vec![5u8; COPY_BELOW]);
        let (mut one, mut two, mut plain) = (Outbox::default(), Outbox::default(), Outbox::default());
        frame(&mut one, &[1], &Bytes::from_static(&[1]));
        frame(&mut two, &[2], &large);
        frame(&mut plain, &[3], &Bytes::new());
        one.append(two);
        one.append(plain);
        let total = one.len();
        let all = contents(&mut one, 999);
        assert_eq!(all.len(), total);
        assert_eq!(&all[..8], &[0, 0, 0, 3, 1, 1, 9, 0]);
        assert_eq!(&all[total - 6..], &[0, 0, 0, 2, 3, 9]);
    }
}
