//! The states of a transactional id, and which may follow which (Kafka's `TransactionState`). Pure.

/// Where a transactional id stands. The numbers are those of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// A producer holds the id; it has no transaction.
    Empty = 0,
    /// A transaction is open.
    Ongoing = 1,
    /// The transaction is committed; its markers are being written.
    PrepareCommit = 2,
    /// The transaction is aborted; its markers are being written.
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    /// The id is being forgotten. Kafka passes through it in memory; here a tombstone does it in one step.
    Dead = 6,
    /// The producer is being fenced. Kafka passes through it in memory; here the epoch rises with the step to [`Self::PrepareAbort`].
    PrepareEpochFence = 7,
}

use TransactionState::*;

impl TransactionState {
    pub const ALL: [Self; 8] =
        [Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead, PrepareEpochFence];

    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == id)
    }

    /// The state of a name, as clients write it in filters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The name that DescribeTransactions and ListTransactions show.
    pub fn name(self) -> &'static str {
        match self {
            Empty => "Empty",
            Ongoing => "Ongoing",
            PrepareCommit => "PrepareCommit",
            PrepareAbort => "PrepareAbort",
            CompleteCommit => "CompleteCommit",
            CompleteAbort => "CompleteAbort",
            Dead => "Dead",
            PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The outcome is decided, and markers are being written.
    pub fn is_prepared(self) -> bool {
        matches!(self, PrepareCommit | PrepareAbort)
    }

    /// No transaction is open or ending, so the id may expire.
    pub fn is_idle(self) -> bool {
        matches!(self, Empty | CompleteCommit | CompleteAbort)
    }

    /// Whether `next` may follow. An abort may also follow where nothing was added, because a client of transaction version 2 does not know
    /// whether the broker has added its partitions.
    pub fn may_become(self, next: Self) -> bool {
        match next {
            Empty => self.is_idle(),
            Ongoing => self == Ongoing || self.is_idle(),
            PrepareCommit => self == Ongoing,
            PrepareAbort => self == Ongoing || self.is_idle(),
            CompleteCommit => self == PrepareCommit,
            CompleteAbort => self == PrepareAbort,
            Dead | PrepareEpochFence => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_lead_back() {
        for state in TransactionState::ALL {
            assert_eq!(TransactionState::from_id(state as i8), Some(state));
            assert_eq!(TransactionState::from_name(state.name()), Some(state));
        }
        assert_eq!((TransactionState::from_id(8), TransactionState::from_id(-1)), (None, None));
        assert_eq!(TransactionState::from_name("ongoing"), None, "names are exact, as in Kafka");
    }

    #[test]
    fn a_decided_transaction_has_one_way_to_go() {
        for (prepared, complete) in [(PrepareCommit, CompleteCommit), (PrepareAbort, CompleteAbort)] {
            let next: Vec<_> = TransactionState::ALL.into_iter().filter(|next| prepared.may_become(*next)).collect();
            assert_eq!(next, [complete]);
        }
    }
}
