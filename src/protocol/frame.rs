//! Length-prefixed frames: `i32 length, then that many bytes`.
//!
//! Invariants: a length is looked at before anything is reserved for it; a frame never exceeds the limit given; a complete frame is cut
//! off the front of the read buffer without copying.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

pub const LENGTH_PREFIX: usize = 4;

/// What the front of a read buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// A whole frame, without its length prefix.
    Frame(Bytes),
    /// The rest of a frame is still to come: `size` is its whole size, prefix included.
    Partial { size: usize },
    /// Fewer than four bytes.
    Nothing,
}

/// A length that no honest client sends (`InvalidReceiveException` in Kafka); the connection ends.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{}frame of {length} bytes, where 0 to {limit} are allowed (socket.request.max.bytes)", self.speaks())]
pub struct InvalidFrame {
    pub length: i32,
    pub limit: usize,
}

impl InvalidFrame {
    /// What the four bytes are in another protocol: nobody would guess that from a number of bytes.
    fn speaks(&self) -> &'static str {
        match &self.length.to_be_bytes() {
            // A handshake record of SSL 3.0 or any TLS.
            [0x16, 0x03, ..] => "the client speaks TLS, and this listener does not: ",
            b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"HTTP" => {
                "the client speaks HTTP, and this listener Kafka's protocol: "
            }
            _ => "",
        }
    }
}

/// Takes the next frame off the buffer, if it is all there.
pub fn take(buffer: &mut BytesMut, limit: usize) -> Result<Front, InvalidFrame> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_PREFIX>() else { return Ok(Front::Nothing) };
    let length = i32::from_be_bytes(*prefix);
    if length < 0 || length as usize > limit {
        return Err(InvalidFrame { length, limit });
    }
    let size = LENGTH_PREFIX + length as usize;
    if buffer.len() < size {
        return Ok(Front::Partial { size });
    }
    buffer.advance(LENGTH_PREFIX);
    Ok(Front::Frame(buffer.split_to(length as usize).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_off_one_after_the_other() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 1][..]);
        assert_eq!(take(&mut buffer, 100), Ok(Front::Frame(Bytes::from_static(&[7, 8]))));
        assert_eq!(take(&mut buffer, 100), Ok(Front::Frame(Bytes::new())));
        assert_eq!(take(&mut buffer, 100), Ok(Front::Partial { size: 13 }));
        assert_eq!(take(&mut BytesMut::from(&[0, 0][..]), 100), Ok(Front::Nothing));
    }

    #[test]
    fn absurd_lengths_are_refused_before_anything_is_reserved() {
        for (bytes, length) in [([0xff; 4], -1), ([0x7f, 0xff, 0xff, 0xff], i32::MAX), ([0, 0, 0, 101], 101)] {
            let mut buffer = BytesMut::from(&bytes[..]);
            assert_eq!(take(&mut buffer, 100), Err(InvalidFrame { length, limit: 100 }));
        }
    }

    #[test]
    fn other_protocols_are_recognised() {
        for (bytes, word) in
            [(b"GET ", "HTTP"), (b"POST", "HTTP"), (b"\x16\x03\x01\x02", "TLS"), (b"\x7f\xff\xff\xff", "frame of")]
        {
            let error = take(&mut BytesMut::from(&bytes[..]), 100 << 20).expect_err(word).to_string();
            assert_eq!((error.contains("HTTP"), error.contains("TLS")), (word == "HTTP", word == "TLS"), "{error}");
            assert!(error.contains(word), "{error}");
        }
    }
}
