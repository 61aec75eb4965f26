//! Where arrays, strings, bytes and tagged fields lie in the body of a request, and a walk that holds every count in it against the
//! bytes that are there.
//!
//! The decoder of the wire structs reserves memory for as many elements as the peer announces, so a body of 12 bytes could ask for
//! gigabytes. No body is decoded before [`check`] has walked it; the walk allocates nothing.
//!
//! Invariants of a body that passed, with `left` the bytes behind a count or length:
//! - `0 ≤ length ≤ left`, and `length ≤ 32767` for strings;
//! - `0 ≤ count` and `count × least size of an element ≤ left`;
//! - `elements + 4 × tagged_fields ≤ MAX_ELEMENTS`, elements that are plain numbers aside;
//! - null stands only where the version allows it;
//! - a tagged field klamm knows fills exactly the size it announces.
//!
//! What the decoded structs take beside the frame is then at most the frame's length (plain numbers) and some 40 MiB.
//! Bytes behind the last field are ignored, as Kafka does (`AbstractRequest.parseRequest`).

mod requests;
#[cfg(test)]
mod tests;

use kafka_protocol::protocol::VersionRange;

/// Most elements of one request: structs and strings in arrays count 1, tagged fields that nobody knows count 4, for the decoder
/// keeps each in a tree node of half a KiB. Kafka has no such limit; its clients stay far below, as they ask for at most the
/// partitions of one broker at a time.
pub const MAX_ELEMENTS: usize = 1 << 18;

const TAGGED_FIELD_WEIGHT: usize = 4;
/// Longest string of the protocol in bytes (`MessageDataGenerator`: "string field had invalid length").
const MAX_STRING: usize = i16::MAX as usize;

/// What a walk has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Bytes from the start of the body to the end of its last field.
    pub len: usize,
    /// Elements of all arrays that are not plain numbers.
    pub elements: usize,
    /// Tagged fields that the version does not define.
    pub tagged_fields: usize,
}

/// Why a body is not decoded. Positions are bytes from the start of the body. Kafka answers none of these: it closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("version {version} of api key {api_key} is not served")]
    Unsupported { api_key: i16, version: i16 },
    #[error("the body ends within the field at byte {at}")]
    CutOff { at: usize },
    #[error("length or count {length} before byte {at} is negative")]
    Negative { at: usize, length: i32 },
    #[error("null before byte {at}, where this version knows no null")]
    Null { at: usize },
    #[error("length or count {length} before byte {at} needs more than the {left} bytes left")]
    BeyondEnd { at: usize, length: usize, left: usize },
    #[error("string of {length} bytes at byte {at} is longer than 32767")]
    StringTooLong { at: usize, length: usize },
    #[error("variable-length integer before byte {at} does not fit 32 bits")]
    Varint { at: usize },
    #[error("neither a present nor an absent struct before byte {at}")]
    Presence { at: usize },
    #[error("tagged field {tag} before byte {at} does not fill its size")]
    TaggedSize { at: usize, tag: u32 },
    #[error("tagged field {tag} before byte {at} does not belong to this version")]
    TaggedVersion { at: usize, tag: u32 },
    #[error("more than {MAX_ELEMENTS} elements before byte {at}")]
    TooManyElements { at: usize },
}

/// The versions of a request that klamm decodes and whose response it encodes; `None` for an API it does not know.
///
/// What ApiVersions announces may differ at one point: Kafka lists Produce from 0 (KAFKA-18659) although 3 is the first that works.
pub fn supported_versions(api_key: i16) -> Option<VersionRange> {
    requests::get(api_key).map(|request| VersionRange { min: request.min, max: request.max })
}

/// Walks a request's body, header excluded, once and without allocating. Takes time proportional to its length.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<Walked, ShapeError> {
    let request = requests::get(api_key)
        .filter(|request| request.min <= version && version <= request.max)
        .ok_or(ShapeError::Unsupported { api_key, version })?;
    let mut walk =
        Walk { len: body.len(), rest: body, version, flexible: version >= request.flexible, elements: 0, tagged_fields: 0 };
    walk.fields(request.fields)?;
    Ok(Walked { len: walk.at(), elements: walk.elements, tagged_fields: walk.tagged_fields })
}

/// The body of one API's requests, all versions of it.
struct Request {
    key: i16,
    min: i16,
    max: i16,
    /// First version with compact lengths and tagged fields (KIP-482).
    flexible: i16,
    fields: &'static [Field],
}

/// One field, as far as its place on the wire goes.
#[derive(Clone, Copy)]
struct Field {
    kind: Kind,
    /// Versions that carry it, both ends included.
    since: i16,
    until: i16,
    /// First version in which it may be null.
    null_since: i16,
    /// Its number, if it lies among the tagged fields of its struct.
    tag: Option<u32>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// So many bytes. Neighbours of the same versions may share one field.
    Fixed(usize),
    String,
    /// Bytes, or the records of Produce.
    Bytes,
    /// Array of numbers of so many bytes each.
    Numbers(usize),
    Strings,
    /// Array of structs; `least` is the size in bytes below which no version of an element falls.
    Structs {
        fields: &'static [Field],
        least: usize,
    },
    Struct(&'static [Field]),
}

struct Walk<'a> {
    /// Length of the whole body, for positions.
    len: usize,
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    tagged_fields: usize,
}

