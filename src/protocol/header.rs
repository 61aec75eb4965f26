//! The header of a request, read without trusting a single length in it (RequestHeader.json, KIP-482).
//!
//! Header v1: api key, api version, correlation id, nullable client id. Header v2 adds tagged fields; its client id is still a
//! non-compact string. Which of the two it is follows from the API and its version, so key and version are peeked first.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;
use thiserror::Error;

/// Key and version, the first four bytes of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    pub key: i16,
    pub version: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api: ApiVersion,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidHeader {
    #[error("the request header is cut off")]
    CutOff,
    #[error("the client id is not UTF-8")]
    ClientId,
    #[error("a length in the request header is out of bounds")]
    Length,
}

pub fn peek(frame: &[u8]) -> Option<ApiVersion> {
    let bytes: &[u8; 4] = frame.first_chunk()?;
    Some(ApiVersion { key: i16::from_be_bytes([bytes[0], bytes[1]]), version: i16::from_be_bytes([bytes[2], bytes[3]]) })
}

/// Reads the header off the front of a frame; what is left of `frame` is the body.
pub fn take(frame: &mut Bytes, flexible: bool) -> Result<RequestHeader, InvalidHeader> {
    if frame.len() < 10 {
        return Err(InvalidHeader::CutOff);
    }
    let api = ApiVersion { key: frame.get_i16(), version: frame.get_i16() };
    let correlation_id = frame.get_i32();
    let client_id = match frame.get_i16() {
        -1 => None,
        length if length >= 0 => {
            let length = length as usize;
            if frame.len() < length {
                return Err(InvalidHeader::CutOff);
            }
            Some(StrBytes::from_utf8(frame.split_to(length)).map_err(|_| InvalidHeader::ClientId)?)
        }
        _ => return Err(InvalidHeader::Length),
    };
    if flexible {
        skip_tagged_fields(frame)?;
    }
    Ok(RequestHeader { api, correlation_id, client_id })
}

/// No tagged field of a request header is known: all are skipped (KIP-482).
fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), InvalidHeader> {
    for _ in 0..take_varint(frame)? {
        take_varint(frame)?;
        let size = take_varint(frame)? as usize;
        if frame.len() < size {
            return Err(InvalidHeader::CutOff);
        }
        frame.advance(size);
    }
    Ok(())
}

fn take_varint(frame: &mut Bytes) -> Result<u32, InvalidHeader> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        if frame.is_empty() {
            return Err(InvalidHeader::CutOff);
        }
        let byte = frame.get_u8();
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(InvalidHeader::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], flexible: bool) -> Result<(RequestHeader, usize), InvalidHeader> {
        let mut frame = Bytes::copy_from_slice(bytes);
        take(&mut frame, flexible).map(|h| (h, frame.len()))
    }

    #[test]
    fn both_header_versions_are_read_to_their_end() {
        let plain = [0, 3, 0, 1, 0, 0, 0, 9, 0, 2, b'm', b'e', 0xaa];
        let (header, rest) = check(&plain, false).unwrap();
        assert_eq!(header.api, ApiVersion { key: 3, version: 1 });
        assert_eq!((header.correlation_id, header.client_id.as_deref(), rest), (9, Some("me"), 1));

        let tagged = [0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xff, 1, 5, 2, 1, 2, 0xaa];
        let (header, rest) = check(&tagged, true).unwrap();
        assert_eq!((header.client_id, rest), (None, 1));
    }

    #[test]
    fn every_truncation_and_every_lie_is_refused() {
        let tagged = [0, 3, 0, 9, 0, 0, 0, 9, 0, 1, b'x', 1, 5, 2, 1, 2];
        for cut in 0..tagged.len() {
            assert!(check(&tagged[..cut], true).is_err(), "cut at {cut}");
        }
        assert_eq!(check(&[0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xfe, 0], false).unwrap_err(), InvalidHeader::Length);
        assert_eq!(check(&[0, 3, 0, 9, 0, 0, 0, 9, 0, 1, 0xff, 0], false).unwrap_err(), InvalidHeader::ClientId);
        let endless = [0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(check(&endless, true).unwrap_err(), InvalidHeader::Length);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, flexible: bool) {
            let _ = check(&bytes, flexible);
        }
    }
}
