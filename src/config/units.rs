//! Sizes and durations as people write them: `"1GiB"`, `"512 KiB"`, `"7d"`, `"1h30m"`. The result counts in the key's own unit.

use super::key::Unit;

const SIZES: &[(&str, i128)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// In milliseconds.
const DURATIONS: &[(&str, i128)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

impl Unit {
    /// What the numbers of a key count, as a word; empty for plain numbers.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Plain => "",
            Unit::Bytes => "bytes",
            Unit::Millis => "milliseconds",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
        }
    }

    const fn millis(self) -> i128 {
        match self {
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
            Unit::Plain | Unit::Bytes | Unit::Millis => 1,
        }
    }

    /// Replaces a text with units by the plain number; a text without any comes back as it is, right or wrong.
    ///
    /// The error says what may be written.
    pub fn plain(self, text: &str) -> Result<String, String> {
        let text = text.trim();
        if !text.ends_with(|c: char| c.is_ascii_alphabetic()) || self == Unit::Plain {
            return Ok(text.to_owned());
        }
        let (units, example) = match self {
            Unit::Bytes => (SIZES, "a size such as 1048576, \"512KiB\" or \"1GiB\""),
            _ => (DURATIONS, "a duration such as \"30s\", \"1h30m\" or \"7d\""),
        };
        let total = sum(text, units).ok_or_else(|| format!("expected {example}, or a plain number of {}", self.name()))?;
        let per_unit = self.millis();
        if total % per_unit != 0 {
            return Err(format!("not a whole number of {}", self.name()));
        }
        Ok((total / per_unit).to_string())
    }
}

/// A number with the largest unit that divides it; `None` where the number is as good.
pub(super) fn short(unit: Unit, number: i64) -> Option<String> {
    const BINARY: &[(&str, i64)] = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    const TIMES: &[(&str, i64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let units = match unit {
        Unit::Bytes => BINARY,
        Unit::Millis => TIMES,
        Unit::Plain | Unit::Minutes | Unit::Hours => return None,
    };
    let (name, factor) = units.iter().find(|(_, factor)| number > 0 && number % factor == 0)?;
    Some(format!("{}{name}", number / factor))
}

/// Adds up `number unit` pairs. `None` where the text is something else, is not whole in the smallest unit, or is beyond any key.
fn sum(text: &str, units: &[(&str, i128)]) -> Option<i128> {
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after.trim_start(), |c| c.is_ascii_alphabetic());
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *factor)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// `number × factor` for a decimal number, if that is whole.
fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Eighteen digits keep every product below inside an i128.
    if whole.is_empty() || whole.len() > 18 || fraction.len() > 12 || number.ends_with('.') {
        return None;
    }
    let mut total = whole.parse::<i128>().ok()? * factor;
    if !fraction.is_empty() {
        let parts = fraction.parse::<i128>().ok()? * factor;
        let scale = 10i128.pow(fraction.len() as u32);
        if parts % scale != 0 {
            return None;
        }
        total += parts / scale;
    }
    Some(total)
}

fn split_while(text: &str, accept: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !accept(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_and_durations_become_plain_numbers() {
        for (unit, text, plain) in [
            (Unit::Bytes, "1GiB", "1073741824"),
            (Unit::Bytes, "512 KiB", "524288"),
            (Unit::Bytes, "1.5MiB", "1572864"),
            (Unit::Bytes, "10MB", "10000000"),
            (Unit::Bytes, "-1", "-1"),
            (Unit::Bytes, " 4096 ", "4096"),
            (Unit::Millis, "7d", "604800000"),
            (Unit::Millis, "1h30m", "5400000"),
            (Unit::Millis, "1h 30m 5s 7ms", "5405007"),
            (Unit::Millis, "0.5s", "500"),
            (Unit::Hours, "7d", "168"),
            (Unit::Minutes, "1w", "10080"),
            (Unit::Plain, "7d", "7d"),
        ] {
            assert_eq!(unit.plain(text).as_deref(), Ok(plain), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_or_duration_is_refused_with_an_example() {
        for text in ["1G", "1gib", "GiB", "1.GiB", "1..5GiB", "1h", "999999999999999999999GiB", "0.3B", "-1GiB"] {
            let error = Unit::Bytes.plain(text).unwrap_err();
            assert!(error.contains("\"1GiB\""), "{text}: {error}");
        }
        assert_eq!(Unit::Hours.plain("90m").unwrap_err(), "not a whole number of hours");
        assert!(Unit::Millis.plain("7 days").unwrap_err().contains("\"7d\""));
    }

    #[test]
    fn the_short_form_says_the_same_number() {
        for (unit, number, text) in [
            (Unit::Bytes, 1 << 30, Some("1GiB")),
            (Unit::Bytes, 1_048_588, None),
            (Unit::Bytes, 4096, Some("4KiB")),
            (Unit::Millis, 604_800_000, Some("7d")),
            (Unit::Millis, 5_400_000, Some("90m")),
            (Unit::Millis, 500, None),
            (Unit::Millis, 0, None),
            (Unit::Millis, i64::MAX, None),
            (Unit::Hours, 168, None),
            (Unit::Bytes, -1, None),
        ] {
            assert_eq!(short(unit, number).as_deref(), text);
            if let Some(text) = text {
                assert_eq!(unit.plain(text), Ok(number.to_string()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            for unit in [Unit::Plain, Unit::Bytes, Unit::Millis, Unit::Minutes, Unit::Hours] {
                let _ = unit.plain(&text);
            }
        }
    }
}
