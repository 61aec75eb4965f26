//! The growing index of an active segment: what is in its file, and the tail that is still in memory.
//!
//! Invariants: `file_len` is a multiple of the entry's length; entries in the file come before those in the tail; the tail is written out in
//! blocks, so that an active segment costs little memory however large it grows, and what lies near the end of the log is found without
//! touching a file.

/// Bytes that are written to the file at once; a multiple of both entry lengths.
const BLOCK: usize = 4080;

#[derive(Debug)]
pub(super) struct IndexTail {
    entry_len: usize,
    file_len: u64,
    tail: Vec<u8>,
}

impl IndexTail {
    /// An index whose file holds `file_len` bytes; a last entry that is cut off is forgotten.
    pub(super) fn new(entry_len: usize, file_len: u64) -> Self {
        Self { entry_len, file_len: file_len - file_len % entry_len as u64, tail: Vec::new() }
    }

    /// Bytes in the file.
    pub(super) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Entries in file and memory together.
    pub(super) fn entries(&self) -> usize {
        (self.file_len as usize + self.tail.len()) / self.entry_len
    }

    /// Entries in memory.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    pub(super) fn push(&mut self, entry: &[u8]) {
        debug_assert_eq!(entry.len(), self.entry_len);
        self.tail.extend_from_slice(entry);
    }

    /// A block that is due to be written at `file_len`: the older half of two. What stays keeps look-ups near the end out of the file.
    pub(super) fn due(&self) -> &[u8] {
        if self.tail.len() >= 2 * BLOCK { &self.tail[..BLOCK] } else { &[] }
    }

    /// The first `bytes` of the tail are in the file now.
    pub(super) fn written(&mut self, bytes: usize) {
        self.tail.drain(..bytes);
        self.file_len += bytes as u64;
        if self.tail.is_empty() {
            self.tail = Vec::new();
        }
    }

    /// Keeps the first `entries` of the tail.
    pub(super) fn truncate_tail(&mut self, entries: usize) {
        self.tail.truncate(entries * self.entry_len);
    }

    /// Keeps the first `entries` of the file, and nothing of the tail.
    pub(super) fn truncate_file(&mut self, entries: usize) {
        self.tail = Vec::new();
        self.file_len = (entries * self.entry_len) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_due_in_order_and_leave_a_tail() {
        let mut index = IndexTail::new(8, 21);
        assert_eq!((index.file_len(), index.entries()), (16, 2));
        let mut file = vec![0; 16];
        for n in 0u64..5000 {
            index.push(&n.to_be_bytes());
            let due = index.due().to_vec();
            index.written(due.len());
            file.extend(due);
            assert_eq!((index.file_len() as usize, index.entries()), (file.len(), n as usize + 3));
        }
        assert!((BLOCK..2 * BLOCK).contains(&index.tail().len()));
        file.extend(index.tail());
        assert!(file[16..].chunks(8).map(|e| u64::from_be_bytes(e.try_into().unwrap())).eq(0..5000));
    }

    #[test]
    fn blocks_hold_whole_entries_of_both_kinds() {
        assert_eq!((BLOCK % super::super::offset_index::ENTRY_LEN, BLOCK % super::super::time_index::ENTRY_LEN), (0, 0));
    }
}
