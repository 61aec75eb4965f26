//! Leader, follower and a restarted broker know the same of the same log.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::disk::RealDisk;
use TransactionResult::{Abort, Commit};

#[derive(Clone, Debug)]
enum Step {
    Data { pid: ProducerId, epoch: ProducerEpoch, sequence_ahead: i32, count: i32, transactional: bool },
    End { pid: ProducerId, epoch: ProducerEpoch, abort: bool },
    HighWatermark,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1i64..4, 0i16..3, prop_oneof![8 => Just(0), 1 => -3..3], 1i32..4, any::<bool>())
            .prop_map(|(pid, epoch, sequence_ahead, count, transactional)| Step::Data { pid, epoch, sequence_ahead, count, transactional }),
        3 => (1i64..4, 0i16..3, any::<bool>()).prop_map(|(pid, epoch, abort)| Step::End { pid, epoch, abort }),
        1 => Just(Step::HighWatermark),
    ]
}

type Logged = (BatchHeader, Option<TimedMarker>);

/// What a leader accepts of the steps, in order.
fn lead(steps: &[Step]) -> (ProducerStateManager, Vec<Logged>) {
    let (mut manager, mut log) = (ProducerStateManager::default(), Vec::new());
    for step in steps {
        let offset = manager.map_end_offset();
        let (origin, header, marker) = match *step {
            Step::HighWatermark => {
                manager.on_high_watermark_updated(offset);
                continue;
            }
            Step::Data { pid, epoch, sequence_ahead, count, transactional } => {
                let current = manager.entry(pid).filter(|entry| entry.epoch == epoch);
                let next = current.map_or(0, |entry| entry.last_sequence() + 1);
                let data = data(epoch, (next + sequence_ahead).max(0), offset).pid(pid).count(count);
                (AppendOrigin::Client, Data { transactional, ..data }.header(), None)
            }
            Step::End { pid, epoch, abort } => {
                let result = if abort { Abort } else { Commit };
                (MARKERS, marker_header(data(epoch, 0, offset).pid(pid)), Some(super::marker(result, 0)))
            }
        };
        if marker.is_none() && manager.find_duplicate(&header).is_some() {
            continue;
        }
        if write(&mut manager, origin, &header, marker.as_ref()).is_ok() {
            log.push((header, marker));
        }
        let oldest = manager.ongoing().next().map(|txn| txn.first_offset);
        assert_eq!(oldest, manager.first_undecided_offset());
        assert!(manager.first_unstable_offset() <= oldest || oldest.is_none());
        assert!(manager.producers().all(|(_, entry)| entry.batches().len() <= WINDOW));
    }
    (manager, log)
}

fn write(
    manager: &mut ProducerStateManager,
    origin: AppendOrigin,
    header: &BatchHeader,
    marker: Option<&TimedMarker>,
) -> Result<(), ProducerStateError> {
    let mut updates = ProducerUpdates::new(origin);
    manager.stage(&mut updates, header, marker)?;
    manager.apply(&updates);
    updates.completed().iter().for_each(|txn| manager.complete_txn(txn));
    manager.set_map_end_offset(header.next_offset());
    Ok(())
}

fn follow(manager: &mut ProducerStateManager, log: &[Logged]) {
    for (header, marker) in
        log.iter().filter(|(header, _)| header.base_offset >= manager.map_end_offset()).copied().collect::<Vec<_>>()
    {
        write(manager, AppendOrigin::Replication, &header, marker.as_ref()).unwrap();
    }
}

/// Everything that matters, without the older batches if `last_batch_only`.
fn state(manager: &ProducerStateManager, last_batch_only: bool) -> (BTreeMap<ProducerId, String>, Vec<TxnMetadata>, Offset) {
    let describe = |entry: &ProducerStateEntry| {
        let batches =
            if last_batch_only { entry.last_batch().into_iter().collect() } else { entry.batches().iter().collect::<Vec<_>>() };
        format!("{:?}", (entry.epoch, entry.coordinator_epoch, entry.last_timestamp, entry.txn_first_offset, batches))
    };
    let producers = manager.producers().map(|(id, entry)| (id, describe(entry))).collect();
    (producers, manager.ongoing().copied().collect(), manager.map_end_offset())
}

proptest! {
    #[test]
    fn a_follower_knows_what_the_leader_knows(steps in vec(step(), 0..60)) {
        let (leader, log) = lead(&steps);
        let mut follower = ProducerStateManager::default();
        follow(&mut follower, &log);
        prop_assert_eq!(state(&follower, false), state(&leader, false));
    }

    #[test]
    fn a_restart_knows_what_the_log_says(steps in vec(step(), 0..40), cut in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
        let (_, log) = lead(&steps);
        let dir = tempfile::tempdir().unwrap();
        let (at, kept) = (cut.index(log.len() + 1), end.index(log.len() + 1));
        let mut manager = ProducerStateManager::default();
        follow(&mut manager, &log[..at]);
        manager.take_snapshot(&RealDisk, dir.path(), false).unwrap();
        follow(&mut manager, &log);

        // The log is cut to `kept` batches, which may lie on either side of the snapshot.
        let log_end = kept.checked_sub(1).map_or(0, |last| log[last].0.next_offset());
        manager.truncate_and_reload(&RealDisk, dir.path(), (0, log_end), NOW, EXPIRATION_MS).unwrap();
        prop_assert!(manager.map_end_offset() <= log_end);
        follow(&mut manager, &log[..kept]);
        let mut fresh = ProducerStateManager::default();
        follow(&mut fresh, &log[..kept]);
        prop_assert_eq!(state(&manager, true), state(&fresh, true));
    }

    #[test]
    fn any_bytes_make_a_snapshot_or_an_error(bytes in vec(any::<u8>(), 0..200), sealed in any::<bool>()) {
        let mut bytes = bytes;
        if sealed && bytes.len() >= 10 {
            bytes[..2].copy_from_slice(&1i16.to_be_bytes());
            let count = ((bytes.len() - 10) / 46) as i32;
            bytes[6..10].copy_from_slice(&count.to_be_bytes());
            bytes.truncate(10 + 46 * count as usize);
            let crc = crc32c::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            prop_assert_eq!(decode_snapshot(&bytes).unwrap().len() as i32, count);
        } else {
            prop_assert!(decode_snapshot(&bytes).is_err());
        }
    }
}
