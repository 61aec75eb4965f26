//! How a record becomes bytes: type, version, length of the body, body; a body ends in tagged fields.
//!
//! A reader refuses a type or version it does not know (it would lose facts), and skips tags it does not know (they only refine).
//! Numbers of types are never reused: a gap is a record that once existed.

mod broker;
mod partition;

use self::broker::{read_broker, write_broker};
use self::partition::{read_partition, read_partition_change, write_partition, write_partition_change};
use super::configs::{ConfigResource, ResourceType};
use super::record::MetadataRecord;
use super::wire::{DecodeError, Reader, Writer};

mod kind {
    pub const CLAIM_CONTROLLER: u64 = 1;
    pub const CLUSTER_INIT: u64 = 2;
    pub const FEATURE_LEVEL: u64 = 3;
    pub const REGISTER_BROKER: u64 = 4;
    pub const BROKER_REGISTRATION_CHANGE: u64 = 5;
    pub const UNREGISTER_BROKER: u64 = 6;
    pub const TOPIC: u64 = 7;
    pub const REMOVE_TOPIC: u64 = 8;
    pub const PARTITION: u64 = 9;
    pub const PARTITION_CHANGE: u64 = 10;
    pub const CONFIG: u64 = 11;
    pub const PRODUCER_IDS: u64 = 12;
}

/// Every type so far is at its first version.
const VERSION: u64 = 0;

impl MetadataRecord {
    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out);
        let mut framed = |kind: u64, body: &dyn Fn(&mut Writer<'_>)| {
            w.uvarint(kind);
            w.uvarint(VERSION);
            w.sized(|w| body(w));
        };
        match self {
            Self::ClaimController { epoch, controller_id } => framed(kind::CLAIM_CONTROLLER, &|w| {
                w.i64(i64::from(*epoch));
                w.i64(i64::from(*controller_id));
                w.tagged(&[]);
            }),
            Self::ClusterInit { cluster_id, created_ms } => framed(kind::CLUSTER_INIT, &|w| {
                w.str(cluster_id);
                w.i64(*created_ms);
                w.tagged(&[]);
            }),
            Self::FeatureLevel { name, level } => framed(kind::FEATURE_LEVEL, &|w| {
                w.str(name);
                w.i64(i64::from(*level));
                w.tagged(&[]);
            }),
            Self::RegisterBroker(broker) => framed(kind::REGISTER_BROKER, &|w| write_broker(w, broker)),
            Self::BrokerRegistrationChange { broker_id, broker_epoch, fenced, in_controlled_shutdown, log_dirs } => {
                framed(kind::BROKER_REGISTRATION_CHANGE, &|w| {
                    w.i64(i64::from(*broker_id));
                    w.i64(*broker_epoch);
                    w.option(*fenced, Writer::bool);
                    w.option(*in_controlled_shutdown, Writer::bool);
                    w.option(log_dirs.as_ref(), |w, dirs| w.list(dirs, |w, dir| w.uuid(*dir)));
                    w.tagged(&[]);
                })
            }
            Self::UnregisterBroker { broker_id, broker_epoch } => framed(kind::UNREGISTER_BROKER, &|w| {
                w.i64(i64::from(*broker_id));
                w.i64(*broker_epoch);
                w.tagged(&[]);
            }),
            Self::Topic { topic_id, name } => framed(kind::TOPIC, &|w| {
                w.uuid(*topic_id);
                w.str(name);
                w.tagged(&[]);
            }),
            Self::RemoveTopic { topic_id } => framed(kind::REMOVE_TOPIC, &|w| {
                w.uuid(*topic_id);
                w.tagged(&[]);
            }),
            Self::Partition { topic_id, partition, registration } => framed(kind::PARTITION, &|w| {
                w.uuid(*topic_id);
                w.i64(i64::from(*partition));
                write_partition(w, registration);
            }),
            Self::PartitionChange(change) => framed(kind::PARTITION_CHANGE, &|w| write_partition_change(w, change)),
            Self::Config { resource, key, value } => framed(kind::CONFIG, &|w| {
                w.i64(i64::from(resource.kind as i8));
                w.str(&resource.name);
                w.str(key);
                w.option(value.as_deref(), Writer::str);
                w.tagged(&[]);
            }),
            Self::ProducerIds { broker_id, broker_epoch, next } => framed(kind::PRODUCER_IDS, &|w| {
                w.i64(i64::from(*broker_id));
                w.i64(*broker_epoch);
                w.i64(*next);
                w.tagged(&[]);
            }),
        }
    }

    /// Reads one record from the front of `input`.
    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = input.uvarint()?;
        let version = input.uvarint()?;
        let len = input.len(1)?;
        let r = &mut Reader::new(input.bytes(len)?);
        if !(kind::CLAIM_CONTROLLER..=kind::PRODUCER_IDS).contains(&kind) {
            return Err(DecodeError::UnknownType(kind));
        }
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { kind, version });
        }
        let record = match kind {
            kind::CLAIM_CONTROLLER => Self::ClaimController { epoch: r.i32()?, controller_id: r.i32()? },
            kind::CLUSTER_INIT => Self::ClusterInit { cluster_id: r.text()?, created_ms: r.i64()? },
            kind::FEATURE_LEVEL => Self::FeatureLevel { name: r.text()?, level: r.i16()? },
            kind::REGISTER_BROKER => return read_broker(r).and_then(|b| finish(r, Self::RegisterBroker(Box::new(b)))),
            kind::BROKER_REGISTRATION_CHANGE => Self::BrokerRegistrationChange {
                broker_id: r.i32()?,
                broker_epoch: r.i64()?,
                fenced: r.option(Reader::bool)?,
                in_controlled_shutdown: r.option(Reader::bool)?,
                log_dirs: r.option(|r| r.list(16, Reader::uuid))?,
            },
            kind::UNREGISTER_BROKER => Self::UnregisterBroker { broker_id: r.i32()?, broker_epoch: r.i64()? },
            kind::TOPIC => Self::Topic { topic_id: r.uuid()?, name: r.text()? },
            kind::REMOVE_TOPIC => Self::RemoveTopic { topic_id: r.uuid()? },
            kind::PARTITION => {
                let record = Self::Partition { topic_id: r.uuid()?, partition: r.i32()?, registration: read_partition(r)? };
                return finish(r, record);
            }
            kind::PARTITION_CHANGE => {
                return read_partition_change(r).and_then(|c| finish(r, Self::PartitionChange(Box::new(c))));
            }
            kind::CONFIG => Self::Config {
                resource: ConfigResource {
                    kind: i8::try_from(r.i16()?).ok().and_then(ResourceType::from_code).ok_or(DecodeError::OutOfRange)?,
                    name: r.text()?,
                },
                key: r.text()?,
                value: r.option(Reader::text)?,
            },
            kind::PRODUCER_IDS => Self::ProducerIds { broker_id: r.i32()?, broker_epoch: r.i64()?, next: r.i64()? },
            _ => return Err(DecodeError::UnknownType(kind)),
        };
        r.tagged(|_, _| Ok(()))?;
        finish(r, record)
    }
}

