//! One round of decisions: requests that waited together, decided one after the other on one draft, and the batches their records go into.
//!
//! Invariants: a decision sees all earlier ones of its round · an atomic decision lies in one batch · a reply is released when the batch
//! with the last record that it could have seen is applied: its own, or the last before it.

use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP};
use super::{Controller, MetadataImage};
use crate::base::ErrorCode;
use crate::base::time::Mono;
use crate::metadata::{MetadataDelta, MetadataRecord};

/// Sends the response of a decision, or says why it is void.
pub type Reply = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// A decision with its response put away.
pub struct Decided {
    pub records: Vec<MetadataRecord>,
    pub atomic: bool,
    pub reply: Reply,
}

impl Decided {
    /// A decision of the controller itself, which nobody waits for.
    pub fn unasked(decision: Decision<()>) -> Self {
        Self { records: decision.records, atomic: decision.atomic, reply: Box::new(|_| ()) }
    }
}

pub struct Round {
    draft: MetadataImage,
    batches: Vec<Vec<MetadataRecord>>,
    /// With the number of batches that must be applied first.
    replies: Vec<(usize, Reply)>,
}

impl Round {
    pub fn new(image: MetadataImage) -> Self {
        let mut draft = image;
        draft.skip_to(draft.offset() + 1);
        Self { draft, batches: Vec::new(), replies: Vec::new() }
    }

    pub fn draft(&self) -> &MetadataImage {
        &self.draft
    }

    /// Whether enough has been decided for one round.
    pub fn is_full(&self) -> bool {
        self.batches.iter().map(Vec::len).sum::<usize>() >= MAX_RECORDS_PER_USER_OP
    }

    /// Takes a decision that was made on [`draft`](Self::draft).
    pub fn take(&mut self, controller: &mut Controller, now: Mono, decided: Decided) {
        let Decided { records, atomic, reply } = decided;
        let mut next = self.draft.clone();
        for record in &records {
            if let Err(error) = next.replay(record, &mut MetadataDelta::default()) {
                tracing::error!(%error, ?record, "a decision does not fit the metadata it was made on");
                debug_assert!(false, "{error}: {record:?}");
                return reply(Err(ApiError::from(ErrorCode::UnknownServerError)));
            }
        }
        for record in &records {
            controller.observe(record, &next, now);
        }
        self.draft = next;
        self.add(records, atomic);
        self.replies.push((self.batches.len(), reply));
    }

    fn add(&mut self, records: Vec<MetadataRecord>, atomic: bool) {
        if records.is_empty() {
            return;
        }
        let room = self.batches.last().map_or(0, |batch| MAX_RECORDS_PER_USER_OP - batch.len());
        if atomic && records.len() > room {
            self.batches.push(records);
            return;
        }
        let mut records = records.into_iter().peekable();
        if let Some(batch) = self.batches.last_mut() {
            batch.extend(records.by_ref().take(room));
        }
        while records.peek().is_some() {
            self.batches.push(records.by_ref().take(MAX_RECORDS_PER_USER_OP).collect());
        }
    }

    /// The batches to propose in this order, and the replies with the number of batches to wait for, in the order of decisions.
    pub fn finish(self) -> (Vec<Vec<MetadataRecord>>, Vec<(usize, Reply)>) {
        (self.batches, self.replies)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::controller::testing::settings;

    fn features(n: usize) -> Vec<MetadataRecord> {
        (0..n).map(|i| MetadataRecord::FeatureLevel { name: i.to_string().into(), level: 1 }).collect()
    }

    /// Sizes of the batches, and for each decision the number of batches it waits for.
    fn round(decisions: &[(usize, bool)]) -> (Vec<usize>, Vec<usize>) {
        let image = MetadataImage::default();
        let mut controller = Controller::new(settings(""), 1, &image, Mono::ZERO);
        let mut round = Round::new(image);
        for (records, atomic) in decisions {
            let decided = Decided { records: features(*records), atomic: *atomic, reply: Box::new(|_| ()) };
            round.take(&mut controller, Mono::ZERO, decided);
        }
        let (batches, replies) = round.finish();
        (batches.iter().map(Vec::len).collect(), replies.into_iter().map(|(n, _)| n).collect())
    }

    #[test]
    fn small_decisions_share_a_batch_and_reads_wait_for_what_they_saw() {
        assert_eq!(round(&[(0, true), (2, true), (0, true), (3, false)]), (vec![5], vec![0, 1, 1, 1]));
    }

    #[test]
    fn an_atomic_decision_is_never_cut_and_others_are_where_they_must() {
        assert_eq!(round(&[(6_000, true), (6_000, true), (1, true)]), (vec![6_000, 6_001], vec![1, 2, 2]));
        assert_eq!(round(&[(1, true), (25_000, false), (1, true)]), (vec![10_000, 10_000, 5_002], vec![1, 3, 3]));
        assert_eq!(round(&[(10_000, true), (1, false)]), (vec![10_000, 1], vec![1, 2]));
    }

    #[test]
    fn a_later_decision_sees_the_earlier_ones() {
        let image = MetadataImage::default();
        let mut controller = Controller::new(settings(""), 1, &image, Mono::ZERO);
        let mut round = Round::new(image);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..2 {
            let level = round.draft().feature_level("f") + 1;
            let seen = seen.clone();
            let records = vec![MetadataRecord::FeatureLevel { name: "f".into(), level }];
            let reply: Reply = Box::new(move |outcome| seen.lock().unwrap().push((level, outcome.is_ok())));
            round.take(&mut controller, Mono::ZERO, Decided { records, atomic: true, reply });
        }
        let (_, replies) = round.finish();
        replies.into_iter().for_each(|(_, reply)| reply(Ok(())));
        assert_eq!(*seen.lock().unwrap(), [(1, true), (2, true)]);
    }
}
