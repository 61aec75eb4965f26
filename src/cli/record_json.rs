//! A record as one line of JSON: what `consume` writes, `produce` reads. Pure.
//!
//! `key` and `value` are strings, or null; bytes that are no UTF-8 stand in `key_base64` and `value_base64` instead. `produce` also takes any
//! other JSON as a value, and sends its text.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;

use super::base64;
use crate::base::ids::{Offset, TimestampMs};
use crate::client::producer::accumulator::NewRecord;
use crate::record::owned::Record;

#[derive(Serialize)]
pub struct OutputRecord<'a> {
    topic: &'a str,
    partition: i32,
    offset: Offset,
    timestamp: TimestampMs,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    headers: Vec<OutputHeader<'a>>,
}

#[derive(Serialize)]
struct OutputHeader<'a> {
    key: std::borrow::Cow<'a, str>,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl<'a> OutputRecord<'a> {
    pub fn new(topic: &'a str, partition: i32, record: &'a Record) -> Self {
        let (key, key_base64) = text_or_base64(record.key.as_ref());
        let (value, value_base64) = text_or_base64(record.value.as_ref());
        let header = |(key, value): &'a (Bytes, Option<Bytes>)| {
            let (text, value_base64) = text_or_base64(value.as_ref());
            OutputHeader { key: String::from_utf8_lossy(key), value: text, value_base64 }
        };
        let headers = record.headers.iter().map(header).collect();
        let Record { offset, timestamp, .. } = *record;
        Self { topic, partition, offset, timestamp, key, key_base64, value, value_base64, headers }
    }
}

fn text_or_base64(bytes: Option<&Bytes>) -> (Option<&str>, Option<String>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => (None, None),
        Some((Ok(text), _)) => (Some(text), None),
        Some((Err(_), bytes)) => (None, Some(base64::encode(bytes))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"key\": \"k\", \"value\": \"v\"}")]
struct InputRecord {
    // What `consume` adds says where a record was, not where it goes.
    #[serde(rename = "topic")]
    _topic: Option<Value>,
    #[serde(rename = "offset")]
    _offset: Option<Value>,
    partition: Option<i32>,
    timestamp: Option<TimestampMs>,
    key: Option<Value>,
    key_base64: Option<String>,
    value: Option<Value>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: InputHeaders,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum InputHeaders {
    List(Vec<InputHeader>),
    Map(serde_json::Map<String, Value>),
}

impl Default for InputHeaders {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputHeader {
    key: String,
    value: Option<Value>,
    value_base64: Option<String>,
}

/// A record that was read, and the partition it asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    pub partition: Option<i32>,
    /// `None` where the line says none.
    pub timestamp: Option<TimestampMs>,
    pub record: NewRecord,
}

/// Reads one line. The partition is only kept if `keep_partition`: a copy to another topic may have fewer.
pub fn parse(line: &[u8], keep_partition: bool) -> Result<Parsed, String> {
    let input: InputRecord = serde_json::from_slice(line).map_err(|error| match error.classify() {
        // What the parser was about to read says nothing to somebody who did not know that JSON is wanted.
        Category::Syntax | Category::Eof => {
            format!("this is no JSON ({error}); expected an object such as {{\"key\": \"k\", \"value\": \"v\"}}")
        }
        _ => error.to_string(),
    })?;
    let headers = match input.headers {
        InputHeaders::Map(map) => map.into_iter().map(|(key, value)| (Bytes::from(key), bytes(Some(value)))).collect(),
        InputHeaders::List(list) => {
            let header = |h: InputHeader| Ok((Bytes::from(h.key), either(h.value, h.value_base64, "a header")?));
            list.into_iter().map(header).collect::<Result<Vec<_>, String>>()?
        }
    };
    let record = NewRecord {
        timestamp: input.timestamp.unwrap_or_default(),
        key: either(input.key, input.key_base64, "key")?,
        value: either(input.value, input.value_base64, "value")?,
        headers,
    };
    Ok(Parsed { partition: input.partition.filter(|_| keep_partition), timestamp: input.timestamp, record })
}

fn either(value: Option<Value>, encoded: Option<String>, what: &str) -> Result<Option<Bytes>, String> {
    match (bytes(value), encoded) {
        (value, None) => Ok(value),
        (None, Some(encoded)) => match base64::decode(&encoded) {
            Some(bytes) => Ok(Some(bytes.into())),
            None => Err(format!("the base64 of {what} is malformed")),
        },
        (Some(_), Some(_)) => Err(format!("{what} is given both as text and in base64")),
    }
}

fn bytes(value: Option<Value>) -> Option<Bytes> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_consume_writes_produce_reads() {
        let record = Record {
            offset: 7,
            timestamp: 1000,
            key: Some(Bytes::from_static(b"k\"\n")),
            value: Some(Bytes::from_static(&[0xff, 0])),
            headers: vec![(Bytes::from_static(b"h"), None), (Bytes::from_static(b"h"), Some(Bytes::from_static(b"v")))],
        };
        let line = serde_json::to_string(&OutputRecord::new("t", 3, &record)).unwrap();
        assert!(line.starts_with(
            r#"{"topic":"t","partition":3,"offset":7,"timestamp":1000,"key":"k\"\n","value":null,"value_base64":"/wA=","#
        ));
        let parsed = parse(line.as_bytes(), true).unwrap();
        assert_eq!((parsed.partition, parsed.timestamp), (Some(3), Some(1000)));
        let NewRecord { key, value, headers, .. } = parsed.record;
        assert_eq!((key, value, headers), (record.key, record.value, record.headers));
        assert_eq!(parse(line.as_bytes(), false).unwrap().partition, None);
    }

    #[test]
    fn values_may_be_any_json() {
        for (line, value) in [
            (r#"{"value": {"a": [1, null]}}"#, Some(r#"{"a":[1,null]}"#)),
            (r#"{"value": 5}"#, Some("5")),
            (r#"{"value": null}"#, None),
            ("{}", None),
        ] {
            let parsed = parse(line.as_bytes(), true).unwrap();
            assert_eq!(parsed.record.value.as_deref(), value.map(str::as_bytes), "{line}");
        }
        let parsed = parse(br#"{"key": "k", "value": "v", "headers": {"a": "1", "b": null}}"#, true).unwrap();
        assert_eq!(parsed.record.headers, [("a".into(), Some("1".into())), ("b".into(), None)]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("hello", "expected"),
            (r#"{"vlaue": 1}"#, "vlaue"),
            (r#"{"value": "a", "value_base64": "YQ=="}"#, "both"),
            (r#"{"key_base64": "%%"}"#, "malformed"),
        ] {
            let error = parse(line.as_bytes(), true).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
