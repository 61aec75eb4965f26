//! Offsets in a file, as `kafka-consumer-groups --export` writes them and `--from-file` reads them. Pure.
//!
//! A line is `topic,partition,offset` for one group, `group,topic,partition,offset` for several. There is no heading.

use std::collections::BTreeMap;

use crate::base::ids::{Offset, TopicPartition};

/// Offsets by group.
pub type Plan = BTreeMap<String, BTreeMap<TopicPartition, Offset>>;

/// Writes the offsets of one group without its name, those of several with theirs.
pub fn write(plan: &Plan, single: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in plan {
        for (partition, offset) in offsets {
            if !single {
                text += &format!("{},", quoted(group));
            }
            text += &format!("{},{},{offset}\n", quoted(&partition.topic), partition.partition);
        }
    }
    text
}

/// Reads a file. Lines without a group belong to `single`, if there is one.
pub fn read(text: &str, single: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: &str| format!("line {number}: {why}");
        let fields = fields(line).ok_or_else(|| wrong("a quotation mark is not closed"))?;
        let (group, rest) = match (fields.as_slice(), single) {
            ([group, rest @ ..], _) if rest.len() == 3 => (group.as_str(), rest),
            (rest, Some(single)) if rest.len() == 3 => (single, rest),
            (rest, None) if rest.len() == 3 => return Err(wrong("the group is missing: expected group,topic,partition,offset")),
            _ => return Err(wrong("expected topic,partition,offset or group,topic,partition,offset")),
        };
        let partition =
            rest[1].trim().parse::<i32>().ok().filter(|n| *n >= 0).ok_or_else(|| wrong("the partition is no number"))?;
        let offset = rest[2].trim().parse::<Offset>().map_err(|_| wrong("the offset is no number"))?;
        plan.entry(group.to_owned()).or_default().insert(TopicPartition::new(rest[0].as_str(), partition), offset);
    }
    Ok(plan)
}

/// Quotes a field if it would be read as something else otherwise.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r', ' ']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// The fields of a line; `None` if a quotation mark is not closed.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    let mut within = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is one field at least");
        match c {
            '"' if within && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if within || field.is_empty() => within = !within,
            ',' if !within => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!within).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &[(&str, &str, i32, Offset)]) -> Plan {
        let mut plan = Plan::new();
        for (group, topic, partition, offset) in rows {
            plan.entry(group.to_string()).or_default().insert(TopicPartition::new(*topic, *partition), *offset);
        }
        plan
    }

    #[test]
    fn files_of_kafkas_tool_are_read() {
        let one = plan(&[("g", "orders", 0, 5), ("g", "orders", 1, 7)]);
        assert_eq!(read("orders,0,5\norders,1,7\n", Some("g")), Ok(one.clone()));
        assert_eq!(read("g,orders,0,5\r\n\r\ng,orders,1,7", None), Ok(one));
        let long = "\"a-topic-whose-name-is-long-enough-to-be-quoted\",0,5";
        assert_eq!(read(long, Some("g")), Ok(plan(&[("g", "a-topic-whose-name-is-long-enough-to-be-quoted", 0, 5)])));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let several = plan(&[("a, b", "t", 0, 5), ("say \"g\"", "t", 1, 0)]);
        let text = write(&several, false);
        assert_eq!(text, "\"a, b\",t,0,5\n\"say \"\"g\"\"\",t,1,0\n");
        assert_eq!(read(&text, None), Ok(several));
        let single = plan(&[("g", "t", 0, 5)]);
        assert_eq!(write(&single, true), "t,0,5\n");
        assert_eq!(read(&write(&single, true), Some("g")), Ok(single));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, single, word) in [
            ("orders,0,5\norders,x,5", Some("g"), "line 2: the partition"),
            ("orders,0,x", Some("g"), "line 1: the offset"),
            ("orders,0,5", None, "group is missing"),
            ("orders,0", Some("g"), "expected topic"),
            ("\"orders,0,5", Some("g"), "not closed"),
        ] {
            let error = read(text, single).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
