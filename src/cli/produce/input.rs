//! Lines of input, turned into records. Pure.

use bytes::Bytes;
use clap::ValueEnum;

use crate::base::ids::TimestampMs;
use crate::cli::record_json;
use crate::client::producer::accumulator::NewRecord;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputForm {
    /// A line is a value, or a key and a value with --key-separator
    Lines,
    /// A line is a JSON object as 'klamm consume --output json' writes it
    Json,
    /// A file, or the whole standard input, is one value
    Whole,
}

/// What all records of a run have in common, and how the rest is read.
#[derive(Clone, Debug)]
pub struct Template {
    pub form: InputForm,
    /// Stands between key and value in a line.
    pub key_separator: Option<String>,
    /// Key of every record.
    pub key: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    pub partition: Option<i32>,
    /// Timestamp of every record; now where none is given.
    pub timestamp: Option<TimestampMs>,
    /// A value, or a key, that stands for null.
    pub null_marker: Option<String>,
    pub keep_partition: bool,
}

impl Template {
    /// The record of one line (without its end) or of one file, and the partition it goes to if that is fixed.
    pub fn record(&self, input: Bytes, now: TimestampMs) -> Result<(Option<i32>, NewRecord), String> {
        let stamp = self.timestamp.unwrap_or(now);
        match self.form {
            InputForm::Json => {
                let mut parsed = record_json::parse(&input, self.keep_partition)?;
                let record = &mut parsed.record;
                record.timestamp = self.timestamp.or(parsed.timestamp).unwrap_or(now);
                record.headers.extend(self.headers.iter().cloned());
                if let Some(key) = &self.key {
                    record.key = Some(key.clone());
                }
                Ok((self.partition.or(parsed.partition), parsed.record))
            }
            InputForm::Whole => Ok((self.partition, self.with(self.key.clone(), Some(input), stamp))),
            InputForm::Lines => {
                let (key, value) = match &self.key_separator {
                    None => (self.key.clone(), input),
                    Some(separator) => {
                        let at = find(&input, separator.as_bytes())
                            .ok_or_else(|| format!("there is no {separator:?} between key and value"))?;
                        (Some(input.slice(..at)), input.slice(at + separator.len()..))
                    }
                };
                let not_null = |bytes: &Bytes| self.null_marker.as_ref().is_none_or(|marker| bytes != marker.as_bytes());
                Ok((self.partition, self.with(key.filter(not_null), Some(value).filter(not_null), stamp)))
            }
        }
    }

    fn with(&self, key: Option<Bytes>, value: Option<Bytes>, timestamp: TimestampMs) -> NewRecord {
        NewRecord { timestamp, key, value, headers: self.headers.clone() }
    }
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

/// Takes the end off a line: `\n`, or `\r\n` as Kafka's producer does.
pub fn without_line_end(line: &mut Vec<u8>) {
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    }
}

/// Reads a header, `KEY=VALUE`, or `KEY` for one that is null.
pub fn header(text: &str) -> Result<(Bytes, Option<Bytes>), String> {
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
    if key.is_empty() {
        return Err("expected KEY=VALUE".into());
    }
    Ok((Bytes::from(key.to_owned()), value.map(|value| Bytes::from(value.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template {
            form: InputForm::Lines,
            key_separator: None,
            key: None,
            headers: Vec::new(),
            partition: None,
            timestamp: None,
            null_marker: None,
            keep_partition: true,
        }
    }

    fn pair(template: &Template, line: &str) -> Result<(Option<String>, Option<String>), String> {
        let (_, record) = template.record(Bytes::from(line.to_owned()), 5)?;
        let text = |bytes: Option<Bytes>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
        Ok((text(record.key), text(record.value)))
    }

    fn some(key: Option<&str>, value: Option<&str>) -> Result<(Option<String>, Option<String>), String> {
        Ok((key.map(str::to_owned), value.map(str::to_owned)))
    }

    #[test]
    fn a_line_is_a_value_or_a_pair() {
        assert_eq!(pair(&template(), "a:b"), some(None, Some("a:b")));
        assert_eq!(pair(&template(), ""), some(None, Some("")));
        let keyed = Template { key_separator: Some("::".into()), ..template() };
        assert_eq!(pair(&keyed, "a::b::c"), some(Some("a"), Some("b::c")));
        assert_eq!(pair(&keyed, "::b"), some(Some(""), Some("b")));
        assert_eq!(pair(&keyed, "a:b"), Err("there is no \"::\" between key and value".into()));
        let nulls = Template { null_marker: Some("NULL".into()), ..keyed };
        assert_eq!(pair(&nulls, "a::NULL"), some(Some("a"), None));
        assert_eq!(pair(&nulls, "NULL::a"), some(None, Some("a")));
    }

    #[test]
    fn what_the_command_line_says_holds_for_json_too() {
        let json = Template { form: InputForm::Json, partition: Some(1), timestamp: Some(9), ..template() };
        let (partition, record) =
            json.record(Bytes::from_static(br#"{"partition": 2, "timestamp": 3, "value": "v"}"#), 5).unwrap();
        assert_eq!((partition, record.timestamp), (Some(1), 9));
        let json = Template { form: InputForm::Json, ..template() };
        let (partition, record) = json.record(Bytes::from_static(br#"{"partition": 2, "value": "v"}"#), 5).unwrap();
        assert_eq!((partition, record.timestamp), (Some(2), 5));
    }

    #[test]
    fn line_ends_of_both_kinds_go() {
        for (line, rest) in [("a\n", "a"), ("a\r\n", "a"), ("a\r", "a\r"), ("a", "a"), ("\n", ""), ("", "")] {
            let mut bytes = line.as_bytes().to_vec();
            without_line_end(&mut bytes);
            assert_eq!(bytes, rest.as_bytes());
        }
        assert_eq!(header("a=b=c"), Ok(("a".into(), Some("b=c".into()))));
        assert_eq!(header("a"), Ok(("a".into(), None)));
        assert!(header("=b").is_err());
    }
}
