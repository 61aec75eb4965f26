//! The unit of the metadata log: the records of one round of decisions, all applied or none.
//!
//! Guard: a batch takes effect iff its claim epoch is the current one and its sequence is the next one. A batch that a deposed controller
//! managed to get committed, or one that arrives twice, changes nothing on any node.

use super::record::MetadataRecord;
use super::wire::{DecodeError, Reader, Writer};
use crate::base::ids::Offset;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    /// Epoch that the deciding controller claimed.
    pub claim_epoch: i32,
    /// 0 for the claim itself, then one more for each batch of the same epoch.
    pub seq: u64,
    pub records: Vec<MetadataRecord>,
}

/// What became of a committed batch; the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// In effect, as of this offset.
    Ok { offset: Offset },
    /// Without effect: another controller has claimed `epoch`.
    Fenced { epoch: i32 },
}

impl RecordBatch {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out);
        w.i64(i64::from(self.claim_epoch));
        w.uvarint(self.seq);
        w.uvarint(self.records.len() as u64);
        for record in &self.records {
            record.encode(out);
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        // A record takes at least its type, version and length.
        let batch = Self { claim_epoch: r.i32()?, seq: r.uvarint()?, records: r.list(3, MetadataRecord::decode)? };
        if r.is_empty() { Ok(batch) } else { Err(DecodeError::TrailingBytes(r.remaining())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_survives_encoding_and_nothing_may_follow_it() {
        let records = vec![
            MetadataRecord::ClaimController { epoch: 7, controller_id: 1 },
            MetadataRecord::FeatureLevel { name: "metadata.version".into(), level: 30 },
        ];
        let batch = RecordBatch { claim_epoch: 7, seq: 300, records };
        let mut bytes = Vec::new();
        batch.encode(&mut bytes);
        assert_eq!(RecordBatch::decode(&bytes), Ok(batch));
        bytes.push(0);
        assert_eq!(RecordBatch::decode(&bytes), Err(DecodeError::TrailingBytes(1)));
    }
}