fn finish(r: &Reader<'_>, record: MetadataRecord) -> Result<MetadataRecord, DecodeError> {
    match r.remaining() {
        0 => Ok(record),
        n => Err(DecodeError::TrailingBytes(n)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metadata::testing::any_record;

    proptest! {
        #[test]
        fn every_record_survives_encoding(record in any_record()) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(MetadataRecord::decode(&mut reader), Ok(record));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn damaged_bytes_never_panic(record in any_record(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = MetadataRecord::decode(&mut Reader::new(&bytes));
            prop_assert!(MetadataRecord::decode(&mut Reader::new(&bytes[..at])).is_err(), "a cut record is refused");
        }
    }

    #[test]
    fn an_unknown_type_or_version_is_refused_and_an_unknown_tag_skipped() {
        assert_eq!(MetadataRecord::decode(&mut Reader::new(&[99, 0, 0])), Err(DecodeError::UnknownType(99)));
        assert_eq!(
            MetadataRecord::decode(&mut Reader::new(&[3, 1, 0])),
            Err(DecodeError::UnknownVersion { kind: 3, version: 1 })
        );
        // FeatureLevel "f" at 2 with a tagged field 77 of one byte.
        let newer = [3, 0, 7, 1, b'f', 4, 1, 77, 1, 0];
        assert_eq!(
            MetadataRecord::decode(&mut Reader::new(&newer)),
            Ok(MetadataRecord::FeatureLevel { name: "f".into(), level: 2 })
        );
    }
}
