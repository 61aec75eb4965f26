//! Which partition a record goes to. Pure.
//!
//! Keys are hashed as the Java client hashes them, so a key lands in the same partition whoever produced it
//! (`BuiltInPartitioner.partitionForKey`, `Utils.murmur2`).

/// Austin Appleby's MurmurHash2 with the Java client's seed.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ hash >> 15) as i32
}

/// The partition of a key, of `partitions` many.
///
/// # Panics
/// If there are none.
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    (murmur2(key) & i32::MAX) % partitions
}

/// Gives records without a key to one partition for a batch's worth of bytes, then to the next (KIP-480, KIP-794).
#[derive(Clone, Debug)]
pub struct StickyPartitioner {
    batch_bytes: usize,
    current: usize,
    filled: usize,
}

impl StickyPartitioner {
    /// Begins at partition number `start`, counted round among those available.
    pub fn new(batch_bytes: usize, start: usize) -> Self {
        Self { batch_bytes, current: start, filled: 0 }
    }

    /// The partition of a record of `bytes` bytes.
    ///
    /// # Panics
    /// If `available` is empty.
    pub fn next(&mut self, available: &[i32], bytes: usize) -> i32 {
        assert!(!available.is_empty(), "a topic has partitions");
        if self.filled > 0 && self.filled + bytes > self.batch_bytes {
            self.current = self.current.wrapping_add(1);
            self.filled = 0;
        }
        self.filled += bytes;
        available[self.current % available.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // From Kafka's UtilsTest.testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
        assert_eq!(murmur2(b"abc"), 479_470_107);
    }

    #[test]
    fn a_key_has_one_partition_of_those_there_are() {
        for partitions in 1..20 {
            for key in ["", "a", "foobar", "21"] {
                let partition = partition_for_key(key.as_bytes(), partitions);
                assert!((0..partitions).contains(&partition));
            }
        }
        assert_eq!(partition_for_key(b"foobar", 6), (-790_332_482i32 & i32::MAX) % 6);
    }

    #[test]
    fn records_without_a_key_stick_until_a_batch_is_full() {
        let mut sticky = StickyPartitioner::new(100, 1);
        let placed: Vec<i32> = [40, 40, 40, 200, 10].iter().map(|bytes| sticky.next(&[0, 1, 2], *bytes)).collect();
        assert_eq!(placed, [1, 1, 2, 0, 1]);
    }
}
