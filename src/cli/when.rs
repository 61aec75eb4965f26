//! Moments and durations as people write them. Pure: now comes in.
//!
//! A moment is one of: milliseconds since 1970 (`1700000000000`), a date or a date and time (`2024-05-01`, `2024-05-01T10:30:00.000`) in UTC unless
//! it names an offset (`…+02:00`, `…Z`), a time that has passed since (`2h ago`, `PT2H ago`), `now`, `today` or `yesterday` (UTC).
//! A duration is ISO 8601 as Kafka's tools take it (`P1DT2H`), or units one after the other (`1d 2h`, `90s`).

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::base::ids::TimestampMs;

const MOMENT: &str = "expected a time such as 2024-05-01T10:30:00, 2024-05-01T10:30:00+02:00, 2024-05-01, '2h ago', yesterday, or \
                      milliseconds since 1970";
const DURATION: &str = "expected a duration such as 2h, '1d 12h', 90s or PT2H";

/// Reads a moment, in milliseconds since 1970.
pub fn moment(text: &str, now: TimestampMs) -> Result<TimestampMs, String> {
    let text = text.trim();
    if let Some(past) = text.strip_suffix("ago") {
        return Ok(now - duration(past)?.as_millis() as i64);
    }
    let midnight = |days: i64| now - now.rem_euclid(DAY_MS) - days * DAY_MS;
    match text {
        "now" => return Ok(now),
        "today" => return Ok(midnight(0)),
        "yesterday" => return Ok(midnight(1)),
        _ => {}
    }
    if let Ok(millis) = text.parse::<i64>() {
        return if millis >= 0 { Ok(millis) } else { Err(MOMENT.into()) };
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let civil: DateTime = text.parse().map_err(|_| MOMENT.to_owned())?;
    TimeZone::UTC.to_timestamp(civil).map(|timestamp| timestamp.as_millisecond()).map_err(|_| MOMENT.to_owned())
}

const DAY_MS: i64 = 86_400_000;

/// Reads a duration. A day has 24 hours; months and years have no length.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: Span = text.trim().parse().map_err(|_| DURATION.to_owned())?;
    let signed: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| DURATION.to_owned())?;
    Duration::try_from(signed).map_err(|_| DURATION.to_owned())
}

/// A timestamp as people read it, in UTC; a dash for none.
pub fn shown(at: TimestampMs) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(timestamp) if at >= 0 => format!("{timestamp:.3}"),
        _ => "-".into(),
    }
}

/// How long ago something was: `350 ms ago`, `12 s ago`, `3 min ago`, and from an hour on the moment itself.
pub fn ago(at: TimestampMs, now: TimestampMs) -> String {
    match now - at {
        passed if passed < 0 => shown(at),
        passed @ 0..1_000 => format!("{passed} ms ago"),
        passed @ 1_000..60_000 => format!("{} s ago", passed / 1_000),
        passed @ 60_000..3_600_000 => format!("{} min ago", passed / 60_000),
        _ => shown(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_714_557_600_000; // 2024-05-01T10:00:00Z

    #[test]
    fn moments_are_read_as_kafka_and_people_write_them() {
        for (text, at) in [
            ("1700000000000", 1_700_000_000_000),
            ("2024-05-01T10:00:00.000", NOW),
            ("2024-05-01T10:00:00", NOW),
            ("2024-05-01T10:00", NOW),
            ("2024-05-01T10:00:00.500Z", NOW + 500),
            ("2024-05-01T12:00:00.000+02:00", NOW),
            ("2024-05-01T12:00:00.000+0200", NOW),
            ("2024-05-01 10:00", NOW),
            ("2024-05-01", NOW - 10 * 3_600_000),
            ("today", NOW - 10 * 3_600_000),
            ("yesterday", NOW - 34 * 3_600_000),
            ("now", NOW),
            ("2h ago", NOW - 7_200_000),
            ("1d 1h ago", NOW - 25 * 3_600_000),
            ("PT30M ago", NOW - 1_800_000),
        ] {
            assert_eq!(moment(text, NOW), Ok(at), "{text}");
        }
        for wrong in ["", "tomorrowish", "2024-13-01", "-5", "10:00", "1 month ago"] {
            assert!(moment(wrong, NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_iso_or_units() {
        for (text, seconds) in
            [("PT2H", 7200), ("P1DT2H", 93_600), ("2h", 7200), ("1d 12h", 129_600), ("90s", 90), ("P0DT0H0M5S", 5)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "-2h", "P1M", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_just_now_is_told_so() {
        for (passed, text) in [(0, "0 ms ago"), (999, "999 ms ago"), (59_999, "59 s ago"), (3_599_999, "59 min ago")] {
            assert_eq!(ago(NOW - passed, NOW), text);
        }
        assert_eq!(ago(NOW - 3_600_000, NOW), "2024-05-01T09:00:00.000Z");
        assert_eq!(ago(NOW + 1, NOW), "2024-05-01T10:00:00.001Z");
    }

    #[test]
    fn timestamps_are_shown_to_the_millisecond() {
        assert_eq!(
            (shown(NOW), shown(0), shown(-1)),
            ("2024-05-01T10:00:00.000Z".into(), "1970-01-01T00:00:00.000Z".into(), "-".into())
        );
    }
}
