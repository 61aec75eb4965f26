//! Every request, and random messages out of the decoder itself: a [`Dream`] is a buffer without contents that invents whatever the decoder asks for.
//!
//! What comes out is a message as the kafka-protocol crate understands it, with every field its version has, nulls, tagged fields and
//! nested arrays. No list of fields is needed, so none can be wrong.

#[path = "../support/random.rs"]
mod random;

use std::fmt::Debug;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::VersionRange;
use kafka_protocol::protocol::buf::ByteBuf;
use klamm::protocol::supplement::WriteTxnMarkersRequest;
use klamm::protocol::{ApiMessage, ApiRequest, shape};

pub use random::Random;

/// What is to be done with every type of request.
pub trait Visit {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + Default + PartialEq,
        R::Response: Debug + Default + PartialEq;
}

macro_rules! visit_each {
    ($($request:ident $(($in_request:ident))? => $response:ident $(($in_response:ident))?;)*) => {
        pub fn visit_every_request(visit: &mut impl Visit) {
            $(visit.visit::<$request>();)*
        }
    };
}

klamm::each_request!(visit_each);

/// The versions of a request that the table of shapes has.
pub fn versions<R: ApiRequest>() -> std::ops::RangeInclusive<i16> {
    let VersionRange { min, max } = shape::supported_versions(R::KEY).expect("every request has a row");
    min..=max
}

/// A random message; the same for the same seed. Dreams in which null stands where the decoder takes none are dreamt again.
pub fn dream<M: ApiMessage>(seed: u64, version: i16) -> M {
    let mut random = Random(seed);
    for _ in 0..1000 {
        let nulls = if random.below(3) == 0 { 0 } else { random.below(30) };
        let long = if random.below(10) == 0 { 3 } else { 0 };
        let mut dream = Dream { random: Random(random.next()), nulls, long, inventions: 0, varint_goes_on: false };
        if let Ok(message) = M::read(&mut dream, version) {
            return message;
        }
    }
    panic!("no valid message of version {version} in 1000 attempts");
}

pub fn encode<M: ApiMessage>(message: &M, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes, version).unwrap_or_else(|e| panic!("version {version} does not encode: {e}"));
    bytes
}

struct Dream {
    random: Random,
    /// Chance in percent that a number is one that can mean null.
    nulls: u64,
    /// Chance in percent that a number is a hundred and more.
    long: u64,
    inventions: usize,
    varint_goes_on: bool,
}

impl Dream {
    /// A number that may be a length, a count, a tag or just a number. After many of them only small ones come, so that a dream ends.
    fn number(&mut self) -> i32 {
        self.inventions += 1;
        if self.inventions > 4000 {
            0
        } else if self.random.below(100) < self.nulls {
            -1
        } else if self.random.below(100) < self.long {
            100 + self.random.below(200) as i32
        } else {
            self.random.below(4) as i32
        }
    }
}

impl Buf for Dream {
    fn remaining(&self) -> usize {
        i32::MAX as usize
    }

    fn chunk(&self) -> &[u8] {
        unreachable!("a dream has no bytes to show")
    }

    fn advance(&mut self, _: usize) {
        unreachable!("a dream has no bytes to pass over")
    }

    fn try_copy_to_slice(&mut self, into: &mut [u8]) -> Result<(), TryGetError> {
        into.fill_with(|| self.random.next() as u8);
        Ok(())
    }

    /// A boolean, or a byte of a varint: lengths are written plus one, 0 is null.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        if std::mem::take(&mut self.varint_goes_on) {
            return Ok(1 + self.random.below(2) as u8);
        }
        let number = self.number() + 1;
        self.varint_goes_on = number >= 0x80;
        Ok(if self.varint_goes_on { number as u8 | 0x80 } else { number as u8 })
    }

    fn try_get_i8(&mut self) -> Result<i8, TryGetError> {
        Ok(self.random.below(4) as i8 - 1)
    }

    fn try_get_i16(&mut self) -> Result<i16, TryGetError> {
        Ok(self.number() as i16)
    }

    fn try_get_u16(&mut self) -> Result<u16, TryGetError> {
        Ok(self.random.next() as u16)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        Ok(self.number())
    }

    fn try_get_u32(&mut self) -> Result<u32, TryGetError> {
        Ok(self.random.next() as u32)
    }

    fn try_get_i64(&mut self) -> Result<i64, TryGetError> {
        Ok(self.random.next() as i64)
    }

    fn try_get_f64(&mut self) -> Result<f64, TryGetError> {
        Ok(self.random.below(1000) as f64)
    }
}

impl ByteBuf for Dream {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.get_bytes(range.len())
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        (0..size).map(|_| b'a' + self.random.below(26) as u8).collect()
    }
}
