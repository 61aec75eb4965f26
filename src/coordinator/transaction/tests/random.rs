//! Random producers of both versions, restarts and waiting against one shard and the task that ends its transactions, which may stand still
//! between any two of its steps: what holds at every step, whatever they do.

use proptest::prelude::*;

use super::*;
use crate::coordinator::transaction::work::{Ends, Finished, TimedOut};

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
    /// The task looks whether it was told of work.
    Look,
    /// What it was told is lost on the way.
    LoseAnswer,
    /// All markers of a transaction are written, and the shard is told. `heard`: its answer is not lost.
    Finish {
        which: usize,
        heard: bool,
    },
    /// The task sees an answer to that.
    See,
    FenceTimedOut,
    Wait {
        ms: u64,
    },
    /// `reloads`: in the same process, where the task goes on.
    Restart {
        reloads: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3usize;
    prop_oneof![
        2 => (who.clone(), any::<bool>()).prop_map(|(who, recovers)| Step::Init { who, recovers }),
        5 => (who.clone(), 0..3i32).prop_map(|(who, partition)| Step::Add { who, partition }),
        4 => (who.clone(), any::<bool>()).prop_map(|(who, commits)| Step::End { who, commits }),
        2 => who.prop_map(|who| Step::EndAgain { who }),
        5 => Just(Step::Look),
        1 => Just(Step::LoseAnswer),
        5 => (any::<usize>(), proptest::bool::weighted(0.8)).prop_map(|(which, heard)| Step::Finish { which, heard }),
        3 => Just(Step::See),
        1 => Just(Step::FenceTimedOut),
        2 => (1..100_000u64).prop_map(|ms| Step::Wait { ms }),
        1 => any::<bool>().prop_map(|reloads| Step::Restart { reloads }),
    ]
}

/// One process that produces under the transactional id "t".
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    held: Option<Producer>,
    last_end: Option<(Producer, TransactionResult)>,
}

/// The task of the broker (`broker/markers.rs`).
#[derive(Default)]
struct Task {
    taking: Option<RequestId>,
    ends: Ends,
    under_way: Vec<Markers>,
    /// Of which the shard has heard, and the task has not seen it.
    heard: Vec<Finished>,
    timed_out: Vec<TimedOut>,
}

impl Task {
    fn ask(&mut self, world: &mut World, again: bool) {
        self.ends.ask();
        self.taking = Some(world.submit(TransactionRequest::TakeWork { again }));
    }

    fn is_told(&self, world: &World) -> bool {
        self.taking.is_some_and(|id| world.answers.contains_key(&id))
    }

    /// Begins what it was told of. That is decided and not over: markers of an earlier transaction would end what its producer has begun since.
    fn look(&mut self, world: &mut World) -> Result<(), TestCaseError> {
        let Some(answer) = self.taking.and_then(|id| world.answer(id)) else { return Ok(()) };
        let Work { markers, timed_out } = answer.into();
        for markers in markers {
            if self.ends.begin(markers.finished()) {
                prop_assert_eq!(world.shard.decisions.get(&markers.id), Some(&markers.decision));
                let it = world.metadata(&markers.id);
                prop_assert_eq!((it.result(), it.producer()), (Some(markers.end.result), markers.end.producer));
                self.under_way.push(markers);
            }
        }
        self.timed_out.extend(timed_out);
        self.ask(world, false);
        Ok(())
    }

    fn finish(&mut self, world: &mut World, which: usize, heard: bool) {
        if self.under_way.is_empty() {
            return;
        }
        let which = which % self.under_way.len();
        world.finish(&self.under_way[which]);
        if heard {
            self.heard.push(self.under_way.remove(which).finished());
        }
    }

    fn see(&mut self) {
        if let Some(finished) = self.heard.pop() {
            self.ends.end(finished);
        }
    }

    /// Nothing is lost any more, and nothing stands still.
    fn settle(&mut self, world: &mut World) -> Result<(), TestCaseError> {
        while !self.under_way.is_empty() || !self.heard.is_empty() || self.is_told(world) {
            self.finish(world, 0, true);
            self.see();
            self.look(world)?;
        }
        Ok(())
    }
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
        // One of them is older than the others.
        let speaks = |who: usize| if version == 2 && who > 0 { 2 } else { 0 };
        let mut clients = [Client::default(); 3];
        let mut waiting = Vec::new();
        let mut task = Task::default();
        task.ask(&mut world, false);
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
                    let id = world.submit(World::add_request("t", held, &[("a", partition)], speaks(who)));
                    waiting.push(id);
                }
                Step::End { who, commits } => {
                    let Some(held) = clients[who].held else { continue };
                    let result = if commits { TransactionResult::Commit } else { TransactionResult::Abort };
                    clients[who].last_end = Some((held, result));
                    if let Ok(next) = world.end("t", held, result, speaks(who)) {
                        clients[who].held = Some(next);
                        prop_assert!(next.epoch < ProducerEpoch::MAX);
                    }
                }
                Step::EndAgain { who } => {
                    let Some((held, result)) = clients[who].last_end else { continue };
                    let _ = world.end("t", held, result, speaks(who));
                }
                Step::Look => task.look(&mut world)?,
                Step::LoseAnswer => {
                    if task.taking.and_then(|id| world.answer(id)).is_some() {
                        task.ask(&mut world, true);
                    }
                }
                Step::Finish { which, heard } => task.finish(&mut world, which, heard),
                Step::See => task.see(),
                Step::FenceTimedOut => {
                    for it in std::mem::take(&mut task.timed_out) {
                        let fresh = Some(world.fresh());
                        let request = TransactionRequest::FenceTimedOut { id: it.id, producer: it.producer, fresh };
                        let _: Result<Producer, Refused> = world.ask(request);
                    }
                }
                Step::Wait { ms } => world.wait(ms),
                Step::Restart { reloads } => {
                    world.restart();
                    // Their connections broke; they will ask again.
                    waiting.clear();
                    if !reloads {
                        task = Task::default();
                    }
                    // What the task was told it will look at; what it waits for does not come any more.
                    if !task.is_told(&world) {
                        task.ask(&mut world, reloads);
                    }
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
            prop_assert_eq!(world.shard.decisions.len(), usize::from(after.result().is_some()));
        }
        task.settle(&mut world)?;
        prop_assert!(world.shard.decisions.is_empty(), "a transaction is never ended");
        world.wait(minutes(1));
        waiting.retain(|id| world.answers.remove(id).is_none());
        prop_assert!(waiting.is_empty(), "everybody was answered");
    }
}
