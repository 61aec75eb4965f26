//! Who is taken in as a broker, and what becomes of what its last incarnation held.

use super::*;
use crate::controller::testing::{World, registration};
use crate::metadata::METADATA_VERSION;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// Registers over the network; the error code and the epoch.
fn register(world: &mut World, request: &BrokerRegistrationRequest) -> (i16, i64) {
    let decision = world.controller.register_broker(&world.image, world.now, request, Origin::Network);
    let response = world.take(decision);
    (response.error_code, response.broker_epoch)
}

#[test]
fn refusals_are_kafkas() {
    let mut world = World::new(&[1]);
    let cluster_id = world.cluster_id();
    let good = registration(2, &cluster_id, 9);
    let dir = Uuid::from_u128(600);
    let without = |feature: &str| {
        let mut features = good.features.clone();
        features.retain(|f| *f.name != *feature);
        good.clone().with_features(features)
    };
    let mut old = good.clone();
    old.features[0].max_supported_version = 29;
    for (request, code) in [
        (good.clone().with_cluster_id(StrBytes::from_static_str("another")), ErrorCode::InconsistentClusterId),
        (registration(1, &cluster_id, 9), ErrorCode::DuplicateBrokerRegistration),
        (good.clone().with_is_migrating_zk_broker(true), ErrorCode::BrokerIdNotRegistered),
        (good.clone().with_log_dirs(vec![]), ErrorCode::InvalidRegistration),
        (good.clone().with_log_dirs(vec![dir, Uuid::from_u128(1)]), ErrorCode::InvalidRegistration),
        (good.clone().with_log_dirs(vec![dir, dir]), ErrorCode::InvalidRegistration),
        (good.clone().with_log_dirs(vec![Uuid::from_u128(501)]), ErrorCode::InvalidRegistration),
        (without(METADATA_VERSION), ErrorCode::InvalidRegistration),
        (without("eligible.leader.replicas.version"), ErrorCode::UnsupportedVersion),
        (old, ErrorCode::UnsupportedVersion),
    ] {
        assert_eq!(register(&mut world, &request), (code.code(), -1), "{request:?}");
    }
    assert_eq!(register(&mut world, &good).0, 0);
}

#[test]
fn a_new_incarnation_gets_a_new_epoch_and_starts_fenced() {
    let mut world = World::new(&[1]);
    let request = registration(2, &world.cluster_id(), 9);
    let (_, first) = register(&mut world, &request);
    assert!(world.image.broker(2).unwrap().fenced);
    world.beat(2, false, false);
    assert!(!world.image.broker(2).unwrap().fenced);

    let amended = request.clone().with_rack(Some(StrBytes::from_static_str("r")));
    assert_eq!(register(&mut world, &amended), (0, first), "the same incarnation keeps its epoch");
    let broker = world.image.broker(2).unwrap();
    assert!(!broker.fenced && broker.rack.as_deref() == Some("r"));

    let again = request.with_incarnation_id(Uuid::from_u128(10));
    assert_eq!(register(&mut world, &again).0, ErrorCode::DuplicateBrokerRegistration.code());
    world.now = Mono::from_millis(9_001);
    let (code, second) = register(&mut world, &again);
    assert!(code == 0 && second > first && world.image.broker(2).unwrap().fenced, "once the session has expired");
}

#[test]
fn the_broker_in_this_process_is_taken_in_at_once() {
    let mut world = World::new(&[1]);
    let request = registration(1, &world.cluster_id(), 77);
    let decision = world.controller.register_broker(&world.image, world.now, &request, Origin::SameProcess);
    assert_eq!(world.take(decision).error_code, 0);
}

#[test]
fn how_the_last_incarnation_ended_decides_what_becomes_of_its_replicas() {
    for (min_isr, clean, expected) in
        [("1", true, "2@1 [2] []/[] 1"), ("2", true, "2@1 [2] [1]/[] 1"), ("2", false, "2@1 [2] []/[] 1")]
    {
        let mut world = World::new(&[1, 2]);
        world.create_on("t", &[&[1, 2]]);
        world.set(crate::metadata::ResourceType::Topic, "t", "min.insync.replicas", min_isr);
        let epoch = world.epoch_of(1);
        let request = registration(1, &world.cluster_id(), 5).with_previous_broker_epoch(if clean { epoch } else { epoch - 1 });
        let decision = world.controller.register_broker(&world.image, world.now, &request, Origin::SameProcess);
        world.take(decision);
        assert_eq!(world.state("t", 0), expected, "min.insync.replicas {min_isr}, clean: {clean}");
    }
}

#[test]
fn a_sole_replica_leads_again_after_a_clean_stop_and_recovers_after_another() {
    for (clean, restarted) in [(true, "1@2 [1] []/[] 2"), (false, "1@2 [1] []/[] 2 recovering")] {
        let mut world = World::new(&[1]);
        world.create_on("t", &[&[1]]);
        let previous = if clean { world.epoch_of(1) } else { -1 };
        let request = registration(1, &world.cluster_id(), 5).with_previous_broker_epoch(previous);
        let decision = world.controller.register_broker(&world.image, world.now, &request, Origin::SameProcess);
        world.take(decision);
        let down = if clean { "-1@1 [] [1]/[1] 1" } else { "-1@1 [] []/[1] 1" };
        assert_eq!(world.state("t", 0), down);
        world.beat(1, false, false);
        assert_eq!(world.state("t", 0), restarted);
    }
}

#[test]
fn unregistering_takes_the_broker_out_of_everything() {
    let mut world = World::new(&[1, 2]);
    world.create_on("t", &[&[1, 2]]);
    let request = UnregisterBrokerRequest::default().with_broker_id(1.into());
    let decision = world.controller.unregister_broker(&world.image, &request);
    assert_eq!(world.take(decision).error_code, 0);
    assert!(world.image.broker(1).is_none());
    assert_eq!(world.state("t", 0), "2@1 [2] []/[] 1");
    let decision = world.controller.unregister_broker(&world.image, &request);
    assert_eq!(decision.response.error_code, ErrorCode::BrokerIdNotRegistered.code());
    assert_eq!(decision.response.error_message.as_deref(), Some("Broker ID 1 is not currently registered"));
}
