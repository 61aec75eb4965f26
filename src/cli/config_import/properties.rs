//! Java's format of properties (`java.util.Properties`): escapes, continued lines, `=`, `:` or a blank between key and value.

use std::collections::BTreeMap;

/// The properties of a text; the last value of a key counts.
pub(super) fn read(text: &str) -> BTreeMap<String, String> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Lines with their continuations joined, without comments and empty lines.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut continued = false;
    for natural in text.split(['\n', '\r']) {
        let natural = natural.trim_start_matches([' ', '\t', '\u{c}']);
        if !continued && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.len() - natural.trim_end_matches('\\').len();
        let goes_on = backslashes % 2 == 1;
        let part = if goes_on { &natural[..natural.len() - 1] } else { natural };
        match lines.last_mut() {
            Some(line) if continued => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
        continued = goes_on;
    }
    lines
}

fn split(line: &str) -> (String, String) {
    const BLANK: [char; 3] = [' ', '\t', '\u{c}'];
    let mut escaped = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !escaped && (BLANK.contains(&c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (unescaped(line), String::new()) };
    let rest = line[end..].trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK);
    (unescaped(&line[..end]), unescaped(value))
}

fn unescaped(text: &str) -> String {
    // `\u` gives UTF-16, so a character may take two of them.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        let meant = match chars.next() {
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some('u') => {
                let hex: String = chars.as_str().chars().take(4).collect();
                match u16::from_str_radix(&hex, 16) {
                    Ok(unit) if hex.len() == 4 => {
                        units.push(unit);
                        chars.nth(3);
                        continue;
                    }
                    _ => 'u',
                }
            }
            Some(other) => other,
            None => continue,
        };
        units.extend(meant.encode_utf16(&mut [0; 2]).iter());
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_reads_them() {
        let text = "# comment\n! comment\n\n a = b \nc:d\ne f\ng\nh\\ i=\\tj\\u00e9\\ud83d\\ude00\nk = l,\\\n   m\\\\\nn=1\r\nn=2\n\\#o=p\\\n\nq = \\z";
        let expected = [
            ("#o", "p"),
            ("a", "b "),
            ("c", "d"),
            ("e", "f"),
            ("g", ""),
            ("h i", "\tjé😀"),
            ("k", "l,m\\"),
            ("n", "2"),
            ("q", "z"),
        ];
        let expected: BTreeMap<String, String> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(read(text), expected);
    }
}
