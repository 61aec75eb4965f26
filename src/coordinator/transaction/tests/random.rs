//! Random producers, restarts and waiting against one shard: what holds at every step, whatever they do.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Init {
        who: usize,
        recovers: bool,
    },
    Add {
        who: usize,
        partition: i32,
    },
    End {
        who: usize,
        commits: bool,
    },
    /// The answer to the last end was lost, and it is asked for again.
    EndAgain {
        who: usize,
    },
    FinishOne,
    FenceTimedOut,
    Wait {
        ms: u64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3usize;
    prop_oneof![
        2 => (who.clone(), any::<bool>()).prop_map(|(who, recovers)| Step::Init { who, recovers }),
        5 => (who.clone(), 0..3i32).prop_map(|(who, partition)| Step::Add { who, partition }),
        4 => (who.clone(), any::<bool>()).prop_map(|(who, commits)| Step::End { who, commits }),
        2 => who.prop_map(|who| Step::EndAgain { who }),
        5 => Just(Step::FinishOne),
        1 => Just(Step::FenceTimedOut),
        2 => (1..100_000u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ]
}

/// One process that produces under the transactional id "t".
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    held: Option<Producer>,
    last_end: Option<(Producer, TransactionResult)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_producers_do(version in 0..3i16, steps in proptest::collection::vec(step(), 1..80), near_the_end: bool) {
        let mut world = World::with(TransactionConfig { transaction_version: version, ..TransactionConfig::default() });
        if near_the_end {
            let metadata = TransactionMetadata { producer_epoch: ProducerEpoch::MAX - 4, ..TransactionMetadata::new(7, TIMEOUT_MS, 0) };
            world.set("t", metadata);
        }
        let end_version = if version == 2 { 2 } else { 0 };
        let mut clients = [Client::default(); 3];
        let mut waiting = Vec::new();
        for step in steps {
            let before = world.shard.transactions.get(&text("t")).cloned();
            match step {
                Step::Init { who, recovers } => {
                    let expected = clients[who].held.filter(|_| recovers);
                    if let Ok(held) = world.init("t", expected) {
                        clients[who].held = Some(held);
                        prop_assert!(held.epoch < ProducerEpoch::MAX, "the last epoch is for fencing alone");
                    }
                }
                Step::Add { who, partition } => {
                    let Some(held) = clients[who].held else { continue };
                    let id = world.submit(World::add_request("t", held, &[("a", partition)], end_version));
                    waiting.push(id);
                }
                Step::End { who, commits } => {
                    let Some(held) = clients[who].held else { continue };
                    let result = if commits { TransactionResult::Commit } else { TransactionResult::Abort };
                    clients[who].last_end = Some((held, result));
                    if let Ok(next) = world.end("t", held, result, end_version) {
                        clients[who].held = Some(next);
                        prop_assert!(next.epoch < ProducerEpoch::MAX);
                    }
                }
                Step::EndAgain { who } => {
                    let Some((held, result)) = clients[who].last_end else { continue };
                    let _ = world.end("t", held, result, end_version);
                }
                Step::FinishOne => {
                    if let Some(markers) = world.work().markers.first().cloned() {
                        world.finish(&markers);
                    }
                }
                Step::FenceTimedOut => {
                    for it in world.work().timed_out {
                        let fresh = Some(world.fresh());
                        let request = TransactionRequest::FenceTimedOut { id: it.id, producer: it.producer, fresh };
                        let _: Result<Producer, Refused> = world.ask(request);
                    }
                }
                Step::Wait { ms } => world.wait(ms),
                Step::Restart => {
                    world.restart();
                    // Their connections broke; they will ask again.
                    waiting.clear();
                }
            }
            waiting.retain(|id| world.answers.remove(id).is_none());
            let Some(after) = world.shard.transactions.get(&text("t")).cloned() else { continue };
            if let Some(before) = before {
                prop_assert!(after.producer_id != before.producer_id || after.producer_epoch >= before.producer_epoch);
                // The outcome stands, whatever is asked meanwhile; what waited for it may have begun the next transaction.
                let may_follow = match before.state {
                    TransactionState::PrepareCommit => &[TransactionState::PrepareCommit, TransactionState::CompleteCommit][..],
                    TransactionState::PrepareAbort => &[TransactionState::PrepareAbort, TransactionState::CompleteAbort],
                    _ => &TransactionState::ALL,
                };
                prop_assert!(may_follow.contains(&after.state) || after.state == TransactionState::Ongoing, "{before:?} became {after:?}");
            }
            prop_assert!(after.partitions.is_empty() || after.state == TransactionState::Ongoing || after.state.is_prepared());
            if let Some(result) = after.result() {
                let mut markers = world.work().markers;
                prop_assert_eq!(markers.len(), 1, "a prepared transaction is in the work");
                prop_assert_eq!(markers.remove(0).end.result, result);
            }
        }
        world.wait(minutes(1));
        waiting.retain(|id| world.answers.remove(id).is_none());
        prop_assert!(waiting.is_empty(), "everybody was answered");
    }
}
