//! Where the replicas of new partitions go (`StripedReplicaPlacer`).
//!
//! Racks take turns from a random start, one further with each partition; inside a rack brokers take turns in the same way, unfenced ones
//! first. Invariants: the replicas of a partition are distinct · the first is unfenced · a replication factor above the number of brokers
//! is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::ApiError;
use super::random::Random;
use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::metadata::{MetadataImage, Replicas};

/// Brokers in a fixed order that is read from a moving start.
#[derive(Default)]
struct Ring {
    brokers: Vec<BrokerId>,
    /// Taken for the present partition.
    taken: usize,
    offset: usize,
    /// The partition that `taken` counts for.
    epoch: usize,
}

impl Ring {
    fn start_at(&mut self, random: &mut Random) {
        if !self.brokers.is_empty() {
            self.offset = random.below(self.brokers.len());
        }
    }

    fn next(&mut self, epoch: usize) -> Option<BrokerId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.taken = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.taken >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.taken + self.offset) % self.brokers.len()];
        self.taken += 1;
        Some(broker)
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Ring,
    fenced: Ring,
}

struct Racks<'a> {
    random: &'a mut Random,
    racks: Vec<Rack>,
    brokers: usize,
    unfenced: usize,
    offset: usize,
    epoch: usize,
}

impl<'a> Racks<'a> {
    fn of(image: &MetadataImage, random: &'a mut Random) -> Self {
        let mut by_name: BTreeMap<Option<Arc<str>>, Rack> = BTreeMap::new();
        let (mut brokers, mut unfenced) = (0, 0);
        for broker in image.brokers().values().filter(|b| !b.in_controlled_shutdown) {
            let rack = by_name.entry(broker.rack.clone()).or_default();
            let ring = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
            ring.brokers.push(broker.id);
            brokers += 1;
            unfenced += usize::from(!broker.fenced);
        }
        let mut racks: Vec<Rack> = by_name.into_values().collect();
        for rack in &mut racks {
            rack.fenced.start_at(random);
            rack.unfenced.start_at(random);
        }
        let offset = if racks.is_empty() { 0 } else { random.below(racks.len()) };
        Self { random, racks, brokers, unfenced, offset, epoch: 0 }
    }

    /// Replicas of the next partition. At least one broker is unfenced, and there are enough of them.
    fn place(&mut self, replication_factor: usize) -> Replicas {
        // Once every unfenced broker has had its turn to lead, go on in another order, or the same pairs would meet again and again.
        if self.epoch == self.unfenced && self.unfenced > 1 {
            self.random.shuffle(&mut self.racks);
            for rack in &mut self.racks {
                self.random.shuffle(&mut rack.fenced.brokers);
                self.random.shuffle(&mut rack.unfenced.brokers);
            }
            self.epoch = 0;
        }
        let racks = self.racks.len();
        self.offset %= racks;
        let mut replicas = Replicas::new();
        let mut leader_rack = self.offset;
        while replicas.is_empty() {
            match self.racks[leader_rack].unfenced.next(self.epoch) {
                Some(leader) => replicas.push(leader),
                None => leader_rack = (leader_rack + 1) % racks,
            }
        }
        let (mut at, mut leader_rack) = (self.offset, Some(leader_rack));
        while replicas.len() < replication_factor {
            // The leader's rack has had its turn, once.
            if leader_rack == Some(at) {
                leader_rack = None;
            } else {
                let rack = &mut self.racks[at];
                replicas.extend(rack.unfenced.next(self.epoch).or_else(|| rack.fenced.next(self.epoch)));
            }
            at = (at + 1) % racks;
        }
        self.epoch += 1;
        self.offset += 1;
        replicas
    }
}

