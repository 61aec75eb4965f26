//! A sorted map whose clones share what they do not change: a sorted list of sorted chunks, each behind its own `Arc`.
//!
//! A clone costs two reference counts. A write copies the list of chunks (8 bytes for about a hundred entries) and one chunk, and only if
//! a clone still holds them. An entry takes its own size and nothing else, where a tree of nodes takes a hundred bytes more.
//!
//! Invariants: keys ascend within and across chunks · 0 < entries of a chunk ≤ [`CHUNK`] · `len` is the sum of all chunks.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Most entries of a chunk: large enough that the list of chunks stays short, small enough that copying one is nothing.
const CHUNK: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

pub struct SortedMap<K, V> {
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K: Ord + Clone, V: Clone> SortedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, Ok(at)) = self.find(key) else { return None };
        Some(&self.chunks[chunk][at].1)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// In the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, Ok(at)) = self.find(key) else { return None };
        Some(&mut own(&mut Arc::make_mut(&mut self.chunks)[chunk])[at].1)
    }

    /// Sets a key; the value it had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (chunk, at) = self.find(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        match at {
            Ok(at) => return Some(std::mem::replace(&mut own(&mut chunks[chunk])[at].1, value)),
            Err(at) if chunk == chunks.len() => {
                // Behind the last chunk, which is full, or there is none: entries that come in order fill one chunk after the other.
                debug_assert_eq!(at, 0);
                chunks.push(Arc::new(vec![(key, value)]));
            }
            Err(at) => {
                let entries = own(&mut chunks[chunk]);
                entries.insert(at, (key, value));
                if entries.len() > CHUNK {
                    let upper = entries.split_off(CHUNK / 2);
                    chunks.insert(chunk + 1, Arc::new(upper));
                }
            }
        }
        self.len += 1;
        None
    }

    /// Removes a key; the value it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (chunk, Ok(at)) = self.find(key) else { return None };
        let chunks = Arc::make_mut(&mut self.chunks);
        let (_, value) = own(&mut chunks[chunk]).remove(at);
        self.len -= 1;
        let left = chunks[chunk].len();
        if left == 0 {
            chunks.remove(chunk);
        } else if left < CHUNK / 4 && chunk + 1 < chunks.len() && left + chunks[chunk + 1].len() <= CHUNK {
            let next = chunks.remove(chunk + 1);
            own(&mut chunks[chunk]).extend(next.iter().cloned());
        }
        Some(value)
    }

    /// The chunk a key belongs to, and its place there: `Ok` if it is present.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let after = self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key);
        let Some(at) = after.checked_sub(1) else { return (0, Err(0)) };
        let chunk = &self.chunks[at];
        match chunk.binary_search_by(|(k, _)| k.borrow().cmp(key)) {
            Err(place) if place == CHUNK && after == self.chunks.len() => (after, Err(0)),
            place => (at, place),
        }
    }
}

/// The entries of a chunk, to be changed; copied if a clone of the map holds them as well.
fn own<K: Clone, V: Clone>(chunk: &mut Chunk<K, V>) -> &mut Vec<(K, V)> {
    if Arc::get_mut(chunk).is_none() {
        // Room for a few more, or every copy would be copied again to grow.
        let mut copy = Vec::with_capacity((chunk.len() / 16 + 1) * 16);
        copy.extend(chunk.iter().cloned());
        *chunk = Arc::new(copy);
    }
    Arc::get_mut(chunk).expect("it is not shared")
}

impl<K, V> Clone for SortedMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::new(Vec::new()), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for SortedMap<K, V> {
    /// By entries: the same ones may lie in other chunks.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (Arc::ptr_eq(&self.chunks, &other.chunks) || self.iter().eq(other.iter()))
    }
}

impl<K: Ord + Clone, V: Clone + Eq> Eq for SortedMap<K, V> {}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(map: &SortedMap<u16, u32>, model: &BTreeMap<u16, u32>) {
        assert!(map.iter().eq(model.iter()));
        assert_eq!(map.len(), model.len());
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_clones_stay_as_they_were(
            // Few keys, so that they meet again; many steps, so that chunks split and merge.
            steps in proptest::collection::vec((0..900u16, 0..5u8, any::<u32>()), 0..2500), cut in any::<prop::sample::Index>(),
        ) {
            let (mut map, mut model) = (SortedMap::default(), BTreeMap::new());
            let cut = cut.index(steps.len() + 1);
            let mut old = None;
            for (n, (key, kind, value)) in steps.into_iter().enumerate() {
                if n == cut {
                    old = Some((map.clone(), model.clone()));
                }
                match kind {
                    0 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    1 => prop_assert_eq!(map.get_mut(&key).map(|v| std::mem::replace(v, value)), model.get_mut(&key).map(|v| std::mem::replace(v, value))),
                    _ => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
            }
            check(&map, &model);
            if let Some((old, old_model)) = old {
                check(&old, &old_model);
            }
        }
    }

    #[test]
    fn entries_that_come_in_order_fill_chunks() {
        let mut map = SortedMap::default();
        for key in 0..10 * CHUNK {
            map.insert(key, ());
        }
        assert_eq!(map.chunks.len(), 10);
    }

    #[test]
    fn the_same_entries_are_equal_in_whatever_chunks() {
        let (mut up, mut down) = (SortedMap::default(), SortedMap::default());
        for key in 0..1000 {
            up.insert(key, key);
            down.insert(999 - key, 999 - key);
        }
        assert_ne!(up.chunks.len(), down.chunks.len());
        assert_eq!(up, down);
        down.insert(7, 8);
        assert_ne!(up, down);
    }
}
