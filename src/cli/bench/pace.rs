//! When the next request is due. Pure: moments come in, moments go out.
//!
//! At a fixed rate a request is due at `start + k · interval`, whatever became of those before it, and its latency counts from that
//! moment: a broker that stalls for a second must pay for every request that should have been sent meanwhile, not for the one that
//! was under way ("coordinated omission").

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as answers allow; `left` bounds the number of requests.
    Closed { left: Option<u64> },
    /// Request `sent` of this lane is due at `start + sent · interval_ns`, until `end`.
    Rate { start: Instant, end: Instant, interval_ns: f64, sent: u64 },
    /// One whenever the exchange allows it, until the others have ended: consumers.
    Follow,
}

impl Pace {
    /// The share of lane `lane` of `lanes` in `rate` requests a second from `start` to `end`; the lanes take turns.
    pub fn rate(rate: f64, lane: usize, lanes: usize, start: Instant, end: Instant) -> Self {
        assert!(rate > 0.0, "clap bounds the rate from below");
        let first = Duration::from_secs_f64(lane as f64 / rate);
        Pace::Rate { start: start + first, end, interval_ns: lanes as f64 * 1e9 / rate, sent: 0 }
    }

    /// When the next request is due, if there is to be one; `stop` is when closed loops end.
    pub fn due(&self, now: Instant, stop: Option<Instant>) -> Option<Instant> {
        match *self {
            Pace::Closed { left } => (left != Some(0) && stop.is_none_or(|stop| now < stop)).then_some(now),
            Pace::Rate { start, end, interval_ns, sent } => {
                let due = start + Duration::from_nanos((sent as f64 * interval_ns) as u64);
                (due < end).then_some(due)
            }
            Pace::Follow => Some(now),
        }
    }

    /// Counts one request that was sent.
    pub fn advance(&mut self) {
        match self {
            Pace::Closed { left: Some(left) } => *left -= 1,
            Pace::Rate { sent, .. } => *sent += 1,
            Pace::Closed { left: None } | Pace::Follow => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns_and_late_ones_stay_due_at_their_moment() {
        let start = Instant::now();
        let end = start + Duration::from_millis(10);
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut a, mut b) = (Pace::rate(1000.0, 0, 2, start, end), Pace::rate(1000.0, 1, 2, start, end));
        let mut seen = Vec::new();
        for _ in 0..5 {
            for lane in [&mut a, &mut b] {
                // The clock has run far ahead: the moments must not move with it.
                seen.push(lane.due(at(500), None).expect("before the end"));
                lane.advance();
            }
        }
        assert_eq!(seen, (0..10).map(at).collect::<Vec<_>>());
        assert_eq!((a.due(at(500), None), b.due(at(500), None)), (None, None), "the end bounds a rate");
    }

    #[test]
    fn a_closed_loop_ends_with_its_count_or_its_time() {
        let now = Instant::now();
        let mut counted = Pace::Closed { left: Some(1) };
        assert_eq!(counted.due(now, None), Some(now));
        counted.advance();
        assert_eq!(counted.due(now, None), None);
        let timed = Pace::Closed { left: None };
        assert_eq!(timed.due(now, Some(now)), None);
        assert_eq!(timed.due(now, Some(now + Duration::from_nanos(1))), Some(now));
    }
}