/// Replicas for `partitions` new partitions.
///
/// # Errors
/// INVALID_REPLICATION_FACTOR if there are too few brokers, or all are fenced. Kafka puts "Unable to replicate the partition n time(s): "
/// before the message in CreateTopics, and nothing in CreatePartitions.
pub fn place(
    image: &MetadataImage,
    random: &mut Random,
    partitions: usize,
    replication_factor: i16,
) -> Result<Vec<Replicas>, ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    let mut racks = Racks::of(image, random);
    let Some(wanted) = usize::try_from(replication_factor).ok().filter(|n| *n > 0) else {
        return refuse(format!("Invalid replication factor {replication_factor}: the replication factor must be positive."));
    };
    if racks.unfenced == 0 {
        return refuse("All brokers are currently fenced.".to_owned());
    }
    if wanted > racks.brokers {
        return refuse(format!(
            "The target replication factor of {replication_factor} cannot be reached because only {} broker(s) are registered or some brokers have all their log directories cordoned.",
            racks.brokers
        ));
    }
    Ok((0..partitions).map(|_| racks.place(wanted)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::controller::testing::image_with_brokers;

    /// Brokers by rack and state, for example `a:0 a:1 b:2!`; `!` is fenced.
    fn image(brokers: &str) -> MetadataImage {
        image_with_brokers(brokers.split_whitespace().map(|b| {
            let (rack, id) = b.split_once(':').unwrap();
            let id_only = id.trim_end_matches('!');
            (id_only.parse().unwrap(), (rack != "-").then(|| rack.to_owned()), id.ends_with('!'))
        }))
    }

    #[test]
    fn refusals_are_kafkas() {
        for (brokers, factor, message) in [
            ("-:1", 0, "Invalid replication factor 0: the replication factor must be positive."),
            ("-:1! -:2!", 1, "All brokers are currently fenced."),
            ("", 1, "All brokers are currently fenced."),
            (
                "-:1",
                3,
                "The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
            ),
        ] {
            let error = place(&image(brokers), &mut Random::new(1), 1, factor).unwrap_err();
            assert_eq!(error, ApiError::new(ErrorCode::InvalidReplicationFactor, message));
        }
    }

    #[test]
    fn every_broker_leads_as_often_as_any_other() {
        let image = image("-:0 -:1 -:2 -:3");
        let placed = place(&image, &mut Random::new(3), 400, 3).unwrap();
        for broker in 0..4 {
            assert_eq!(placed.iter().filter(|r| r[0] == broker).count(), 100);
            assert_eq!(placed.iter().filter(|r| r.contains(&broker)).count(), 300);
        }
    }

    #[test]
    fn racks_are_spread_before_a_rack_is_used_twice() {
        let image = image("a:0 a:1 b:2 b:3 c:4 c:5");
        for replicas in place(&image, &mut Random::new(5), 60, 3).unwrap() {
            let racks: BTreeSet<i32> = replicas.iter().map(|b| b / 2).collect();
            assert_eq!(racks.len(), 3, "{replicas:?}");
        }
    }

    #[test]
    fn a_fenced_broker_is_taken_last_and_never_leads() {
        let image = image("-:0 -:1! -:2");
        for replicas in place(&image, &mut Random::new(9), 50, 3).unwrap() {
            assert_eq!(replicas[2], 1, "{replicas:?}");
        }
    }

    proptest! {
        #[test]
        fn replicas_are_distinct_and_led_by_an_unfenced_broker(
            brokers in proptest::collection::btree_map(0..12i32, (0..3u8, any::<bool>()), 1..10),
            factor in 1..8i16, partitions in 1..40usize, seed in any::<u128>(),
        ) {
            let image = image_with_brokers(brokers.iter().map(|(id, (rack, fenced))| (*id, Some(rack.to_string()), *fenced)));
            let unfenced = brokers.values().filter(|(_, fenced)| !fenced).count();
            match place(&image, &mut Random::new(seed), partitions, factor) {
                Ok(placed) => {
                    prop_assert_eq!(placed.len(), partitions);
                    for replicas in placed {
                        prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor as usize);
                        prop_assert!(!brokers[&replicas[0]].1);
                    }
                }
                Err(_) => prop_assert!(unfenced == 0 || factor as usize > brokers.len()),
            }
        }
    }
}
