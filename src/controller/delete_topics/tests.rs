//! Outcomes of DeleteTopics, by name and by id.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

use super::*;
use crate::controller::testing::{World, text, told};

/// A topic in a request: `name`, `#name` for its id, `##` for an unknown id, `name#` for both, `-` for neither.
fn states(world: &World, asked: &str) -> Vec<DeleteTopicState> {
    let id = |name: &str| world.image.topics().id_of(name).unwrap();
    let state = |word: &str| match word {
        "-" => DeleteTopicState::default().with_name(None),
        "##" => DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(999_999)),
        _ => match (word.strip_prefix('#'), word.strip_suffix('#')) {
            (Some(name), _) => DeleteTopicState::default().with_name(None).with_topic_id(id(name)),
            (_, Some(name)) => DeleteTopicState::default().with_name(Some(text(name).into())).with_topic_id(id(name)),
            _ => DeleteTopicState::default().with_name(Some(text(word).into())),
        },
    };
    asked.split_whitespace().map(state).collect()
}

#[test]
fn outcomes_are_kafkas() {
    let twice = "42: The provided topic name maps to an ID that was already supplied.";
    for (asked, left, expected) in [
        ("a", "b c", vec!["a 0".to_owned()]),
        ("#a b", "c", vec!["a 0".into(), "b 0".into()]),
        ("nix", "a b c", vec!["nix 3: This server does not host this topic-partition.".into()]),
        ("##", "a b c", vec!["? 100: This server does not host this topic ID.".into()]),
        ("-", "a b c", vec!["? 42: Neither topic name nor id were specified.".into()]),
        ("a#", "a b c", vec!["a 42: You may not specify both topic name and topic id.".into()]),
        ("a a b", "a c", vec!["a 42: Duplicate topic name.".into(), "b 0".into()]),
        ("#a #a b", "a c", vec!["? 42: Duplicate topic id.".into(), "b 0".into()]),
        ("#a a b", "a c", vec![format!("a {twice}"), "b 0".into()]),
        ("#a #a a", "a b c", vec!["? 42: Duplicate topic id.".into(), format!("a {twice}")]),
    ] {
        let mut world = World::new(&[1]);
        for name in ["a", "b", "c"] {
            world.create_on(name, &[&[1]]);
        }
        let request = DeleteTopicsRequest::default().with_topics(states(&world, asked));
        let decision = world.controller.delete_topics(&world.image, &request, 6).unwrap();
        let results = world.take(decision).responses;
        let mut told: Vec<String> = results
            .iter()
            .map(|r| format!("{} {}", r.name.as_ref().map_or("?", |n| &*n.0), told(r.error_code, &r.error_message)))
            .collect();
        told.sort();
        assert_eq!(told, expected, "{asked}");
        let names: Vec<String> = world.image.topics().iter().map(|t| t.name.to_string()).collect();
        assert_eq!(names.join(" "), left, "{asked}");
    }
}

#[test]
fn old_versions_name_topics_in_another_field() {
    let mut world = World::new(&[1]);
    world.create_on("a", &[&[1]]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![text("a").into()]);
    let decision = world.controller.delete_topics(&world.image, &request, 5).unwrap();
    assert_eq!(world.take(decision).responses[0].error_code, 0);
    assert!(world.image.topics().is_empty());
}

#[test]
fn deletion_can_be_turned_off() {
    let mut world = World::with_settings(&[1], "delete.topic.enable = false\n");
    world.create_on("a", &[&[1]]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![text("a").into()]);
    for (version, code) in [(1, ErrorCode::InvalidRequest), (3, ErrorCode::TopicDeletionDisabled)] {
        assert_eq!(world.controller.delete_topics(&world.image, &request, version).unwrap_err().code, code);
    }
}
