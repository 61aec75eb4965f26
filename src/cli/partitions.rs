//! Topics and partitions as people name them: `orders`, `orders:3`, `orders:0,2,5-7`. Pure.

use std::collections::BTreeSet;
use std::str::FromStr;

/// A topic, and which of its partitions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: String,
    /// `None` stands for all of them.
    pub partitions: Option<BTreeSet<i32>>,
}

impl TopicPartitions {
    /// Those of `present` that are meant, or the first number that is not there.
    pub fn select(&self, present: &[i32]) -> Result<Vec<i32>, i32> {
        match &self.partitions {
            None => Ok(present.to_vec()),
            Some(wanted) => match wanted.iter().find(|partition| !present.contains(partition)) {
                Some(missing) => Err(*missing),
                None => Ok(wanted.iter().copied().collect()),
            },
        }
    }
}

impl FromStr for TopicPartitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, partitions) = match text.split_once(':') {
            Some((topic, list)) => (topic, Some(numbers(list)?)),
            None => (text, None),
        };
        if topic.is_empty() {
            return Err("the topic has no name".into());
        }
        Ok(Self { topic: topic.to_owned(), partitions })
    }
}

/// Reads `0,2,5-7`.
pub fn numbers(text: &str) -> Result<BTreeSet<i32>, String> {
    /// More partitions than any topic has; a range is not spelled out beyond it.
    const MOST: i32 = 1_000_000;
    let number = |text: &str| text.trim().parse().ok().filter(|n| (0..MOST).contains(n));
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let range = part.split_once('-').map_or((number(part), number(part)), |(from, to)| (number(from), number(to)));
        match range {
            (Some(from), Some(to)) if from <= to => all.extend(from..=to),
            _ => return Err(format!("{part:?} is not a partition; write 3, or 0,2, or 0-5")),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_in_lists_and_ranges() {
        for (text, topic, partitions) in [
            ("orders", "orders", None),
            ("orders:3", "orders", Some(vec![3])),
            ("a.b-c_d:0,2,5-7", "a.b-c_d", Some(vec![0, 2, 5, 6, 7])),
            ("orders:1, 1", "orders", Some(vec![1])),
        ] {
            let expected = TopicPartitions { topic: topic.into(), partitions: partitions.map(BTreeSet::from_iter) };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", ":1", "orders:", "orders:x", "orders:-1", "orders:3-1", "orders:0-99999999999"] {
            assert!(wrong.parse::<TopicPartitions>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_partitions_that_are_there_can_be_meant() {
        let all: TopicPartitions = "t".parse().unwrap();
        let two: TopicPartitions = "t:0,2".parse().unwrap();
        assert_eq!(all.select(&[0, 1, 2]), Ok(vec![0, 1, 2]));
        assert_eq!(two.select(&[0, 1, 2]), Ok(vec![0, 2]));
        assert_eq!(two.select(&[0, 1]), Err(2));
    }
}
