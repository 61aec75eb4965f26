//! The checker can fail, from one end to the other: behind a proxy that falsifies, the same run shows every class of anomaly.

use std::collections::BTreeSet;

use super::analysis::{Class, analyze};
use super::process::Launch;
use super::proxy::{Fault, Proxy};
use super::workload::{Crowd, Run};

fn finds(fault: Fault, classes: &[Class]) {
    finds_with(Crowd { producers: 1, transactional: 2, readers: 2 }, 800, fault, classes);
}

/// Runs until all of the classes have been found: what clients do is up to chance.
fn finds_with(crowd: Crowd, writes: usize, fault: Fault, classes: &[Class]) {
    let mut found = BTreeSet::new();
    for seed in 1..=12 {
        let proxy = Proxy::bind();
        let advertised = format!("advertised.listeners=PLAINTEXT://{}", proxy.address());
        let broker = Launch::with(&["group.initial.rebalance.delay.ms=0", &advertised]).in_memory().start();
        let run = Run::new(proxy.address().to_string(), seed);
        proxy.serve(broker.address(), fault);
        run.work(crowd, |run| run.wait_for_writes(writes));
        found.extend(analyze(&run.recorder.history()).classes());
        if classes.iter().all(|class| found.contains(class)) {
            return;
        }
    }
    panic!("{fault:?}: found {found:?}");
}

#[test]
fn lost_writes() {
    finds(Fault::LosesBatches, &[Class::LostWrite]);
}

#[test]
fn unseen_writes() {
    finds(Fault::LosesTheEnd, &[Class::Unseen]);
}

#[test]
fn skipped_polls() {
    finds(Fault::SkipsBatches, &[Class::PollSkip]);
}

#[test]
fn aborted_reads() {
    finds(Fault::ForgetsAborts, &[Class::AbortedRead]);
}

#[test]
fn precommitted_reads_and_circular_information() {
    let crowd = Crowd { producers: 0, transactional: 4, readers: 1 };
    finds_with(crowd, 300, Fault::ReadsUncommitted, &[Class::PrecommittedRead, Class::CircularInformation]);
}

#[test]
fn inconsistent_offsets() {
    finds(Fault::AcknowledgesOthers, &[Class::InconsistentOffsets]);
}

#[test]
fn duplicates() {
    finds(Fault::WritesTwice, &[Class::Duplicate]);
}

#[test]
fn sends_out_of_order() {
    finds(Fault::AcknowledgesBackwards, &[Class::NonmonotonicSend]);
}

#[test]
fn polls_out_of_order() {
    finds(Fault::ReordersBatches, &[Class::NonmonotonicPoll]);
}

#[test]
fn lost_commits() {
    finds(Fault::ForgetsCommits, &[Class::LostCommit]);
}
