//! What each API costs: how often, how long in which phase, how many bytes, which errors.
//!
//! A row of the table of APIs has its [`ApiMetrics`] at the same index. Recording touches only counters of the thread's own stripe,
//! so threads share no cache line. A phase that took no time costs nothing: invariant, for every phase,
//! `recorded ≤ requests`, and what is missing was zero.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::def::{Metric, metrics};
use super::histogram::{Counts, Histogram};
use super::recent::Recent;
use super::samples::{Label, Samples};
use super::stripe::{STRIPES, Stripe};
use crate::base::ErrorCode;
use crate::base::time::Mono;

metrics! {
    /// One series for each API that was asked for at least once. The times are those of the walk through the broker: *queue* from the
    /// bytes read to the handler's start, *local* in the handler, *remote* waiting for other brokers, for data or for a coordinator,
    /// *send* from the answer's bytes to their handing over to the socket, which includes waiting for earlier answers on the connection.
    area "Requests";

    /// Requests answered.
    pub REQUESTS = counter "kafka_network_requestmetrics_requests" ["request", "version"];

    /// Answers by error code; NONE for those without error.
    pub ERRORS = counter "kafka_network_requestmetrics_errors" ["request", "error"];

    /// Milliseconds from the request's bytes to those of the answer.
    pub TOTAL_TIME = quantiles "kafka_network_requestmetrics_totaltimems" ["request"];

    /// Milliseconds before a handler started.
    pub QUEUE_TIME = quantiles "kafka_network_requestmetrics_requestqueuetimems" ["request"];

    /// Milliseconds in the handler.
    pub LOCAL_TIME = quantiles "kafka_network_requestmetrics_localtimems" ["request"];

    /// Milliseconds waiting for other brokers, for data or for a coordinator.
    pub REMOTE_TIME = quantiles "kafka_network_requestmetrics_remotetimems" ["request"];

    /// Milliseconds from the answer to the socket.
    pub SEND_TIME = quantiles "kafka_network_requestmetrics_responsesendtimems" ["request"];

    /// Seconds from the request's bytes to those of the answer, in buckets that can be added up over brokers.
    pub DURATION = histogram "klamm_request_duration_seconds" ["request"];

    /// Seconds spent in each phase: queue, local, remote, send.
    pub PHASES = counter "klamm_request_phase_seconds" ["request", "phase"];

    /// Bytes of requests.
    pub REQUEST_BYTES = counter "klamm_request_bytes" ["request"];

    /// Bytes of answers.
    pub RESPONSE_BYTES = counter "klamm_response_bytes" ["request"];
}

/// Kafka's highest version of any API is 18.
const VERSIONS: usize = 32;
/// Error codes −1 to 254.
const ERROR_CODES: usize = 256;

const TOTAL: usize = 0;
const QUEUE: usize = 1;
const LOCAL: usize = 2;
const REMOTE: usize = 3;
const SEND: usize = 4;
const PHASE_COUNT: usize = 5;
const PHASE_METRICS: [&Metric; PHASE_COUNT] = [&TOTAL_TIME, &QUEUE_TIME, &LOCAL_TIME, &REMOTE_TIME, &SEND_TIME];
const PHASE_NAMES: [&str; PHASE_COUNT] = ["total", "queue", "local", "remote", "send"];

/// One request and its answer, measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange {
    pub version: i16,
    pub queue_ns: u64,
    pub local_ns: u64,
    pub remote_ns: u64,
    pub send_ns: u64,
    /// Size of the request's frame.
    pub request_bytes: usize,
    /// Size of the answer's frame; 0 where none is sent.
    pub response_bytes: usize,
    /// The answer's error code, the first one if it has several; 0 for none.
    pub error_code: i16,
}

