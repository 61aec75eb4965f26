//! What a broker judges of an alteration of configuration before the controller does (`ConfigAdminManager.preprocess`), and how its answer
//! is put together: one result for every resource of the request, in the order of the request.

use std::collections::{HashMap, HashSet};

use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::base::ids::BrokerId;
use crate::controller::ApiError;
use crate::metadata::ResourceType;

/// A resource of a request: its type and its name.
pub type Key = (i8, StrBytes);
/// What became of a resource: error code and message.
pub type Outcome = (i16, Option<StrBytes>);

/// The resources of a request, in its order; and what became of those that are not for the controller to decide.
pub struct Preprocessed(Vec<(Key, Option<Result<(), ApiError>>)>);

impl Preprocessed {
    /// `keys` gives the keys that are to be altered, and whether a value is missing that the operation needs; `own` alters what belongs to
    /// this broker alone.
    pub fn new<'a, R, K>(
        node: BrokerId,
        resources: &'a [R],
        key: impl Fn(&R) -> Key,
        keys: impl Fn(&'a R) -> K,
        own: impl Fn(&R) -> Option<Result<(), ApiError>>,
    ) -> Self
    where
        K: Iterator<Item = (&'a str, bool)>,
    {
        let mut times: HashMap<Key, usize> = HashMap::new();
        for resource in resources {
            *times.entry(key(resource)).or_default() += 1;
        }
        let judged = resources.iter().map(|resource| {
            let key = key(resource);
            let settled = match times[&key] {
                1 => match malformed(keys(resource)) {
                    Some(error) => Some(Err(error)),
                    None => own(resource).or_else(|| refusal(node, &key).map(Err)),
                },
                _ => Some(Err(invalid("Each resource must appear at most once."))),
            };
            (key, settled)
        });
        Self(judged.collect())
    }

    /// Leaves what the controller has to decide.
    pub fn retain<R>(&self, resources: &mut Vec<R>) {
        let mut judged = self.0.iter();
        resources.retain(|_| judged.next().is_some_and(|(_, settled)| settled.is_none()));
    }

    /// What became of each resource. `decided` is what the controller says, in any order, or why it decides nothing.
    pub fn reassemble(self, decided: Result<HashMap<Key, Outcome>, ApiError>) -> impl Iterator<Item = (Key, Outcome)> {
        self.0.into_iter().map(move |(key, settled)| {
            let outcome = match (settled, &decided) {
                (Some(Ok(())), _) => (0, None),
                (Some(Err(error)), _) => (error.code.code(), error.text()),
                (None, Err(error)) => (error.code.code(), error.text()),
                (None, Ok(decided)) => decided.get(&key).cloned().unwrap_or((ErrorCode::UnknownServerError.code(), None)),
            };
            (key, outcome)
        })
    }
}

fn malformed<'a>(keys: impl Iterator<Item = (&'a str, bool)>) -> Option<ApiError> {
    let keys: Vec<(&str, bool)> = keys.collect();
    let mut seen = HashSet::new();
    if !keys.iter().all(|(name, _)| seen.insert(name)) {
        return Some(invalid("Error due to duplicate config keys"));
    }
    let nulls: Vec<&str> = keys.iter().filter(|(_, null)| *null).map(|(name, _)| *name).collect();
    (!nulls.is_empty()).then(|| invalid(format!("Null value not supported for : {}", nulls.join(", "))))
}

fn refusal(node: BrokerId, (resource_type, name): &Key) -> Option<ApiError> {
    match ResourceType::from_code(*resource_type) {
        Some(ResourceType::Broker) if !name.is_empty() => match name.parse::<BrokerId>() {
            Err(_) => Some(invalid(format!("Node id must be an integer, but it is: {}", name))),
            Ok(id) if id != node => Some(invalid(format!("Unexpected broker id, expected {node}, but received {}", name))),
            Ok(_) => None,
        },
        Some(ResourceType::Topic | ResourceType::Broker | ResourceType::Group) => None,
        _ => Some(invalid(format!("Unknown resource type {}", resource_type))),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resources by type and name, each with one key that is set.
    fn preprocessed(resources: &[(i8, &'static str)]) -> Preprocessed {
        let key = |(kind, name): &(i8, &'static str)| (*kind, StrBytes::from_static_str(name));
        Preprocessed::new(1, resources, key, |_| std::iter::once(("k", false)), |_| None)
    }

    fn told(outcomes: impl Iterator<Item = (Key, Outcome)>) -> Vec<(String, Option<ErrorCode>)> {
        outcomes.map(|((_, name), (code, _))| (name.to_string(), ErrorCode::try_from_code(code))).collect()
    }

    #[test]
    fn the_controller_is_asked_about_what_this_broker_does_not_refuse() {
        let mut resources = vec![(2, "a"), (4, "9"), (2, "b"), (2, "b"), (4, "")];
        preprocessed(&resources.clone()).retain(&mut resources);
        assert_eq!(resources, [(2, "a"), (4, "")]);
    }

    #[test]
    fn a_controller_that_cannot_decide_is_told_on_every_resource_it_was_asked_about() {
        let outcomes = preprocessed(&[(2, "a"), (4, "9"), (2, "b")]).reassemble(Err(ErrorCode::NotController.into()));
        let of = |name: &str, code| (name.to_owned(), Some(code));
        assert_eq!(
            told(outcomes),
            [of("a", ErrorCode::NotController), of("9", ErrorCode::InvalidRequest), of("b", ErrorCode::NotController)]
        );
    }

    #[test]
    fn answers_come_in_the_order_of_the_request() {
        let key = |name| (2, StrBytes::from_static_str(name));
        let decided = HashMap::from([(key("b"), (0, None)), (key("a"), (ErrorCode::InvalidConfig.code(), None))]);
        let outcomes = preprocessed(&[(2, "a"), (2, "b"), (2, "c")]).reassemble(Ok(decided));
        assert_eq!(
            told(outcomes),
            [
                ("a".to_owned(), Some(ErrorCode::InvalidConfig)),
                ("b".to_owned(), None),
                // A controller that does not answer for a resource is a bug, and told as one.
                ("c".to_owned(), Some(ErrorCode::UnknownServerError)),
            ]
        );
    }
}
