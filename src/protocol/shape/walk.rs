//! The walk over one body: steps from field to field, and refuses what cannot be there.
//!
//! Invariant: `rest` is what lies behind the last field stepped over; it never grows.

use super::{Field, Kind, MAX_ELEMENTS, Request, ShapeError, Walked};

/// What a tagged field counts against [`MAX_ELEMENTS`].
const TAGGED_FIELD_WEIGHT: usize = 4;
/// Longest string of the protocol in bytes (`MessageDataGenerator`: "string field had invalid length").
const MAX_STRING: usize = i16::MAX as usize;

pub(super) fn walk(request: &Request, version: i16, body: &[u8]) -> Result<Walked, ShapeError> {
    let flexible = version >= request.flexible;
    let mut walk = Walk { len: body.len(), rest: body, version, flexible, elements: 0, tagged_fields: 0 };
    walk.fields(request.fields)?;
    Ok(Walked { len: walk.at(), elements: walk.elements, tagged_fields: walk.tagged_fields })
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

    /// The fields of one struct. Recursion is as deep as the schema: four structs at most.
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
                self.spend(count, 0)?;
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
