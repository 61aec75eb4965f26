//! Keeps a coordinator's log from growing without bound while there is no log cleaner: when the log has become much longer than the state
//! it describes, the live state is appended again and everything before it is deleted.
//!
//! Safe at every point of a crash, because replaying is last-value-wins:
//! 1. the copies are appended in one go, from the state as it stands, so no copy is older than a record before it;
//! 2. nothing is deleted before the last copy is committed; a half-written or forgotten rewrite is only a longer log;
//! 3. what a transaction still decides about is not copied, and deletion stops short of it ([`Live::keep_from`]): a copy would step in
//!    front of a commit that is older than the copy but newer than what was copied.
//!
//! Invariant: `delete_before ≤ start of the copies ≤ end of the copies ≤ high watermark` at the time of deletion.

use crate::base::ids::Offset;

use super::shard::Shard;

/// The log is left alone below this size, in bytes.
const LOG_BYTES_MIN: u64 = 16 << 20;
/// How many times longer than its live state a log may be.
const LOG_TO_LIVE_MAX: u64 = 4;

/// The durable state as records.
#[derive(Debug)]
pub struct Live<R> {
    pub records: Vec<R>,
    /// The first offset that has to stay besides `records`, if any.
    pub keep_from: Option<Offset>,
}

/// A shard that can tell its durable state as records. Replaying them into an empty shard, after whatever stays of the log, gives that state.
pub trait LiveState: Shard {
    fn live(&self) -> Live<Self::Record>;
}

/// Decides when to rewrite one log, and remembers what may be deleted then.
#[derive(Debug, Default)]
pub struct Rewriter {
    /// Bytes from the log start, as far as this leader knows.
    log_bytes: u64,
    /// The live state is not measured again before the log has this many bytes.
    next_check: u64,
    deletion: Option<Deletion>,
}

/// Deletes everything before an offset once everything before another is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub committed: Offset,
    pub delete_before: Offset,
}

impl Rewriter {
    pub fn new(log_bytes: u64) -> Self {
        Self { log_bytes, next_check: LOG_BYTES_MIN, deletion: None }
    }

    pub fn on_append(&mut self, bytes: usize) {
        self.log_bytes += bytes as u64;
    }

    /// Whether the live state should be measured now.
    pub fn is_check_due(&self) -> bool {
        self.deletion.is_none() && self.log_bytes >= self.next_check
    }

    /// Whether a log whose live state takes `live_bytes` should be rewritten. If not, the next check comes when it might.
    pub fn decide(&mut self, live_bytes: u64) -> bool {
        let allowed = live_bytes.saturating_mul(LOG_TO_LIVE_MAX).max(LOG_BYTES_MIN);
        self.next_check = allowed.max(self.log_bytes + LOG_BYTES_MIN / 4);
        self.log_bytes >= allowed
    }

    /// The copies lie from `start` to `end`.
    pub fn on_rewritten(&mut self, start: Offset, end: Offset, keep_from: Option<Offset>, live_bytes: u64) {
        self.deletion = Some(Deletion { committed: end, delete_before: keep_from.map_or(start, |keep| keep.min(start)) });
        self.log_bytes = live_bytes;
        self.next_check = live_bytes.saturating_mul(LOG_TO_LIVE_MAX).max(LOG_BYTES_MIN);
    }

    /// The offset before which the log may be deleted now; told once.
    pub fn deletion_due(&mut self, high_watermark: Offset) -> Option<Offset> {
        self.deletion.take_if(|deletion| deletion.committed <= high_watermark).map(|deletion| deletion.delete_before)
    }

    /// The log end on which a deletion waits.
    pub fn awaits(&self) -> Option<Offset> {
        self.deletion.map(|deletion| deletion.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_rewritten_once_it_is_much_longer_than_its_state() {
        let mut rewriter = Rewriter::new(0);
        rewriter.on_append((LOG_BYTES_MIN - 1) as usize);
        assert!(!rewriter.is_check_due(), "small logs are left alone");
        rewriter.on_append(1);
        assert!(rewriter.is_check_due());
        assert!(!rewriter.decide(LOG_BYTES_MIN / 2), "only twice as long");
        assert!(!rewriter.is_check_due(), "the state is not measured again at once");
        rewriter.on_append(LOG_BYTES_MIN as usize);
        assert!(rewriter.is_check_due() && rewriter.decide(LOG_BYTES_MIN / 2));
    }

    #[test]
    fn nothing_is_deleted_before_the_copies_are_committed_nor_what_must_stay() {
        let mut rewriter = Rewriter::new(LOG_BYTES_MIN);
        rewriter.on_rewritten(100, 150, None, 10);
        assert!(!rewriter.is_check_due(), "one rewrite at a time");
        assert_eq!((rewriter.deletion_due(149), rewriter.awaits()), (None, Some(150)));
        assert_eq!((rewriter.deletion_due(150), rewriter.deletion_due(151)), (Some(100), None));
        rewriter.on_rewritten(200, 250, Some(180), 10);
        assert_eq!(rewriter.deletion_due(300), Some(180));
    }
}
