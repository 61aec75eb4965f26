//! Topics by id and by name. Ids are the identity: a topic that is deleted and created again has the same name and another id.
//!
//! Invariants: names ↔ ids is a bijection · partitions of a topic are numbered 0..n without gaps · of the names that differ only in `.` and
//! `_`, at most one exists.

use std::sync::Arc;

use super::partition::PartitionRegistration;
use super::sorted_map::SortedMap;
use crate::base::ids::TopicId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    pub id: TopicId,
    pub name: Arc<str>,
    /// By partition number.
    pub partitions: Vec<Arc<PartitionRegistration>>,
}

impl TopicImage {
    pub fn partition(&self, partition: i32) -> Option<&Arc<PartitionRegistration>> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// Numbers and states of all partitions, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, &Arc<PartitionRegistration>)> {
        self.partitions.iter().enumerate().map(|(index, partition)| (index as i32, partition))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsImage {
    by_id: SortedMap<TopicId, Arc<TopicImage>>,
    by_name: SortedMap<Arc<str>, TopicId>,
    /// Names with `.` or `_`, under the name with every `.` made `_`.
    unified: SortedMap<Arc<str>, Arc<str>>,
    partitions: usize,
}

impl TopicsImage {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Partitions of all topics together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    pub fn id_of(&self, name: &str) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// All topics in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values().map(|id| self.by_id.get(id).expect("names and ids are a bijection"))
    }

    /// All topics in the order of ids; cheaper than by name.
    pub fn iter_by_id(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_id.values()
    }

    /// The existing topic whose name differs from `name` at most in `.` and `_`; metrics could not tell them apart.
    pub fn colliding_with(&self, name: &str) -> Option<&Arc<str>> {
        if has_collision_chars(name) { self.unified.get(&*unify(name)) } else { None }
    }

    pub(super) fn add_topic(&mut self, id: TopicId, name: &Arc<str>) {
        self.by_id.insert(id, Arc::new(TopicImage { id, name: name.clone(), partitions: Vec::with_capacity(1) }));
        self.by_name.insert(name.clone(), id);
        if has_collision_chars(name) {
            self.unified.insert(unify(name), name.clone());
        }
    }

    pub(super) fn remove_topic(&mut self, id: TopicId) -> Option<Arc<TopicImage>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        if has_collision_chars(&topic.name) {
            self.unified.remove(&*unify(&topic.name));
        }
        self.partitions -= topic.partitions.len();
        Some(topic)
    }

    /// Adds the next partition of a topic; false if the topic is unknown or the number is not the next one.
    pub(super) fn add_partition(&mut self, id: TopicId, partition: i32, registration: PartitionRegistration) -> bool {
        let Some(topic) = self.by_id.get_mut(&id) else { return false };
        if usize::try_from(partition) != Ok(topic.partitions.len()) {
            return false;
        }
        Arc::make_mut(topic).partitions.push(Arc::new(registration));
        self.partitions += 1;
        true
    }

    pub(super) fn replace_partition(&mut self, id: TopicId, partition: i32, registration: PartitionRegistration) {
        let topic = self.by_id.get_mut(&id).expect("the caller has read the partition");
        Arc::make_mut(topic).partitions[partition as usize] = Arc::new(registration);
    }
}

/// `Topic.hasCollisionChars`.
pub fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// `Topic.unifyCollisionChars`.
pub fn unify(name: &str) -> Arc<str> {
    name.replace('.', "_").into()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn names_and_ids_stay_a_bijection_and_old_images_stay_as_they_were() {
        let mut topics = TopicsImage::default();
        let (a, b) = (Uuid::from_u128(1000), Uuid::from_u128(1001));
        topics.add_topic(a, &"a.b".into());
        topics.add_topic(b, &"plain".into());
        let partition = PartitionRegistration::new(smallvec![1], smallvec![Uuid::from_u128(500)], smallvec![1]);
        assert!(topics.add_partition(a, 0, partition.clone()));
        assert!(!topics.add_partition(a, 2, partition.clone()), "numbers have no gaps");
        assert!(!topics.add_partition(Uuid::from_u128(7), 0, partition));
        let old = topics.clone();

        assert_eq!(topics.colliding_with("a_b").map(|n| &**n), Some("a.b"));
        assert_eq!(topics.colliding_with("plain"), None, "only . and _ collide");
        topics.remove_topic(a);
        assert_eq!(topics.colliding_with("a_b"), None);
        assert_eq!((topics.len(), topics.partition_count(), topics.id_of("a.b")), (1, 0, None));
        assert_eq!((old.len(), old.partition_count(), old.id_of("a.b")), (2, 1, Some(a)));
        assert_eq!(old.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["a.b", "plain"]);
    }
}
