//! What heartbeats and their absence do to brokers and partitions.

use std::time::Duration;

use super::*;
use crate::base::ErrorCode;
use crate::controller::testing::{World, heartbeat};
use crate::metadata::MetadataRecord;
use uuid::Uuid;

#[test]
fn a_broker_is_unfenced_once_it_has_read_its_registration() {
    let mut world = World::new(&[]);
    let request = crate::controller::testing::registration(1, &world.cluster_id(), 1);
    let decision =
        world.controller.register_broker(&world.image, world.now, &request, super::super::broker_registration::Origin::Network);
    world.take(decision);
    let registered_at = world.image.broker(1).unwrap().registered_at;
    for (offset, caught_up) in [(registered_at - 1, false), (registered_at, true)] {
        let beat = heartbeat(1, world.epoch_of(1), offset);
        let decision = world.controller.broker_heartbeat(&world.image, world.now, &beat);
        let response = world.take(decision);
        assert_eq!((response.is_caught_up, response.is_fenced), (caught_up, !caught_up));
        assert_eq!(world.image.is_active(1), caught_up);
    }
}

#[test]
fn another_epoch_is_stale() {
    let mut world = World::new(&[1]);
    for (id, epoch) in [(1, world.epoch_of(1) + 1), (9, 1)] {
        let decision = world.controller.broker_heartbeat(&world.image, world.now, &heartbeat(id, epoch, 0));
        assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
    }
}

#[test]
fn fencing_hands_leadership_over_and_unfencing_does_not_take_it_back() {
    let mut world = World::new(&[1, 2]);
    world.create_on("t", &[&[1, 2]]);
    assert!(world.beat(1, true, false).is_fenced);
    assert_eq!(world.state("t", 0), "2@1 [2] []/[] 1");
    assert!(!world.beat(1, false, false).is_fenced);
    assert_eq!(world.state("t", 0), "2@1 [2] []/[] 1");
}

#[test]
fn silence_is_answered_by_fencing_one_broker_after_the_other() {
    let mut world = World::new(&[1, 2, 3]);
    world.create_on("t", &[&[1, 2, 3]]);
    world.now = Mono::from_millis(1_000);
    world.beat(3, false, false);
    assert_eq!(world.controller.next_deadline(), Mono::from_millis(9_000) + Duration::from_nanos(1));
    world.now = Mono::from_millis(9_001);
    for (state, fenced) in [("2@1 [2, 3] []/[] 1", [true, false, false]), ("3@2 [3] []/[] 2", [true, true, false])] {
        let decision = world.controller.on_time(&world.image, world.now);
        world.take(decision);
        assert_eq!(world.state("t", 0), state);
        assert_eq!([1, 2, 3].map(|id| world.image.broker(id).unwrap().fenced), fenced);
    }
    let decision = world.controller.on_time(&world.image, world.now);
    assert_eq!(decision.records, []);
}

#[test]
fn a_new_controller_gives_everybody_a_full_session() {
    let mut world = World::new(&[1, 2]);
    world.now = Mono::from_millis(100_000);
    world.controller = Controller::new(crate::controller::testing::settings(""), 2, &world.image, world.now);
    assert_eq!(world.controller.on_time(&world.image, world.now).records, []);
    assert_eq!(world.controller.next_deadline(), Mono::from_millis(109_000) + Duration::from_nanos(1));
}

#[test]
fn a_controlled_shutdown_waits_until_the_others_have_read_of_it() {
    let mut world = World::new(&[1, 2]);
    world.create_on("t", &[&[1, 2]]);
    let first = world.beat(1, false, true);
    assert!(!first.should_shut_down && !first.is_fenced);
    assert_eq!(world.state("t", 0), "2@1 [2] []/[] 1");
    assert!(world.image.broker(1).unwrap().in_controlled_shutdown);
    assert!(!world.beat(1, false, true).should_shut_down, "broker 2 has not been heard of since");
    world.beat(2, false, false);
    let last = world.beat(1, false, true);
    assert!(last.should_shut_down && last.is_fenced);
    assert!(world.image.broker(1).unwrap().fenced);
}

#[test]
fn a_sole_broker_may_stop_with_its_second_heartbeat() {
    let mut world = World::new(&[1]);
    world.create_on("t", &[&[1]]);
    assert!(!world.beat(1, false, true).should_shut_down);
    assert_eq!(world.state("t", 0), "-1@1 [] [1]/[1] 1");
    assert!(world.beat(1, false, true).should_shut_down);
    assert_eq!(world.beat(1, true, true).error_code, 0, "asking again does no harm");
}

#[test]
fn an_offline_directory_takes_its_replicas_with_it() {
    let mut world = World::new(&[1, 2]);
    let (good, bad) = (Uuid::from_u128(501), Uuid::from_u128(700));
    let epoch = world.epoch_of(1);
    let dirs = MetadataRecord::BrokerRegistrationChange {
        broker_id: 1,
        broker_epoch: epoch,
        fenced: None,
        in_controlled_shutdown: None,
        log_dirs: Some(vec![good, bad]),
    };
    world.take(Decision::atomic(vec![dirs], ()));
    let topic_id = world.create_on("t", &[&[1, 2], &[1, 2]]);
    for (partition, dir) in [(0, good), (1, bad)] {
        let directories = Some([dir, Uuid::from_u128(502)].into_iter().collect());
        let change = crate::metadata::PartitionChange { topic_id, partition, directories, ..Default::default() };
        world.take(Decision::atomic(vec![MetadataRecord::PartitionChange(Box::new(change))], ()));
    }
    let beat = heartbeat(1, epoch, world.image.offset()).with_offline_log_dirs(vec![bad]);
    for _ in 0..2 {
        let decision = world.controller.broker_heartbeat(&world.image, world.now, &beat);
        world.take(decision);
        assert_eq!(world.state("t", 0), "1@0 [1, 2] []/[] 1");
        assert_eq!(world.state("t", 1), "2@1 [2] []/[] 2");
        assert_eq!(world.image.broker(1).unwrap().log_dirs, [good]);
    }
}

#[test]
fn a_broker_that_was_fenced_while_it_shut_down_and_comes_back_may_lead() {
    let mut world = World::new(&[1]);
    world.create_on("t", &[&[1]]);
    world.beat(1, false, true);
    world.beat(1, true, false);
    world.now = Mono::from_millis(10_000);
    let decision = world.controller.on_time(&world.image, world.now);
    world.take(decision);
    assert!(world.image.broker(1).unwrap().fenced);
    world.beat(1, false, false);
    assert!(world.image.is_active(1));
    assert_eq!(world.state("t", 0), "1@2 [1] []/[] 2");
}
