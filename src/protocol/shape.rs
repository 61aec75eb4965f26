//! Where arrays, strings, bytes and tagged fields lie in the body of a request, and a walk that holds every count in it against the
//! bytes that are there.
//!
//! The decoder of the wire structs reserves memory for as many elements as the peer announces, so a body of 12 bytes could ask for
//! gigabytes. No body is decoded before [`check`] has walked it; the walk allocates nothing.
//!
//! Invariants of a body that passed, with `left` the bytes behind a count or length:
//! - `0 ≤ length ≤ left`, and `length ≤ 32767` for strings;
//! - `0 ≤ count` and `count × least size of an element ≤ left`;
//! - `elements + 4 × tagged_fields ≤ MAX_ELEMENTS`;
//! - null stands only where the version allows it;
//! - a tagged field klamm knows fills exactly the size it announces.
//!
//! What the decoded structs take beside the frame is then at most some 40 MiB, and an answer with something for each element some 100.
//! Bytes behind the last field are ignored, as Kafka does (`AbstractRequest.parseRequest`).

mod requests;
#[cfg(test)]
mod tests;
mod walk;

use kafka_protocol::protocol::VersionRange;

/// Most elements of one request: whatever stands in an array counts 1, and so do numbers, most of which are partitions that are answered
/// with a struct each; tagged fields that nobody knows count 4, for the decoder keeps each in a tree node of half a KiB. Kafka has no
/// such limit; its clients stay far below, as they ask for at most the partitions of one broker at a time.
pub const MAX_ELEMENTS: usize = 1 << 18;

/// What a walk has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Bytes from the start of the body to the end of its last field.
    pub len: usize,
    /// Elements of all arrays.
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
    walk::walk(request, version, body)
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
