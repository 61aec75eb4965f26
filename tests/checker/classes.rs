//! The analysis can fail: every class is found in a history that has it, and in no other.

use super::analysis::{Class, analyze};
use super::history::{History, Operation, Outcome, Step};

/// Process, outcome and steps of operations, one after the other.
type Told = Vec<(usize, Outcome, Vec<Step>)>;

fn operations(operations: Told) -> History {
    let operation = |(n, (process, outcome, steps)): (usize, (usize, Outcome, Vec<Step>))| Operation {
        process,
        transaction: steps.len() > 1,
        invoked: n as u64,
        outcome,
        steps,
    };
    operations.into_iter().enumerate().map(operation).collect()
}

fn send(value: u64, offset: i64) -> Step {
    Step::Send { key: 0, value, offset: Some(offset) }
}

fn unacknowledged(value: u64) -> Step {
    Step::Send { key: 0, value, offset: None }
}

fn poll(records: &[(i64, u64)]) -> Step {
    Step::Poll(records.iter().map(|(offset, value)| (0, *offset, *value)).collect())
}

fn found(history: Told) -> Vec<Class> {
    analyze(&operations(history)).classes().into_iter().collect()
}

#[test]
fn a_history_without_fault_has_no_anomaly() {
    use Outcome::*;
    let history = vec![
        (1, Ok, vec![send(1, 0)]),
        (1, Unknown, vec![unacknowledged(2)]),
        (1, Fail, vec![unacknowledged(3)]),
        (2, Ok, vec![send(4, 2), send(5, 3)]),
        (3, Fail, vec![send(6, 5), send(7, 6)]),
        (4, Ok, vec![poll(&[(0, 1), (2, 4)])]),
        (4, Ok, vec![poll(&[(3, 5), (8, 2)])]),
        (4, Ok, vec![Step::Commit { key: 0, offset: 9 }]),
        (4, Unknown, vec![Step::Commit { key: 0, offset: 10 }]),
        (4, Ok, vec![Step::Committed { key: 0, offset: Some(10) }]),
        (4, Ok, vec![Step::Seek]),
        (4, Ok, vec![poll(&[(0, 1), (2, 4), (3, 5), (8, 2)])]),
    ];
    assert_eq!(found(history), []);
}

#[test]
fn every_class_is_found() {
    use Outcome::*;
    let cases: Vec<(Vec<Class>, Told)> = vec![
        (vec![Class::LostWrite], vec![(1, Ok, vec![send(1, 0)]), (1, Ok, vec![send(2, 1)]), (2, Ok, vec![poll(&[(1, 2)])])]),
        (vec![Class::LostWrite], vec![(1, Unknown, vec![unacknowledged(1), unacknowledged(2)]), (2, Ok, vec![poll(&[(1, 2)])])]),
        (vec![Class::Unseen], vec![(1, Ok, vec![send(1, 0)]), (1, Ok, vec![send(2, 1)]), (2, Ok, vec![poll(&[(0, 1)])])]),
        (vec![Class::AbortedRead], vec![(1, Fail, vec![unacknowledged(1)]), (2, Ok, vec![poll(&[(0, 1)])])]),
        (vec![Class::AbortedRead], vec![(2, Ok, vec![poll(&[(0, 1)])])]),
        (vec![Class::PrecommittedRead], vec![(1, Ok, vec![send(1, 0), poll(&[(0, 1)])])]),
        (
            vec![Class::InconsistentOffsets],
            vec![
                (1, Ok, vec![send(1, 0)]),
                (1, Unknown, vec![unacknowledged(2)]),
                { (2, Ok, vec![poll(&[(0, 2)])]) },
                (3, Ok, vec![poll(&[(0, 1)])]),
            ],
        ),
        (vec![Class::Duplicate], vec![(1, Ok, vec![send(1, 0)]), (2, Ok, vec![poll(&[(0, 1), (1, 1)])])]),
        (
            vec![Class::NonmonotonicPoll],
            vec![(1, Ok, vec![send(1, 0)]), (2, Ok, vec![poll(&[(0, 1)])]), (2, Ok, vec![poll(&[(0, 1)])])],
        ),
        (
            vec![Class::PollSkip],
            vec![
                (1, Ok, vec![send(1, 0)]),
                (1, Ok, vec![send(2, 1)]),
                (1, Ok, vec![send(3, 2)]),
                (2, Ok, vec![poll(&[(0, 1), (1, 2), (2, 3)])]),
                (3, Ok, vec![poll(&[(0, 1), (2, 3)])]),
            ],
        ),
        (
            vec![Class::NonmonotonicSend],
            vec![(1, Ok, vec![send(1, 1)]), (1, Ok, vec![send(2, 0)]), (2, Ok, vec![poll(&[(0, 2), (1, 1)])])],
        ),
        (
            vec![Class::CircularInformation],
            vec![(1, Ok, vec![send(1, 0), poll(&[(1, 2)])]), (2, Ok, vec![send(2, 1), poll(&[(0, 1)])])],
        ),
        (
            vec![Class::LostCommit],
            vec![(1, Ok, vec![Step::Commit { key: 0, offset: 9 }]), (1, Ok, vec![Step::Committed { key: 0, offset: Some(4) }])],
        ),
        (
            vec![Class::LostCommit],
            vec![(1, Ok, vec![Step::Commit { key: 0, offset: 9 }]), (1, Ok, vec![Step::Committed { key: 0, offset: None }])],
        ),
    ];
    for (expected, history) in cases {
        assert_eq!(found(history.clone()), expected, "{history:?}");
    }
}

#[test]
fn interleaved_writes_of_transactions_are_counted_and_allowed() {
    use Outcome::*;
    let history = operations(vec![
        (1, Ok, vec![send(1, 0), send(3, 2)]),
        (2, Ok, vec![send(2, 1), send(4, 3)]),
        (3, Ok, vec![poll(&[(0, 1), (1, 2), (2, 3), (3, 4)])]),
    ]);
    let report = analyze(&history);
    assert_eq!((report.anomalies.len(), report.write_cycles), (0, 1));
}
