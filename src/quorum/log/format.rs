//! The bytes of a segment: a header and frames, one entry each.
//!
//! ```text
//! header  "klmL" · CRC32C of the rest u32 · version u16 · the entry before the first (option, log id), padded to 64 bytes
//! frame   "kf" · length u32 · CRC32C u32 · append u32 · entry         numbers big-endian; the CRC covers `append` and the entry
//! ```
//!
//! `append` is the position at which the write that brought the frame began. Writes are synced one after the other, so after a crash only
//! the last one may be incomplete: a broken frame is a torn tail unless a later frame belongs to a later write. In that case acknowledged
//! entries have been damaged.

use crate::metadata::{DecodeError, WireReader, WireWriter};
use crate::quorum::entry;
use crate::quorum::raft::{Entry, LogId};

pub const HEADER_LEN: usize = 64;
const HEADER_MAGIC: [u8; 4] = *b"klmL";
const FORMAT_VERSION: u16 = 0;
const FRAME_MAGIC: [u8; 2] = *b"kf";
const FRAME_HEADER_LEN: usize = 14;

/// Index of the entry after this one; the first entry has index 0.
pub fn next_index(before: &Option<LogId>) -> u64 {
    before.map_or(0, |id| id.index + 1)
}

pub fn header(before: &Option<LogId>) -> [u8; HEADER_LEN] {
    let mut rest = FORMAT_VERSION.to_be_bytes().to_vec();
    WireWriter::new(&mut rest).bool(before.is_some());
    if let Some(id) = before {
        entry::write_log_id(&mut rest, id);
    }
    rest.resize(HEADER_LEN - 8, 0);
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&HEADER_MAGIC);
    header[4..8].copy_from_slice(&crc32c::crc32c(&rest).to_be_bytes());
    header[8..].copy_from_slice(&rest);
    header
}

/// The entry before the first, as the header says; `None` if the header is not whole.
fn parse_header(bytes: &[u8]) -> Result<Option<Option<LogId>>, DecodeError> {
    let Some(header) = bytes.get(..HEADER_LEN) else { return Ok(None) };
    if header[..4] != HEADER_MAGIC || header[4..8] != crc32c::crc32c(&header[8..]).to_be_bytes() {
        return Ok(None);
    }
    match u16::from_be_bytes([header[8], header[9]]) {
        FORMAT_VERSION => WireReader::new(&header[10..]).option(entry::read_log_id).map(Some),
        version => Err(DecodeError::UnknownVersion { kind: 0, version: u64::from(version) }),
    }
}

pub fn write_frame(out: &mut Vec<u8>, append: u32, entry: &Entry) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    entry::encode(entry, out);
    let frame = &mut out[start..];
    let len = (frame.len() - FRAME_HEADER_LEN) as u32;
    frame[..2].copy_from_slice(&FRAME_MAGIC);
    frame[2..6].copy_from_slice(&len.to_be_bytes());
    frame[10..14].copy_from_slice(&append.to_be_bytes());
    let crc = crc32c::crc32c(&frame[10..]);
    frame[6..10].copy_from_slice(&crc.to_be_bytes());
}

pub struct Frame<'a> {
    pub append: u32,
    pub entry: &'a [u8],
}

/// The frame at the front of `bytes`, if it is whole.
pub fn parse_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.get(..2)? != FRAME_MAGIC {
        return None;
    }
    let (len, crc, append) = (number(2)? as usize, number(6)?, number(10)?);
    let covered = bytes.get(10..FRAME_HEADER_LEN.checked_add(len)?)?;
    (crc32c::crc32c(covered) == crc).then(|| Frame { append, entry: &covered[4..] })
}

pub struct Scanned {
    /// The entry before the segment and its last one; `None` if the header is not whole.
    pub ids: Option<(Option<LogId>, Option<LogId>)>,
    pub positions: Vec<u32>,
    /// End of the last whole frame.
    pub end: u64,
    /// Where the first frame (or the header) lies that is not whole.
    pub broken_at: Option<u64>,
}

pub fn scan(bytes: &[u8], first_index: u64) -> Result<Scanned, DecodeError> {
    let Some(before) = parse_header(bytes)?.filter(|before| next_index(before) == first_index) else {
        return Ok(Scanned { ids: None, positions: Vec::new(), end: 0, broken_at: Some(0) });
    };
    let (mut at, mut positions, mut last) = (HEADER_LEN, Vec::new(), before);
    while at < bytes.len() {
        let Some(frame) = parse_frame(&bytes[at..]) else { break };
        let id = entry::decode_log_id(frame.entry)?;
        if id.index != next_index(&last) {
            break;
        }
        positions.push(at as u32);
        last = Some(id);
        at += FRAME_HEADER_LEN + frame.entry.len();
    }
    let broken_at = (at < bytes.len()).then_some(at as u64);
    Ok(Scanned { ids: Some((before, last)), positions, end: at as u64, broken_at })
}

/// Whether a whole frame behind `broken_at` came with a write that began after it: then that byte had been synced before.
pub fn a_later_append_follows(bytes: &[u8], broken_at: u64) -> bool {
    (broken_at as usize + 1..bytes.len())
        .filter(|at| bytes[*at..].starts_with(&FRAME_MAGIC))
        .filter_map(|at| Some((at, parse_frame(&bytes[at..])?)))
        .any(|(at, frame)| u64::from(frame.append) > broken_at.max(HEADER_LEN as u64) && frame.append as usize <= at)
}