/// Counts of one API.
#[derive(Debug)]
pub struct ApiMetrics {
    name: &'static str,
    stripes: [OnceLock<Box<Counters>>; STRIPES],
    /// Errors are rare enough to be counted in one place.
    errors: OnceLock<Box<[AtomicU64; ERROR_CODES]>>,
    recent: Mutex<Recent<PHASE_COUNT>>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Counters {
    versions: [AtomicU64; VERSIONS],
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    phases: [Histogram; PHASE_COUNT],
}

impl Counters {
    fn new() -> Box<Counters> {
        Box::new(Counters {
            versions: [const { AtomicU64::new(0) }; VERSIONS],
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            phases: [const { Histogram::new() }; PHASE_COUNT],
        })
    }
}

impl ApiMetrics {
    /// `name` is Kafka's name of the API, for example `Produce`.
    pub fn new(name: &'static str) -> Self {
        ApiMetrics {
            name,
            stripes: [const { OnceLock::new() }; STRIPES],
            errors: OnceLock::new(),
            recent: Mutex::new(Recent::new(Mono::ZERO)),
        }
    }

    pub fn record(&self, exchange: &Exchange) {
        let stripe = Stripe::of_this_thread();
        let counters = self.stripes[stripe.index()].get_or_init(Counters::new);
        stripe.add(&counters.versions[usize::try_from(exchange.version).map_or(0, |v| v.min(VERSIONS - 1))], 1);
        stripe.add(&counters.request_bytes, exchange.request_bytes as u64);
        stripe.add(&counters.response_bytes, exchange.response_bytes as u64);
        let Exchange { queue_ns, local_ns, remote_ns, send_ns, .. } = *exchange;
        counters.phases[TOTAL].record_ns_in(stripe, queue_ns + local_ns + remote_ns + send_ns);
        for (phase, ns) in [(QUEUE, queue_ns), (LOCAL, local_ns), (REMOTE, remote_ns), (SEND, send_ns)] {
            if ns > 0 {
                counters.phases[phase].record_ns_in(stripe, ns);
            }
        }
        if exchange.error_code != 0 {
            let errors = self.errors.get_or_init(|| Box::new([const { AtomicU64::new(0) }; ERROR_CODES]));
            let slot = usize::try_from(i32::from(exchange.error_code) + 1).map_or(0, |slot| slot.min(ERROR_CODES - 1));
            errors[slot].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn collect(&self, out: &mut Samples) {
        let mut versions = [0u64; VERSIONS];
        let mut request_bytes = 0;
        let mut response_bytes = 0;
        let mut phases: [Counts; PHASE_COUNT] = Default::default();
        for stripe in self.stripes.iter().filter_map(OnceLock::get) {
            for (sum, version) in versions.iter_mut().zip(&stripe.versions) {
                *sum += version.load(Relaxed);
            }
            request_bytes += stripe.request_bytes.load(Relaxed);
            response_bytes += stripe.response_bytes.load(Relaxed);
            for (sum, phase) in phases.iter_mut().zip(&stripe.phases) {
                phase.add_to(sum);
            }
        }
        let count = phases[TOTAL].count();
        if count == 0 {
            return;
        }
        for phase in &mut phases[QUEUE..] {
            phase.add_zeros(count.saturating_sub(phase.count()));
        }
        let request = Label::from(self.name);
        for (version, requests) in versions.into_iter().enumerate().filter(|(_, requests)| *requests > 0) {
            out.add(&REQUESTS, &[request.clone(), (version as i64).into()], requests);
        }
        self.collect_errors(count, out);
        out.add(&REQUEST_BYTES, std::slice::from_ref(&request), request_bytes);
        out.add(&RESPONSE_BYTES, std::slice::from_ref(&request), response_bytes);
        out.add_histogram(&DURATION, std::slice::from_ref(&request), phases[TOTAL].clone());
        for phase in [QUEUE, LOCAL, REMOTE, SEND] {
            out.add_real(&PHASES, &[request.clone(), PHASE_NAMES[phase].into()], phases[phase].sum_seconds());
        }
        let recent = self.recent.lock().look(out.now, &phases);
        for (metric, recent) in PHASE_METRICS.into_iter().zip(recent) {
            out.add_quantiles(metric, std::slice::from_ref(&request), recent, count);
        }
    }

    fn collect_errors(&self, count: u64, out: &mut Samples) {
        let request = Label::from(self.name);
        let mut errors = 0;
        for (slot, counter) in self.errors.get().into_iter().flat_map(|errors| errors.iter().enumerate()) {
            let n = counter.load(Relaxed);
            if n > 0 {
                errors += n;
                out.add(&ERRORS, &[request.clone(), error_name(slot as i16 - 1).into()], n);
            }
        }
        out.add(&ERRORS, &[request, "NONE".into()], count.saturating_sub(errors));
    }
}

/// The name of an error code as Kafka's `Errors` spells it, or the number where there is none.
fn error_name(code: i16) -> String {
    let error = match ErrorCode::try_from_code(code) {
        None | Some(ErrorCode::Unknown(_)) => return code.to_string(),
        Some(error) => error,
    };
    let mut name = String::new();
    for c in format!("{error:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(api: &ApiMetrics) -> String {
        let mut samples = Samples::new(Mono::from_millis(1000), false);
        api.collect(&mut samples);
        samples.into_open_metrics()
    }

    #[test]
    fn an_api_nobody_asked_for_has_no_series() {
        assert_eq!(text(&ApiMetrics::new("Fetch")), "# EOF\n");
    }

    #[test]
    fn threads_record_into_one_sum() {
        let api = ApiMetrics::new("Produce");
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for i in 0..100 {
                        let (version, error_code) = if i % 10 == 0 { (9, 6) } else { (13, 0) };
                        let (local_ns, remote_ns) = (1_000_000, if error_code == 0 { 3_000_000 } else { 0 });
                        let (request_bytes, response_bytes) = (100, 50);
                        api.record(&Exchange {
                            version,
                            local_ns,
                            remote_ns,
                            request_bytes,
                            response_bytes,
                            error_code,
                            ..Exchange::default()
                        });
                    }
                });
            }
        });
        let text = text(&api);
        for line in [
            r#"kafka_network_requestmetrics_requests_total{request="Produce",version="9"} 200"#,
            r#"kafka_network_requestmetrics_requests_total{request="Produce",version="13"} 1800"#,
            r#"kafka_network_requestmetrics_errors_total{request="Produce",error="NOT_LEADER_OR_FOLLOWER"} 200"#,
            r#"kafka_network_requestmetrics_errors_total{request="Produce",error="NONE"} 1800"#,
            r#"kafka_network_requestmetrics_remotetimems_count{request="Produce"} 2000"#,
            r#"klamm_request_bytes_total{request="Produce"} 200000"#,
            r#"klamm_response_bytes_total{request="Produce"} 100000"#,
            r#"klamm_request_phase_seconds_total{request="Produce",phase="local"} 2.0"#,
            r#"klamm_request_phase_seconds_total{request="Produce",phase="remote"} 5.4"#,
            r#"klamm_request_duration_seconds_count{request="Produce"} 2000"#,
            r#"klamm_request_duration_seconds_bucket{le="0.001024",request="Produce"} 200"#,
            r#"klamm_request_duration_seconds_bucket{le="+Inf",request="Produce"} 2000"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let quantile = |of: &str| {
            let start = format!("kafka_network_requestmetrics_{of}{{request=\"Produce\",quantile=\"0.50\"}} ");
            text.lines().find_map(|l| l.strip_prefix(&start)).unwrap().parse::<f64>().unwrap()
        };
        assert!((2.6..3.4).contains(&quantile("remotetimems")));
        assert!((3.5..4.5).contains(&quantile("totaltimems")));
        assert!(quantile("requestqueuetimems") < 0.001);
    }

    #[test]
    fn error_codes_have_kafkas_names() {
        assert_eq!(error_name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(error_name(41), "NOT_CONTROLLER");
        assert_eq!(error_name(200), "200");
    }

    #[test]
    fn wild_numbers_are_counted_somewhere() {
        let api = ApiMetrics::new("Fetch");
        let big = Exchange { version: i16::MAX, error_code: i16::MAX, local_ns: u64::MAX / 8, ..Exchange::default() };
        api.record(&big);
        api.record(&Exchange { version: -5, error_code: i16::MIN, ..Exchange::default() });
        assert!(text(&api).contains(r#"kafka_network_requestmetrics_errors_total{request="Fetch",error="NONE"} 0"#));
    }
}
