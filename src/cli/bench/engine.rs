//! The loop that drives connections: one thread, `ppoll`, sockets that never block.
//!
//! Not tokio: its timer ticks in milliseconds, and a request that is due in 40 µs must leave in 40 µs. Here a fixed rate costs one
//! wake-up a request and a closed loop one `read` and one `writev` for all that came meanwhile, so that on a small machine the
//! generator takes less of it than any broker under test.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Connection;
use super::error::{BenchError, Result};
use super::exchange::{Exchange, Worth};
use super::pace::Pace;
use super::series::{Series, Window};

/// How long a broker may say nothing while answers are due.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection, what it says, and when.
pub struct Lane {
    pub connection: Connection,
    pub exchange: Box<dyn Exchange>,
    pub pace: Pace,
    /// Index of the series its answers count for.
    pub series: usize,
}

/// What the lanes of a run share while they are driven.
struct Run<'a> {
    window: Option<Window>,
    series: &'a mut [Series],
    worth: Worth,
    /// When something last went out or came in that mattered.
    progress_at: Instant,
}

/// Drives the lanes until all of them have sent what they had to send and have their answers. Without a window nothing is measured
/// and closed loops need a count to end.
pub fn drive(mut lanes: Vec<Lane>, window: Option<Window>, series: &mut [Series]) -> Result<()> {
    // The kernel would otherwise round timers of this thread by 50 µs.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let mut run = Run { window, series, worth: Worth::default(), progress_at: Instant::now() };
    let mut ready: Vec<usize> = Vec::with_capacity(lanes.len());
    loop {
        let now = Instant::now();
        for lane in &mut lanes {
            lane.send_due(now, &mut run)?;
        }
        if lanes.iter().all(|lane| lane.is_done(now, run.stop())) {
            return Ok(());
        }
        if now > run.progress_at + PATIENCE && lanes.iter().any(Lane::is_waiting) {
            let outstanding: u64 = lanes.iter().map(|lane| lane.connection.outstanding()).sum();
            return Err(BenchError::Timeout { what: format!("an answer to {outstanding} requests"), waited: PATIENCE });
        }
        wait(&lanes, now, run.stop(), &mut ready)?;
        for &index in &ready {
            let lane = &mut lanes[index];
            lane.take_answers(&mut run)?;
            lane.send_due(Instant::now(), &mut run)?;
        }
    }
}

impl Run<'_> {
    /// When closed loops end.
    fn stop(&self) -> Option<Instant> {
        self.window.map(|w| w.to)
    }

    /// Counts what `worth` holds for an answer that came `now`.
    fn count(&mut self, series: usize, now: Instant) {
        if !self.worth.since.is_empty() {
            self.progress_at = now;
        }
        let (Some(window), series) = (self.window, &mut self.series[series]) else { return };
        if window.contains(now) {
            series.requests += 1;
            series.records += self.worth.records;
            series.bytes += self.worth.bytes;
        }
        for since in self.worth.since.iter().filter(|since| window.contains(**since)) {
            series.record_latency(now - *since);
        }
    }
}

impl Lane {
    /// When this lane wants to send next, if it will without an answer to wait for.
    fn next_due(&self, now: Instant, stop: Option<Instant>) -> Option<Instant> {
        match self.pace {
            Pace::Follow => None,
            _ => self.pace.due(now, stop).filter(|_| self.connection.has_room() && self.exchange.may_send()),
        }
    }

    /// Whether something was sent whose outcome is not known yet. A consumer's long poll does not count, what it waits for does.
    fn is_waiting(&self) -> bool {
        match self.pace {
            Pace::Follow => !self.exchange.is_caught_up(),
            _ => !self.connection.is_quiet(),
        }
    }

    fn is_done(&self, now: Instant, stop: Option<Instant>) -> bool {
        match self.pace {
            Pace::Follow => !self.is_waiting() && stop.is_none_or(|stop| stop <= now),
            pace => !self.is_waiting() && pace.due(now, stop).is_none(),
        }
    }

    fn send_due(&mut self, now: Instant, run: &mut Run<'_>) -> Result<()> {
        let mut queued = false;
        while self.connection.has_room() && self.exchange.may_send() {
            let Some(due) = self.pace.due(now, run.stop()).filter(|due| *due <= now) else { break };
            self.connection.queue(due, |frame| self.exchange.prepare(frame, due));
            self.pace.advance();
            if matches!(self.pace, Pace::Rate { .. }) && run.window.is_some_and(|w| w.contains(due)) {
                run.series[self.series].record_lateness(now - due);
            }
            queued = true;
        }
        if queued && !matches!(self.pace, Pace::Follow) {
            run.progress_at = now;
        }
        if queued || self.connection.is_blocked() {
            self.connection.flush()?;
            self.retire_unanswered(run)?;
        }
        Ok(())
    }

    fn retire_unanswered(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.exchange.is_answered() {
            return Ok(());
        }
        let now = Instant::now();
        while let Some(intended) = self.connection.retire_written() {
            run.worth.clear();
            self.exchange.accept(&[], intended, &mut run.worth)?;
            run.count(self.series, now);
        }
        Ok(())
    }

