//! Keeps the cleaner within `log.cleaner.io.max.bytes.per.second`, over all its threads (Kafka's `Throttler`). Pure: it says how long to wait.
//!
//! Invariant: over any stretch of time longer than [`INTERVAL`] no more than the rate was read and written, but for what one look covers.

use std::time::Duration;

use crate::base::time::Mono;

/// How often the rate is looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// See the module.
#[derive(Debug, Default)]
pub struct Throttle {
    since: Mono,
    bytes: u64,
}

impl Throttle {
    /// So many bytes were read or written; how long to rest before more are.
    pub fn on_bytes(&mut self, bytes: u64, max_bytes_per_second: f64, now: Mono) -> Option<Duration> {
        self.bytes += bytes;
        let elapsed = now.since(self.since);
        if elapsed < INTERVAL && (self.bytes as f64) < max_bytes_per_second * INTERVAL.as_secs_f64() {
            return None;
        }
        let needed = Duration::try_from_secs_f64(self.bytes as f64 / max_bytes_per_second).unwrap_or(INTERVAL);
        // Where others rest already, `since` lies ahead.
        let resume = self.since + needed;
        let rest = Some(resume.since(now)).filter(|rest| !rest.is_zero());
        (self.since, self.bytes) = (resume.max(now), 0);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_held_whatever_the_pieces() {
        for piece in [1000, 50_000, 700_000] {
            let (mut throttle, mut now, mut bytes) = (Throttle::default(), Mono::from_millis(1_000_000), 0u64);
            let begin = now;
            while bytes < 20_000_000 {
                now = now + Duration::from_micros(20);
                bytes += piece;
                now = now + throttle.on_bytes(piece, 1_000_000.0, now).unwrap_or_default();
            }
            let rate = bytes as f64 / now.since(begin).as_secs_f64();
            assert!((900_000.0..1_100_000.0).contains(&rate), "{piece}: {rate}");
        }
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let mut throttle = Throttle::default();
        for n in 0..1000 {
            assert_eq!(throttle.on_bytes(1 << 20, f64::MAX, Mono::from_millis(n)), None);
        }
    }
}
