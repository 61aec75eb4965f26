//! Where an offset is moved to, partition by partition (`ConsumerGroupCommand.prepareOffsetsToReset`). Pure.

use crate::base::ids::{Offset, TimestampMs};
use crate::cli::bounds::Bounds;

/// Where offsets are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Earliest,
    Latest,
    /// Where the group stands; where it has not been, the end.
    Current,
    Offset(Offset),
    /// So many records on, or back.
    ShiftBy(i64),
    /// The first record at this time or later, or the end where there is none.
    Time(TimestampMs),
    /// What a file says of the partition.
    File,
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub bounds: Bounds,
    pub committed: Option<Offset>,
    /// What a look-up by time gave; −1 for nothing.
    pub at_time: Option<Offset>,
    /// What the file says.
    pub in_file: Option<Offset>,
}

/// A new offset, and whether it is not the one asked for because that lies outside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOffset {
    pub offset: Offset,
    pub instead_of: Option<Offset>,
}

impl Target {
    /// The new offset, or why there is none.
    pub fn new_offset(self, facts: Facts) -> Result<NewOffset, &'static str> {
        let Facts { bounds: Bounds { earliest, latest }, committed, at_time, in_file } = facts;
        let asked = match self {
            Target::Earliest => earliest,
            Target::Latest => latest,
            // A group may stand outside the log; staying there is not a move that needs correcting.
            Target::Current => return Ok(NewOffset { offset: committed.unwrap_or(latest), instead_of: None }),
            Target::Offset(offset) => offset,
            Target::ShiftBy(by) => committed.ok_or("the group has no offset there to shift")?.saturating_add(by),
            Target::Time(_) => at_time.filter(|offset| *offset >= 0).unwrap_or(latest),
            Target::File => in_file.ok_or("the file does not name it")?,
        };
        let offset = asked.clamp(earliest, latest);
        Ok(NewOffset { offset, instead_of: (offset != asked).then_some(asked) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { earliest: 10, latest: 20 };

    fn facts(committed: Option<Offset>) -> Facts {
        Facts { bounds: BOUNDS, committed, at_time: None, in_file: None }
    }

    fn to(offset: Offset) -> Result<NewOffset, &'static str> {
        Ok(NewOffset { offset, instead_of: None })
    }

    fn clamped(offset: Offset, asked: Offset) -> Result<NewOffset, &'static str> {
        Ok(NewOffset { offset, instead_of: Some(asked) })
    }

    #[test]
    fn targets_are_those_of_kafkas_tool() {
        for (target, facts, expected) in [
            (Target::Earliest, facts(None), to(10)),
            (Target::Latest, facts(Some(12)), to(20)),
            (Target::Current, facts(Some(12)), to(12)),
            (Target::Current, facts(None), to(20)),
            (Target::Current, facts(Some(3)), to(3)),
            (Target::Offset(15), facts(None), to(15)),
            (Target::Offset(5), facts(None), clamped(10, 5)),
            (Target::Offset(50), facts(None), clamped(20, 50)),
            (Target::ShiftBy(-2), facts(Some(15)), to(13)),
            (Target::ShiftBy(-9), facts(Some(15)), clamped(10, 6)),
            (Target::ShiftBy(i64::MAX), facts(Some(15)), clamped(20, i64::MAX)),
            (Target::ShiftBy(1), facts(None), Err("the group has no offset there to shift")),
            (Target::Time(0), Facts { at_time: Some(17), ..facts(None) }, to(17)),
            (Target::Time(0), Facts { at_time: Some(-1), ..facts(None) }, to(20)),
            (Target::File, Facts { in_file: Some(11), ..facts(None) }, to(11)),
            (Target::File, Facts { in_file: Some(99), ..facts(None) }, clamped(20, 99)),
            (Target::File, facts(None), Err("the file does not name it")),
        ] {
            assert_eq!(target.new_offset(facts), expected, "{target:?} {facts:?}");
        }
    }
}