    fn take_answers(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.connection.receive()?;
        let now = Instant::now();
        while let Some((intended, body)) = self.connection.next_answer()? {
            run.worth.clear();
            self.exchange.accept(body, intended, &mut run.worth)?;
            run.count(self.series, now);
        }
        Ok(())
    }
}

/// Waits until a socket has something, or a request is due. `ready` gets the lanes that can go on.
fn wait(lanes: &[Lane], now: Instant, stop: Option<Instant>, ready: &mut Vec<usize>) -> Result<()> {
    let mut fds: Vec<PollFd<'_>> = lanes
        .iter()
        .map(|lane| {
            let out = if lane.connection.is_blocked() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::from_borrowed_fd(lane.connection.as_fd(), PollFlags::IN | out)
        })
        .collect();
    // A second at most, so that a broker that has gone silent is noticed.
    let until = lanes.iter().filter_map(|lane| lane.next_due(now, stop)).fold(now + Duration::from_secs(1), Instant::min);
    let until = stop.filter(|stop| now < *stop).map_or(until, |stop| until.min(stop));
    let timeout = until.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    ready.clear();
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
        Ok(_) => {
            ready.extend(fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(i, _)| i));
            Ok(())
        }
        Err(e) => Err(BenchError::Io { address: "all connections".to_owned(), operation: "poll", source: e.into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::cli::bench::exchange::ApiVersionsExchange;
    use crate::cli::bench::frame;

    /// A broker that answers ApiVersions, in order, after what `before` does to answer `n`; ends with its connection.
    fn broker(before: impl Fn(u64, &mut Vec<u8>) + Send + 'static) -> (String, JoinHandle<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let serve = move |mut stream: TcpStream| {
            let mut length = [0; 4];
            let mut n = 0;
            while stream.read_exact(&mut length).is_ok() {
                let mut request = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut request).expect("whole frames");
                // Correlation id, no error, no APIs: all that a load looks at.
                let mut answer = vec![0, 0, 0, 7];
                answer.extend_from_slice(&request[4..8]);
                answer.extend_from_slice(&[0, 0, 1]);
                before(n, &mut answer);
                if stream.write_all(&answer).is_err() {
                    break;
                }
                n += 1;
            }
            n
        };
        (address, thread::spawn(move || serve(listener.accept().expect("one connection").0)))
    }

    fn lane(address: &str, depth: usize, pace: Pace) -> Lane {
        let exchange = ApiVersionsExchange { template: frame::api_versions() };
        let connection = Connection::open(address, depth, exchange.template()).expect("it listens");
        Lane { connection, exchange: Box::new(exchange), pace, series: 0 }
    }

    #[test]
    fn a_stall_is_paid_for_by_every_request_that_was_due_meanwhile() {
        let stall = Duration::from_millis(300);
        let (address, broker) = broker(move |n, _| {
            if n == 100 {
                thread::sleep(stall)
            }
        });
        let start = Instant::now();
        let window = Window::starting(start, Duration::ZERO, Duration::from_secs(1));
        let mut series = [Series::new("")];
        drive(vec![lane(&address, 4, Pace::rate(1000.0, 0, 1, start, window.to))], Some(window), &mut series).expect("no errors");
        assert_eq!(broker.join().expect("no panic"), 1000, "all that was due was sent");
        assert_eq!(series[0].latency.len(), 1000, "and each has its latency");
        // The stall covers 300 requests; those in its first half waited for at least the other half.
        let waited = series[0].latency.count_between(150_000_000, u64::MAX);
        assert!(waited >= 140, "{waited} requests waited half the stall");
    }

    #[test]
    fn a_closed_loop_sends_what_was_counted_and_no_more() {
        let (address, broker) = broker(|_, _| {});
        drive(vec![lane(&address, 5, Pace::Closed { left: Some(1003) })], None, &mut [Series::new("")]).expect("no errors");
        assert_eq!(broker.join().expect("no panic"), 1003);
    }

    #[test]
    fn the_first_error_code_ends_the_run() {
        let (address, broker) = broker(|n, answer| {
            if n == 10 {
                answer[8..10].copy_from_slice(&35i16.to_be_bytes());
            }
        });
        let outcome = drive(vec![lane(&address, 1, Pace::Closed { left: None })], None, &mut [Series::new("")]);
        assert_eq!(outcome.expect_err("an error").to_string(), "ApiVersions was refused with UnsupportedVersion (35)");
        drop(broker);
    }

    #[test]
    fn an_answer_to_something_else_is_noticed() {
        let (address, broker) = broker(|n, answer| answer[7] ^= u8::from(n == 3));
        let outcome = drive(vec![lane(&address, 2, Pace::Closed { left: None })], None, &mut [Series::new("")]);
        assert!(outcome.expect_err("an error").to_string().ends_with("correlation id 2 where 3 is next"));
        drop(broker);
    }
}
