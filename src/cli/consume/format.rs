//! How a record is written as text: a format in the manner of kcat and rpk. Pure.
//!
//! `%t` topic, `%p` partition, `%o` offset, `%T` timestamp in milliseconds, `%d` the same as a date, `%k` key, `%v` or `%s` value, `%h` headers
//! (`a=1,b=2`), `%K` and `%V` or `%S` lengths of key and value in bytes (−1 for null), `%%` a percent sign; `\n`, `\t`, `\r`, `\\` and `\xHH`.

use bytes::Bytes;

use crate::cli::when;
use crate::record::owned::Record;

/// A format that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Date,
    Key,
    Value,
    Headers,
    KeyLength,
    ValueLength,
}

/// What text output does with bytes that are not there, and with those a terminal would obey.
#[derive(Clone, Debug)]
pub struct Style {
    pub null_marker: String,
    /// Writes control characters as `\xHH`, which a terminal needs and a file does not.
    pub escape: bool,
}

/// A field that can be put before the value, in the order of Kafka's console consumer, which lacks the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Field {
    Topic,
    Timestamp,
    Partition,
    Offset,
    Headers,
    Key,
    Value,
}

impl RecordFormat {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let piece = match c {
                '\\' => {
                    plain.push(escaped(&mut chars)?);
                    continue;
                }
                '%' => match chars.next() {
                    Some('%') => {
                        plain.push(b'%');
                        continue;
                    }
                    Some('t') => Piece::Topic,
                    Some('p') => Piece::Partition,
                    Some('o') => Piece::Offset,
                    Some('T') => Piece::Timestamp,
                    Some('d') => Piece::Date,
                    Some('k') => Piece::Key,
                    Some('v' | 's') => Piece::Value,
                    Some('h') => Piece::Headers,
                    Some('K') => Piece::KeyLength,
                    Some('V' | 'S') => Piece::ValueLength,
                    Some(other) => return Err(format!("%{other} is unknown; use %t %p %o %T %d %k %v %h %K %V or %%")),
                    None => return Err("a % at the end; write %% for a percent sign".into()),
                },
                c => {
                    plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Fields one after the other, with tabs between them, as Kafka's console consumer prints them.
    pub fn of_fields(fields: &[Field]) -> Self {
        let mut fields = fields.to_vec();
        fields.push(Field::Value);
        fields.sort_unstable();
        fields.dedup();
        let mut pieces = Vec::new();
        for field in fields {
            let text = |text: &str| Piece::Text(text.as_bytes().to_vec());
            match field {
                Field::Topic => pieces.push(Piece::Topic),
                Field::Timestamp => pieces.extend([text("CreateTime:"), Piece::Timestamp]),
                Field::Partition => pieces.extend([text("Partition:"), Piece::Partition]),
                Field::Offset => pieces.extend([text("Offset:"), Piece::Offset]),
                Field::Headers => pieces.push(Piece::Headers),
                Field::Key => pieces.push(Piece::Key),
                Field::Value => pieces.push(Piece::Value),
            }
            pieces.push(text("\t"));
        }
        pieces.pop();
        pieces.push(Piece::Text(b"\n".to_vec()));
        Self(pieces)
    }

    pub fn write(&self, out: &mut Vec<u8>, style: &Style, topic: &str, partition: i32, record: &Record) {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64).to_string();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Timestamp => out.extend_from_slice(record.timestamp.to_string().as_bytes()),
                Piece::Date => out.extend_from_slice(when::shown(record.timestamp).as_bytes()),
                Piece::Key => style.write(out, record.key.as_deref()),
                Piece::Value => style.write(out, record.value.as_deref()),
                Piece::KeyLength => out.extend_from_slice(length(&record.key).as_bytes()),
                Piece::ValueLength => out.extend_from_slice(length(&record.value).as_bytes()),
                Piece::Headers => {
                    for (at, (key, value)) in record.headers.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        style.write(out, Some(key));
                        out.push(b'=');
                        style.write(out, value.as_deref());
                    }
                }
            }
        }
    }
}

impl Style {
    fn write(&self, out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return out.extend_from_slice(self.null_marker.as_bytes()) };
        if !self.escape {
            return out.extend_from_slice(bytes);
        }
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\t' | '\n' => out.push(c as u8),
                    c if c.is_control() => out.extend(c.encode_utf8(&mut [0; 4]).bytes().flat_map(hex)),
                    c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            out.extend(chunk.invalid().iter().copied().flat_map(hex));
        }
    }
}

fn hex(byte: u8) -> Vec<u8> {
    format!("\\x{byte:02x}").into_bytes()
}

/// The byte that stands behind a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match chars.next() {
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('r') => Ok(b'\r'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits} is not \\x and two hexadecimal digits"))
        }
        other => Err(format!("\\{} is unknown; use \\n \\t \\r \\0 \\\\ or \\xHH", other.map(String::from).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            offset: 42,
            timestamp: 1_714_557_600_000,
            key: None,
            value: Some(Bytes::from_static(b"v\x1b[2J\xff")),
            headers: vec![("a".into(), Some("1".into())), ("b".into(), None)],
        }
    }

    fn written(format: &RecordFormat, escape: bool) -> String {
        let mut out = Vec::new();
        let style = Style { null_marker: "null".into(), escape };
        format.write(&mut out, &style, "orders", 3, &record());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_letter_has_its_field() {
        for (format, expected) in [
            ("%t/%p/%o", "orders/3/42"),
            ("%T %d", "1714557600000 2024-05-01T10:00:00.000Z"),
            ("%k|%K|%V|%S", "null|-1|6|6"),
            ("%h%%\\t\\x41\\\\", "a=1,b=null%\tA\\"),
        ] {
            assert_eq!(written(&RecordFormat::parse(format).expect(format), true), expected, "{format}");
        }
        for wrong in ["%", "%z", "\\q", "\\xzz", "\\"] {
            assert!(RecordFormat::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_terminal_is_not_obeyed_but_a_file_gets_the_bytes() {
        let value = RecordFormat::parse("%v").unwrap();
        assert_eq!(written(&value, true), "v\\x1b[2J\\xff");
        assert_eq!(written(&value, false), "v\u{1b}[2J\u{fffd}", "a byte that is no UTF-8 is shown so by the test only");
    }

    #[test]
    fn fields_come_in_the_order_of_kafkas_console_consumer() {
        use Field::*;
        assert_eq!(written(&RecordFormat::of_fields(&[]), true), "v\\x1b[2J\\xff\n");
        let all = RecordFormat::of_fields(&[Key, Headers, Timestamp, Offset, Partition, Topic]);
        let expected = "orders\tCreateTime:1714557600000\tPartition:3\tOffset:42\ta=1,b=null\tnull\tv\\x1b[2J\\xff\n";
        assert_eq!(written(&all, true), expected);
    }
}