impl<'a> Walk<'a> {
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The fields of one struct. Recursion is as deep as the schema: five structs at most.
    fn fields(&mut self, fields: &[Field]) -> Result<(), ShapeError> {
        for field in fields {
            if field.since <= self.version && self.version <= field.until && field.tag.is_none() {
                self.field(field)?;
            }
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), ShapeError> {
        let nullable = self.version >= field.null_since;
        match field.kind {
            Kind::Fixed(size) => self.skip(size),
            Kind::String => self.string(nullable),
            Kind::Bytes => {
                let length = self.length(nullable)?;
                self.skip_counted(length)
            }
            Kind::Numbers(size) => {
                let count = self.count(nullable, size)?;
                self.skip_counted(count * size)
            }
            Kind::Strings => {
                let count = self.count(nullable, 1)?;
                self.spend(count, 0)?;
                (0..count).try_for_each(|_| self.string(false))
            }
            Kind::Structs { fields, least } => {
                let count = self.count(nullable, least)?;
                self.spend(count, 0)?;
                (0..count).try_for_each(|_| self.fields(fields))
            }
            Kind::Struct(fields) => {
                if nullable && !self.is_present()? {
                    return Ok(());
                }
                self.fields(fields)
            }
        }
    }

    fn string(&mut self, nullable: bool) -> Result<(), ShapeError> {
        let length = if self.flexible {
            self.compact_length(nullable)?
        } else {
            let length = i16::from_be_bytes(self.take()?);
            self.not_negative(i32::from(length), nullable)?
        };
        if length > MAX_STRING {
            return Err(ShapeError::StringTooLong { at: self.at(), length });
        }
        self.skip_counted(length)
    }

    fn tagged_fields(&mut self, fields: &[Field]) -> Result<(), ShapeError> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            if size > self.rest.len() {
                return Err(self.beyond_end(size));
            }
            let Some(field) = fields.iter().find(|field| field.tag == Some(tag)) else {
                self.spend(0, 1)?;
                self.skip(size)?;
                continue;
            };
            if self.version < field.since || self.version > field.until {
                return Err(ShapeError::TaggedVersion { at: self.at(), tag });
            }
            let behind = self.rest.len() - size;
            self.field(field)?;
            if self.rest.len() != behind {
                return Err(ShapeError::TaggedSize { at: self.at(), tag });
            }
        }
        Ok(())
    }

    fn spend(&mut self, elements: usize, tagged_fields: usize) -> Result<(), ShapeError> {
        self.elements += elements;
        self.tagged_fields += tagged_fields;
        if self.elements + TAGGED_FIELD_WEIGHT * self.tagged_fields > MAX_ELEMENTS {
            return Err(ShapeError::TooManyElements { at: self.at() });
        }
        Ok(())
    }

    /// An array's count; 0 for null. Times `least` it fits the bytes left.
    fn count(&mut self, nullable: bool, least: usize) -> Result<usize, ShapeError> {
        let count = self.length(nullable)?;
        if count > self.rest.len() / least { Err(self.beyond_end(count)) } else { Ok(count) }
    }

    /// Length of bytes or count of an array; 0 for null.
    fn length(&mut self, nullable: bool) -> Result<usize, ShapeError> {
        if self.flexible {
            return self.compact_length(nullable);
        }
        let length = i32::from_be_bytes(self.take()?);
        self.not_negative(length, nullable)
    }

    /// A length is written plus one, so that 0 can say null.
    fn compact_length(&mut self, nullable: bool) -> Result<usize, ShapeError> {
        match self.varint()? {
            0 if nullable => Ok(0),
            0 => Err(ShapeError::Null { at: self.at() }),
            length => Ok(length as usize - 1),
        }
    }

    fn not_negative(&self, length: i32, nullable: bool) -> Result<usize, ShapeError> {
        match length {
            0.. => Ok(length as usize),
            -1 if nullable => Ok(0),
            -1 => Err(ShapeError::Null { at: self.at() }),
            _ => Err(ShapeError::Negative { at: self.at(), length }),
        }
    }

    /// Kafka reads any positive byte as "present" but writes only 1; the decoder takes only that.
    fn is_present(&mut self) -> Result<bool, ShapeError> {
        match self.take::<1>()? {
            [1] => Ok(true),
            [0xff] => Ok(false),
            _ => Err(ShapeError::Presence { at: self.at() }),
        }
    }

    fn varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The fifth byte has room for four bits.
                return if shift == 28 && byte > 0x0f { break } else { Ok(value) };
            }
        }
        Err(ShapeError::Varint { at: self.at() })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ShapeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ShapeError::CutOff { at: self.at() })?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip(&mut self, size: usize) -> Result<(), ShapeError> {
        self.rest = self.rest.get(size..).ok_or(ShapeError::CutOff { at: self.at() })?;
        Ok(())
    }

    fn skip_counted(&mut self, length: usize) -> Result<(), ShapeError> {
        self.rest = self.rest.get(length..).ok_or_else(|| self.beyond_end(length))?;
        Ok(())
    }

    fn beyond_end(&self, length: usize) -> ShapeError {
        ShapeError::BeyondEnd { at: self.at(), length, left: self.rest.len() }
    }
}
