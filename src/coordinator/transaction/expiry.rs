//! Forgetting transactional ids that nobody has used for `transactional.id.expiration.ms` (`TransactionStateManager.removeExpiredTransactionalIds`).
//! Pure.

use super::record::Record;
use super::shard::TransactionShard;
use crate::coordinator::shard::{At, Effects, Write};

impl TransactionShard {
    /// Writes tombstones for what has expired. A crash may leave some of them out; they come the next time.
    pub(super) fn expire(&mut self, at: &At) -> Effects<Self> {
        let oldest = at.wall_ms - i64::from(self.config.id_expiration_ms);
        let expired = self.transactions.iter().filter(|(_, it)| it.state.is_idle() && it.last_update_timestamp <= oldest);
        let tombstones: Vec<_> = expired.map(|(id, _)| Record::tombstone(id)).collect();
        if tombstones.len() < self.transactions.len() {
            self.look_for_expired_later(at);
        }
        Effects { write: Write::Records(tombstones), replies: Vec::new() }
    }
}
