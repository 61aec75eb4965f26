//! Messages whose newest versions changed nothing on the wire: they are read and written as the newest version the crate has.

use kafka_protocol::messages::{DescribeLogDirsRequest, ListOffsetsRequest, ListOffsetsResponse, WriteTxnMarkersResponse};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message, VersionRange};

use crate::protocol::messages::{ApiMessage, CodecError, refused};

macro_rules! same_bytes {
    ($($message:ident: $last:literal;)*) => {
        $(
            impl ApiMessage for $message {
                const VERSIONS: VersionRange = VersionRange { min: <$message as Message>::VERSIONS.min, max: $last };

                fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, CodecError> {
                    Self::decode(buf, known_version::<Self>(version)).map_err(refused)
                }

                fn write<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<(), CodecError> {
                    self.encode(buf, known_version::<Self>(version)).map_err(refused)
                }
            }
        )*
    };
}

same_bytes! {
    ListOffsetsRequest: 11;
    ListOffsetsResponse: 11;
    WriteTxnMarkersResponse: 2;
    DescribeLogDirsRequest: 5;
}

/// The crate's version with the bytes of `version`. A version beyond ours is left alone, so that the crate refuses it.
fn known_version<M: ApiMessage + Message>(version: i16) -> i16 {
    if version <= <M as ApiMessage>::VERSIONS.max { version.min(<M as Message>::VERSIONS.max) } else { version }
}
