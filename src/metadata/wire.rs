//! The few primitives every metadata encoding is made of: variable-length integers, strings, lists, tagged fields.
//!
//! Integers are LEB128 (zigzag where negative values are usual), so small values take one byte. A count read from the input is checked
//! against the bytes that remain before anything is allocated for it.

use std::sync::Arc;

use uuid::Uuid;

/// Why bytes are not a metadata record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record ends in the middle of a field")]
    Truncated,
    #[error("a field holds a value that is out of its range")]
    OutOfRange,
    #[error("a string is not UTF-8")]
    NotUtf8,
    #[error("record type {0} is unknown to this version of klamm; start a newer version on this data directory")]
    UnknownType(u64),
    #[error(
        "version {version} of record type {kind} is unknown to this version of klamm; start a newer version on this data directory"
    )]
    UnknownVersion { kind: u64, version: u64 },
    #[error("{0} bytes follow the last field of a record")]
    TrailingBytes(usize),
}

/// Reads fields from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.bytes(N)?.try_into().expect("bytes(N) returns N bytes"))
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::OutOfRange),
        }
    }

    pub fn uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::OutOfRange);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::OutOfRange)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        i32::try_from(self.i64()?).map_err(|_| DecodeError::OutOfRange)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        i16::try_from(self.i64()?).map_err(|_| DecodeError::OutOfRange)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.len(1)?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| DecodeError::NotUtf8)
    }

    pub fn text(&mut self) -> Result<Arc<str>, DecodeError> {
        self.str().map(Arc::from)
    }

    /// A count of elements that take at least `element_size` bytes each.
    pub fn len(&mut self, element_size: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.uvarint()?).map_err(|_| DecodeError::OutOfRange)?;
        if count > self.rest.len() / element_size {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    pub fn list<T, C: FromIterator<T>>(
        &mut self,
        element_size: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<C, DecodeError> {
        (0..self.len(element_size)?).map(|_| read(self)).collect()
    }

    /// The tagged fields that end a record. Tags nobody asks for are skipped: a newer writer may add fields without a new version.
    pub fn tagged(&mut self, mut field: impl FnMut(u64, &mut Reader<'a>) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        for _ in 0..self.len(2)? {
            let tag = self.uvarint()?;
            let len = self.len(1)?;
            field(tag, &mut Reader::new(self.bytes(len)?))?;
        }
        Ok(())
    }
}

/// A tag, whether the field is there, and what writes it.
pub(super) type TaggedField<'a> = (u64, bool, &'a dyn Fn(&mut Writer<'_>));

/// Appends fields to a buffer.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn bool(&mut self, value: bool) {
        self.out.push(value as u8);
    }

    pub fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    pub fn i64(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)) as u64);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.bytes(value.as_bytes());
    }

    pub fn str(&mut self, value: &str) {
        self.uvarint(value.len() as u64);
        self.bytes(value.as_bytes());
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.uvarint(values.len() as u64);
        for value in values {
            write(self, value);
        }
    }

    /// Writes `body` preceded by its length.
    pub fn sized(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        let mut inner = Vec::new();
        body(&mut Writer::new(&mut inner));
        self.uvarint(inner.len() as u64);
        self.bytes(&inner);
    }

    /// Ends a record with its tagged fields: each is written only if it has something to say.
    pub fn tagged(&mut self, fields: &[TaggedField<'_>]) {
        self.uvarint(fields.iter().filter(|(_, present, _)| *present).count() as u64);
        for (tag, _, write) in fields.iter().filter(|(_, present, _)| *present) {
            self.uvarint(*tag);
            self.sized(write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive_and_small_ones_take_one_byte() {
        for value in [0, 1, -1, 63, -64, 64, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            Writer::new(&mut out).i64(value);
            assert_eq!(Reader::new(&out).i64(), Ok(value));
            assert_eq!(out.len() == 1, (-64..64).contains(&value), "{value}");
        }
    }

    #[test]
    fn a_count_beyond_the_input_is_refused_before_it_is_believed() {
        let mut out = Vec::new();
        Writer::new(&mut out).uvarint(u64::from(u32::MAX));
        assert_eq!(Reader::new(&out).list::<_, Vec<i64>>(1, |r| r.i64()), Err(DecodeError::Truncated));
        assert_eq!(Reader::new(&out).str(), Err(DecodeError::Truncated));
    }

    #[test]
    fn an_endless_integer_is_refused() {
        assert_eq!(Reader::new(&[0xff; 11]).uvarint(), Err(DecodeError::OutOfRange));
        assert_eq!(Reader::new(&[0x80; 3]).uvarint(), Err(DecodeError::Truncated));
    }
}
