//! Outcomes of UpdateFeatures, and what a switch of ELR entails.

use super::*;
use crate::controller::testing::{World, text, told};

fn update(world: &mut World, name: &str, level: i16, upgrade_type: i8, version: i16) -> String {
    let update = FeatureUpdateKey::default()
        .with_feature(text(name))
        .with_max_version_level(level)
        .with_upgrade_type(upgrade_type)
        .with_allow_downgrade(upgrade_type > 1);
    let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
    let decision = world.controller.update_features(&world.image, &request, version);
    let response = world.take(decision);
    assert_eq!(response.results.len(), usize::from(response.error_code == 0 && version <= 1));
    let message = told(response.error_code, &response.error_message);
    message.replace("The update failed for all features since the following feature had an error: ", "")
}

#[test]
fn outcomes_are_kafkas() {
    let elr = "Invalid update version";
    let refusing = "Refusing to perform the requested downgrade because it might delete metadata information.";
    for (name, level, upgrade_type, expected) in [
        ("metadata.version", 30, 1, "0".to_owned()),
        (
            "metadata.version",
            31,
            1,
            format!("95: {elr} 31 for feature metadata.version. Local controller 1 only supports versions 7-30"),
        ),
        (
            "metadata.version",
            6,
            2,
            format!("95: {elr} 6 for feature metadata.version. Local controller 1 only supports versions 7-30"),
        ),
        ("metadata.version", 29, 2, format!("95: Invalid metadata.version 29. {refusing}")),
        (
            "metadata.version",
            29,
            3,
            "95: Invalid metadata.version 29. Unsafe metadata downgrade is not supported in this version.".into(),
        ),
        (
            "group.version",
            1,
            1,
            format!("95: {elr} 1 for feature group.version. Local controller 1 does not support this feature."),
        ),
        (
            "eligible.leader.replicas.version",
            0,
            1,
            format!(
                "95: {elr} 0 for feature eligible.leader.replicas.version. Can't downgrade the version of this feature without setting the \
                 upgrade type to either safe or unsafe downgrade."
            ),
        ),
        ("eligible.leader.replicas.version", 0, 2, "0".into()),
        ("eligible.leader.replicas.version", 0, 3, "0".into()),
        (
            "eligible.leader.replicas.version",
            -1,
            2,
            format!("95: {elr} -1 for feature eligible.leader.replicas.version. A feature version cannot be less than 0."),
        ),
        (
            "eligible.leader.replicas.version",
            1,
            0,
            format!(
                "95: {elr} 1 for feature eligible.leader.replicas.version. The controller does not support the given upgrade type."
            ),
        ),
    ] {
        let mut world = World::new(&[1]);
        assert_eq!(update(&mut world, name, level, upgrade_type, 1), expected, "{name} to {level}, type {upgrade_type}");
        assert_eq!(update(&mut world, "metadata.version", 30, 1, 2), "0");
    }
}

#[test]
fn version_0_says_downgrade_by_a_flag() {
    let mut world = World::new(&[1]);
    assert_eq!(update(&mut world, ELIGIBLE_LEADER_REPLICAS_VERSION, 0, 2, 0), "0");
    assert_eq!(world.image.feature_level(ELIGIBLE_LEADER_REPLICAS_VERSION), 0);
}

#[test]
fn a_broker_that_does_not_know_a_feature_stands_in_its_way() {
    let mut world = World::new(&[1]);
    update(&mut world, ELIGIBLE_LEADER_REPLICAS_VERSION, 0, 2, 1);
    let mut broker = (**world.image.broker(1).unwrap()).clone();
    broker.features.remove(ELIGIBLE_LEADER_REPLICAS_VERSION);
    world.take(Decision::atomic(vec![MetadataRecord::RegisterBroker(Box::new(broker))], ()));
    assert_eq!(
        update(&mut world, ELIGIBLE_LEADER_REPLICAS_VERSION, 1, 1, 1),
        "95: Invalid update version 1 for feature eligible.leader.replicas.version. Broker 1 does not support this feature."
    );
}

#[test]
fn switching_elr_leaves_one_minimum_for_all_and_no_elr_of_another_time() {
    let mut world = World::new(&[1, 2]);
    world.create_on("t", &[&[1, 2]]);
    world.set(ResourceType::Topic, "t", MIN_INSYNC_REPLICAS, "2");
    world.beat(2, true, false);
    assert_eq!(world.state("t", 0), "1@0 [1] [2]/[] 1");
    update(&mut world, ELIGIBLE_LEADER_REPLICAS_VERSION, 0, 2, 1);
    assert_eq!(world.state("t", 0), "1@0 [1] []/[] 2");

    let set = |world: &mut World, name: &str, value: Option<&str>| {
        let resource = ConfigResource::new(ResourceType::Broker, name);
        let record = MetadataRecord::Config { resource, key: MIN_INSYNC_REPLICAS.into(), value: value.map(Into::into) };
        world.take(Decision::atomic(vec![record], ()));
    };
    set(&mut world, "", None);
    set(&mut world, "2", Some("2"));
    update(&mut world, ELIGIBLE_LEADER_REPLICAS_VERSION, 1, 1, 1);
    let of = |name: &str| world.image.configs().get(ResourceType::Broker, name).get(MIN_INSYNC_REPLICAS).map(str::to_owned);
    assert_eq!((of(""), of("2")), (Some("1".into()), None));
}

#[test]
fn validate_only_writes_nothing() {
    let mut world = World::new(&[1]);
    let update = FeatureUpdateKey::default().with_feature(text(ELIGIBLE_LEADER_REPLICAS_VERSION)).with_upgrade_type(2);
    let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_validate_only(true);
    let decision = world.controller.update_features(&world.image, &request, 1);
    assert_eq!((decision.response.error_code, decision.records), (0, vec![]));
}
