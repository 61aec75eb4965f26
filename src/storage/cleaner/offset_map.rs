//! The latest offset of each key of a stretch of log, in bounded memory (Kafka's `SkimpyOffsetMap`).
//!
//! Of a key only 16 bytes of hash are kept (XXH3 with a seed of this process; Kafka: MD5): two keys that share them would lose one, which among
//! 2³² keys happens once in 10¹⁹ logs. An entry takes [`ENTRY_BYTES`] and the table's byte of control; the table fills to 7/8 and its
//! size is a power of two, so a key costs 28.6 bytes in a full map (Kafka's 26.7).
//!
//! Invariants: `len ≤ limit`; the table never grows, so its memory is what [`OffsetMap::clear_for`] reserved, at most the bytes given.

use hashbrown::HashTable;
use twox_hash::XxHash3_128;

use crate::base::ids::Offset;

/// Bytes of an entry: hash and offset.
pub const ENTRY_BYTES: usize = 24;
/// Bytes of an entry with what the table adds.
const BUCKET_BYTES: usize = ENTRY_BYTES + 1;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: [u64; 2],
    offset: Offset,
}

const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// The map is full: the key is neither there nor was it entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// See the module.
pub struct OffsetMap {
    table: HashTable<Entry>,
    seed: u64,
    limit: usize,
    latest_offset: Offset,
}

impl OffsetMap {
    /// An empty map, without memory of its own yet.
    pub fn new(seed: u64) -> Self {
        Self { table: HashTable::new(), seed, limit: 0, latest_offset: -1 }
    }

    /// Forgets everything, and makes room for `keys` keys, or as many as `bytes` bytes have room for.
    pub fn clear_for(&mut self, keys: u64, bytes: u64) {
        let limit = limit_of(bytes);
        let wanted = usize::try_from(keys).unwrap_or(usize::MAX).min(limit);
        self.table.clear();
        if self.table.capacity() < wanted || self.table.capacity() / 4 > wanted || self.table.capacity() > limit {
            self.table = HashTable::new();
            self.table.reserve(wanted, |entry| entry.hash[0]);
        }
        self.limit = limit;
        self.latest_offset = -1;
    }

    /// Enters the offset of a key, in place of an earlier one.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        let hash = self.hash(key);
        if let Some(entry) = self.table.find_mut(hash[0], |entry| entry.hash == hash) {
            entry.offset = offset;
            return Ok(());
        }
        if self.table.len() >= self.limit || self.table.len() == self.table.capacity() {
            return Err(Full);
        }
        self.table.insert_unique(hash[0], Entry { hash, offset }, |entry| entry.hash[0]);
        Ok(())
    }

    /// The latest offset of a key.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hash(key);
        self.table.find(hash[0], |entry| entry.hash == hash).map(|entry| entry.offset)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = XxHash3_128::oneshot_with_seed(self.seed, key);
        [hash as u64, (hash >> 64) as u64]
    }

    /// Everything up to and with this offset is in the map; −1 if nothing is.
    pub fn latest_offset(&self) -> Offset {
        self.latest_offset
    }

    pub fn update_latest_offset(&mut self, offset: Offset) {
        self.latest_offset = self.latest_offset.max(offset);
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Share of the keys that the map may hold which it holds.
    pub fn utilization(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.len() as f64 / self.limit as f64 }
    }

    /// Bytes that the table takes.
    pub fn memory(&self) -> usize {
        self.table.allocation_size()
    }
}

/// How many keys `bytes` bytes have room for.
fn limit_of(bytes: u64) -> usize {
    // The table adds a group of control bytes at its end, and rounds up for alignment.
    let buckets = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(64) / BUCKET_BYTES;
    // Sizes are powers of two.
    let buckets = if buckets == 0 { 0 } else { 1 << buckets.ilog2() };
    if buckets < 8 { 0 } else { buckets / 8 * 7 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_latest_offset_of_each_key_is_told_until_the_map_is_full(keys in prop::collection::vec(0u16..600, 0..2000), bytes in 300u64..20_000) {
            let mut map = OffsetMap::new(7);
            map.clear_for(u64::MAX, bytes);
            let (mut model, mut full) = (HashMap::new(), false);
            for (offset, key) in keys.iter().enumerate() {
                let put = map.put(&key.to_be_bytes(), offset as Offset);
                match put {
                    Ok(()) => drop(model.insert(*key, offset as Offset)),
                    Err(Full) => {
                        full = true;
                        prop_assert!(!model.contains_key(key), "a key that is there can be updated in a full map");
                    }
                }
            }
            for key in 0..600u16 {
                prop_assert_eq!(map.get(&key.to_be_bytes()), model.get(&key).copied());
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.memory() as u64 <= bytes, "{} of {bytes}", map.memory());
            prop_assert!(!full || map.utilization() == 1.0);
        }
    }

    #[test]
    fn a_key_costs_less_than_29_bytes_and_a_small_log_little() {
        let mut map = OffsetMap::new(1);
        map.clear_for(u64::MAX, 128 << 20);
        let mut keys = 0u64;
        while map.put(&keys.to_be_bytes(), keys as Offset).is_ok() {
            keys += 1;
        }
        assert_eq!(keys, 3_670_016);
        assert!(map.memory() as f64 / (keys as f64) < 28.7, "{}", map.memory());
        assert!(map.memory() < 128 << 20);
        map.clear_for(1000, 128 << 20);
        assert!(map.is_empty() && map.memory() < 64 << 10, "{}", map.memory());
        assert_eq!((map.latest_offset(), map.get(&0u64.to_be_bytes())), (-1, None));
    }
}
