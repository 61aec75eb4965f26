//! Kafka's flexible primitives (KIP-482), for the messages beside. Reads fail, and never panic, on whatever a peer may send.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};

use crate::protocol::messages::CodecError;

pub(super) type Tagged = BTreeMap<i32, Bytes>;

/// Fails in words: the shape of a request was checked before, so this is the client side, or a string that is not UTF-8.
pub(super) fn malformed(what: &str) -> CodecError {
    CodecError::Message(what.into())
}

pub(super) fn get_i8<B: ByteBuf>(buf: &mut B) -> Result<i8, CodecError> {
    buf.try_get_i8().map_err(cut_off)
}

pub(super) fn get_i16<B: ByteBuf>(buf: &mut B) -> Result<i16, CodecError> {
    buf.try_get_i16().map_err(cut_off)
}

pub(super) fn get_i32<B: ByteBuf>(buf: &mut B) -> Result<i32, CodecError> {
    buf.try_get_i32().map_err(cut_off)
}

pub(super) fn get_i64<B: ByteBuf>(buf: &mut B) -> Result<i64, CodecError> {
    buf.try_get_i64().map_err(cut_off)
}

pub(super) fn get_uuid<B: ByteBuf>(buf: &mut B) -> Result<uuid::Uuid, CodecError> {
    let mut bytes = [0; 16];
    buf.try_copy_to_slice(&mut bytes).map_err(cut_off)?;
    Ok(uuid::Uuid::from_bytes(bytes))
}

pub(super) fn get_string<B: ByteBuf>(buf: &mut B) -> Result<StrBytes, CodecError> {
    get_nullable_string(buf)?.ok_or_else(|| malformed("null where a string belongs"))
}

pub(super) fn get_nullable_string<B: ByteBuf>(buf: &mut B) -> Result<Option<StrBytes>, CodecError> {
    let Some(length) = get_length(buf)? else { return Ok(None) };
    let bytes = buf.try_get_bytes(length).map_err(|_| malformed("a string ends beyond the body"))?;
    StrBytes::from_utf8(bytes).map(Some).map_err(|e| CodecError::Message(e.into()))
}

pub(super) fn get_array<B: ByteBuf, T>(
    buf: &mut B,
    element: impl FnMut(&mut B) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    get_nullable_array(buf, element)?.ok_or_else(|| malformed("null where an array belongs"))
}

pub(super) fn get_nullable_array<B: ByteBuf, T>(
    buf: &mut B,
    mut element: impl FnMut(&mut B) -> Result<T, CodecError>,
) -> Result<Option<Vec<T>>, CodecError> {
    let Some(count) = get_length(buf)? else { return Ok(None) };
    if count > buf.remaining() {
        return Err(malformed("an array ends beyond the body"));
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(element(buf)?);
    }
    Ok(Some(elements))
}

/// Tagged fields of a struct that defines none.
pub(super) fn get_tagged<B: ByteBuf>(buf: &mut B) -> Result<Tagged, CodecError> {
    let mut fields = Tagged::new();
    for _ in 0..get_varint(buf)? {
        let tag = get_varint(buf)?;
        let size = get_varint(buf)? as usize;
        let value = buf.try_get_bytes(size).map_err(|_| malformed("a tagged field ends beyond the body"))?;
        fields.insert(tag as i32, value);
    }
    Ok(fields)
}

/// Length or count; `None` for null.
fn get_length<B: ByteBuf>(buf: &mut B) -> Result<Option<usize>, CodecError> {
    Ok((get_varint(buf)? as usize).checked_sub(1))
}

fn get_varint<B: ByteBuf>(buf: &mut B) -> Result<u32, CodecError> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = buf.try_get_u8().map_err(cut_off)?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed("a variable-length integer does not fit 32 bits"))
}

fn cut_off(_: bytes::TryGetError) -> CodecError {
    malformed("the body ends within a field")
}

pub(super) fn put_string<B: ByteBufMut>(buf: &mut B, string: &str) {
    put_varint(buf, string.len() as u32 + 1);
    buf.put_slice(string.as_bytes());
}

pub(super) fn put_nullable_string<B: ByteBufMut>(buf: &mut B, string: Option<&str>) {
    match string {
        Some(string) => put_string(buf, string),
        None => put_varint(buf, 0),
    }
}

pub(super) fn put_array<B: ByteBufMut, T>(
    buf: &mut B,
    elements: &[T],
    mut element: impl FnMut(&mut B, &T) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    put_varint(buf, elements.len() as u32 + 1);
    elements.iter().try_for_each(|one| element(buf, one))
}

pub(super) fn put_null_array<B: ByteBufMut>(buf: &mut B) {
    put_varint(buf, 0);
}

pub(super) fn put_tagged<B: ByteBufMut>(buf: &mut B, fields: &Tagged) {
    put_varint(buf, fields.len() as u32);
    for (&tag, value) in fields {
        put_varint(buf, tag as u32);
        put_varint(buf, value.len() as u32);
        buf.put_slice(value);
    }
}

fn put_varint<B: ByteBufMut>(buf: &mut B, mut value: u32) {
    while value >= 0x80 {
        buf.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}
