//! Where reading begins, and where it ends. The arithmetic is pure; the looking up is not.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::base::ids::{Offset, TimestampMs, TopicPartition};
use crate::cli::bounds::{Bounds, offsets_at};
use crate::cli::error::{CliError, Result};
use crate::client::Client;
use crate::client::offsets::IsolationLevel;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    End,
    /// An offset, in every partition.
    Offset(Offset),
    /// So many records before the end of every partition.
    BeforeEnd(i64),
    /// The first record at this time or later.
    Time(TimestampMs),
}

impl FromStr for Start {
    type Err = String;

    /// Reads what kcat and rpk take: `earliest`, `latest`, `5`, `-5`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" | "beginning" | "start" => Ok(Self::Beginning),
            "latest" | "end" => Ok(Self::End),
            _ => match text.parse::<i64>() {
                Ok(offset @ 0..) => Ok(Self::Offset(offset)),
                Ok(offset) if offset > i64::MIN => Ok(Self::BeforeEnd(-offset)),
                _ => Err("expected an offset, -N for N offsets before the end, earliest or latest".into()),
            },
        }
    }
}

impl Start {
    /// The first offset to read, or why there is none. `found` is what a look-up by time gave, −1 for nothing.
    pub fn within(self, Bounds { earliest, latest }: Bounds, found: Option<Offset>) -> Result<Offset, String> {
        match self {
            Start::Beginning => Ok(earliest),
            Start::End => Ok(latest),
            Start::BeforeEnd(count) => Ok(latest.saturating_sub(count).max(earliest)),
            Start::Time(_) => Ok(found.filter(|offset| *offset >= 0).unwrap_or(latest)),
            Start::Offset(offset) if (earliest..=latest).contains(&offset) => Ok(offset),
            Start::Offset(offset) if earliest == latest => Err(format!("offset {offset} is not there, it is empty")),
            Start::Offset(offset) => Err(format!("offset {offset} is not there, it has {earliest} to {}", latest - 1)),
        }
    }
}

/// The first offset of each partition to read. With several partitions, one that lacks an offset is read from its nearest end.
pub async fn positions(
    client: &Client,
    bounds: &BTreeMap<TopicPartition, Bounds>,
    start: Start,
    isolation: IsolationLevel,
) -> Result<BTreeMap<TopicPartition, Offset>> {
    let found = match start {
        Start::Time(at) => {
            let partitions: Vec<_> = bounds.keys().cloned().collect();
            offsets_at(client, &partitions, at, isolation).await?
        }
        _ => BTreeMap::new(),
    };
    let mut positions = BTreeMap::new();
    for (partition, bounds_of) in bounds {
        let begin = match start.within(*bounds_of, found.get(partition).copied()) {
            Ok(begin) => begin,
            Err(why) if bounds.len() == 1 => return Err(CliError::failed(format!("partition {partition}: {why}"))),
            Err(_) => match start {
                Start::Offset(offset) if offset < bounds_of.earliest => bounds_of.earliest,
                _ => bounds_of.latest,
            },
        };
        positions.insert(partition.clone(), begin);
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_written_as_for_kcat_and_rpk() {
        for (text, start) in
            [("earliest", Start::Beginning), ("end", Start::End), ("0", Start::Offset(0)), ("-10", Start::BeforeEnd(10))]
        {
            assert_eq!(text.parse(), Ok(start), "{text}");
        }
        assert!("middle".parse::<Start>().is_err() && "-9223372036854775808".parse::<Start>().is_err());
    }

    #[test]
    fn a_start_is_an_offset_that_can_be_read() {
        let bounds = Bounds { earliest: 10, latest: 20 };
        for (start, found, begin) in [
            (Start::Beginning, None, 10),
            (Start::End, None, 20),
            (Start::Offset(10), None, 10),
            (Start::Offset(20), None, 20),
            (Start::BeforeEnd(3), None, 17),
            (Start::BeforeEnd(i64::MAX), None, 10),
            (Start::Time(5), Some(12), 12),
            (Start::Time(5), Some(-1), 20),
        ] {
            assert_eq!(start.within(bounds, found), Ok(begin), "{start:?}");
        }
        assert_eq!(Start::Offset(9).within(bounds, None), Err("offset 9 is not there, it has 10 to 19".into()));
        let empty = Bounds { earliest: 10, latest: 10 };
        assert_eq!(Start::Offset(11).within(empty, None), Err("offset 11 is not there, it is empty".into()));
    }
}
