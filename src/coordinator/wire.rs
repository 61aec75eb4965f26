//! The few primitives of Kafka's serialization that coordinator records and the consumer protocol use. Pure.
//!
//! Invariant: no reader allocates before it has seen the bytes; everything read is copied, so nothing pins the buffer.

use bytes::{BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;

/// Longest string that the old, 16-bit form can hold, in bytes.
pub const STRING_MAX: usize = i16::MAX as usize;

/// Reads from a slice; `None` wherever the bytes do not hold what is asked for.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Whether `any_…` reads the compact forms of flexible versions.
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub fn unsigned_varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self, len: usize) -> Option<StrBytes> {
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).ok().map(|text| StrBytes::from_string(text.to_owned()))
    }

    /// A string; null is malformed.
    pub fn string(&mut self) -> Option<StrBytes> {
        let len = self.i16()?;
        self.text(usize::try_from(len).ok()?)
    }

    pub fn nullable_string(&mut self) -> Option<Option<StrBytes>> {
        match self.i16()? {
            -1 => Some(None),
            len => self.text(usize::try_from(len).ok()?).map(Some),
        }
    }

    pub fn compact_string(&mut self) -> Option<StrBytes> {
        let len = self.unsigned_varint()?.checked_sub(1)?;
        self.text(len as usize)
    }

    /// A string no longer than the old form allows, in whichever form it comes: it may have to be written in the old form again.
    pub fn any_string(&mut self) -> Option<StrBytes> {
        if self.flexible { self.compact_string().filter(|text| text.len() <= STRING_MAX) } else { self.string() }
    }

    pub fn any_nullable_string(&mut self) -> Option<Option<StrBytes>> {
        if !self.flexible {
            return self.nullable_string();
        }
        match self.unsigned_varint()? {
            0 => Some(None),
            len => self.text(len as usize - 1).filter(|text| text.len() <= STRING_MAX).map(Some),
        }
    }

    pub fn any_bytes(&mut self) -> Option<Bytes> {
        let len =
            if self.flexible { self.unsigned_varint()?.checked_sub(1)? as usize } else { usize::try_from(self.i32()?).ok()? };
        self.take(len).map(Bytes::copy_from_slice)
    }

    /// Bytes of the old form that may be null.
    pub fn skip_nullable_bytes(&mut self) -> Option<()> {
        match self.i32()? {
            -1 => Some(()),
            len => self.take(usize::try_from(len).ok()?).map(drop),
        }
    }

    /// The length of an array that is not null.
    pub fn any_array_len(&mut self) -> Option<usize> {
        if self.flexible { Some(self.unsigned_varint()?.checked_sub(1)? as usize) } else { usize::try_from(self.i32()?).ok() }
    }

    /// The length of an array that may be null.
    pub fn any_nullable_array_len(&mut self) -> Option<Option<usize>> {
        if self.flexible {
            return Some((self.unsigned_varint()? as usize).checked_sub(1));
        }
        match self.i32()? {
            -1 => Some(None),
            len => usize::try_from(len).ok().map(Some),
        }
    }

    /// Reads tagged fields, giving each to `field`; `None` from it means malformed.
    pub fn tagged_fields(&mut self, mut field: impl FnMut(u32, &'a [u8]) -> Option<()>) -> Option<()> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let len = self.unsigned_varint()?;
            field(tag, self.take(len as usize)?)?;
        }
        Some(())
    }

    /// Reads tagged fields, where the version has them.
    pub fn any_tagged_fields_with(&mut self, field: impl FnMut(u32, &'a [u8]) -> Option<()>) -> Option<()> {
        if self.flexible { self.tagged_fields(field) } else { Some(()) }
    }

    /// Skips tagged fields, where the version has them.
    pub fn any_tagged_fields(&mut self) -> Option<()> {
        self.any_tagged_fields_with(|_, _| Some(()))
    }
}

/// # Panics
/// If the string is longer than 32,767 bytes: callers refuse those before they become state.
pub fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("long strings are refused before they become state"));
    out.put_slice(text.as_bytes());
}

/// # Panics
/// As [`put_string`].
pub fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

pub fn put_unsigned_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_unsigned_varint(out, text.len() as u32 + 1);
    out.put_slice(text.as_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}
