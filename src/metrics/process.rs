//! The process: CPU, memory, descriptors, the runtime's threads. Everything is read when somebody looks.

use std::fs;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::RuntimeMetrics;

use super::def::metrics;
use super::samples::Samples;
use crate::base::time::Mono;

metrics! {
    /// The process and its runtime, under the names that Prometheus gives them everywhere.
    area "Process";

    /// Always 1; the label is the version.
    pub BUILD_INFO = gauge "klamm_build_info" ["version"];

    /// Seconds of CPU used, by the process and by the kernel for it.
    pub CPU = counter "process_cpu_seconds" [];

    /// When the process started, in seconds since 1970.
    pub START_TIME = gauge "process_start_time_seconds" [];

    /// Bytes of memory in use, including mapped segments that are in the page cache.
    pub RESIDENT = gauge "process_resident_memory_bytes" [];

    /// Bytes of memory that belong to the process alone, without mapped files.
    pub ANONYMOUS = gauge "klamm_process_anonymous_memory_bytes" [];

    /// Bytes of address space, mapped segments included.
    pub VIRTUAL = gauge "process_virtual_memory_bytes" [];

    /// Open descriptors.
    pub OPEN_FDS = gauge "process_open_fds" [];

    /// How many descriptors the process may open.
    pub MAX_FDS = gauge "process_max_fds" [];

    /// Threads of the process.
    pub THREADS = gauge "process_threads" [];

    /// Bytes that the allocator gave out and keeps: allocated, active (pages with at least one allocation), resident, retained (given
    /// back, address space only).
    pub ALLOCATOR = gauge "klamm_allocator_bytes" ["kind"];

    /// Share of the time (0 to 1) that the threads handling requests were idle, since the look before.
    pub IDLE = gauge "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent" [];

    /// Seconds that the threads handling requests were busy.
    pub BUSY = counter "klamm_runtime_busy_seconds" [];

    /// Threads that handle requests.
    pub WORKERS = gauge "klamm_runtime_workers" [];

    /// Tasks alive: a few for the broker and one a connection.
    pub TASKS = gauge "klamm_runtime_tasks" [];
}

/// Looks shorter apart than this tell the idle share of the look before.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);

/// Reads the process and the runtime it is asked in.
#[derive(Debug)]
pub(super) struct Process {
    runtime: RuntimeMetrics,
    look: Mutex<Look>,
}

#[derive(Debug)]
struct Look {
    at: Mono,
    busy: Duration,
    idle: f64,
}

impl Process {
    pub fn new(runtime: RuntimeMetrics) -> Self {
        Process { runtime, look: Mutex::new(Look { at: Mono::ZERO, busy: Duration::ZERO, idle: 1.0 }) }
    }

    pub fn collect(&self, out: &mut Samples) {
        out.add(&BUILD_INFO, &[env!("CARGO_PKG_VERSION").into()], 1);
        collect_process(out);
        collect_allocator(out);
        let workers = self.runtime.num_workers();
        let busy = (0..workers).map(|worker| self.runtime.worker_total_busy_duration(worker)).sum::<Duration>();
        let mut look = self.look.lock();
        let passed = out.now.since(look.at);
        if passed >= SHORTEST_LOOK {
            let share = busy.saturating_sub(look.busy).as_secs_f64() / (passed.as_secs_f64() * workers as f64);
            *look = Look { at: out.now, busy, idle: (1.0 - share).clamp(0.0, 1.0) };
        }
        out.add_real(&IDLE, &[], look.idle);
        out.add_real(&BUSY, &[], busy.as_secs_f64());
        out.add(&WORKERS, &[], workers);
        out.add(&TASKS, &[], self.runtime.num_alive_tasks());
    }
}

/// What `/proc` says; what it does not say is left out.
fn collect_process(out: &mut Samples) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if let Some(Stat { cpu_ticks, threads, start_ticks, virtual_bytes }) = Stat::parse(&read("/proc/self/stat")) {
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        out.add_real(&CPU, &[], cpu_ticks as f64 / ticks_per_second);
        out.add(&THREADS, &[], threads);
        out.add(&VIRTUAL, &[], virtual_bytes);
        if let Some(booted) = read("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok()) {
            out.add_real(&START_TIME, &[], booted + start_ticks as f64 / ticks_per_second);
        }
    }
    let status = read("/proc/self/status");
    for (metric, field) in [(&RESIDENT, "VmRSS:"), (&ANONYMOUS, "RssAnon:")] {
        if let Some(kib) = status.lines().find_map(|line| first_number(line.strip_prefix(field)?)) {
            out.add(metric, &[], kib * 1024);
        }
    }
    if let Some(open) = open_descriptors() {
        out.add(&OPEN_FDS, &[], open);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    out.add(&MAX_FDS, &[], limit.unwrap_or(u64::MAX));
}

/// Since Linux 6.2 the directory's size is the number of descriptors; counting a hundred thousand entries would take a while.
fn open_descriptors() -> Option<u64> {
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        0 => Some(fs::read_dir(directory).ok()?.count() as u64),
        open => Some(open),
    }
}

fn collect_allocator(out: &mut Samples) {
    use tikv_jemalloc_ctl::{epoch, stats};
    // Figures are as of the last epoch.
    if epoch::advance().is_err() {
        return;
    }
    let figures = [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("resident", stats::resident::read()),
        ("retained", stats::retained::read()),
    ];
    for (kind, bytes) in figures {
        if let Ok(bytes) = bytes {
            out.add(&ALLOCATOR, &[kind.into()], bytes);
        }
    }
}

/// The fields of `/proc/self/stat` that are told.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The second field is the name in brackets, which may contain anything; the third follows the last bracket.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat { cpu_ticks: field(14)? + field(15)?, threads: field(20)?, start_ticks: field(22)?, virtual_bytes: field(23)? })
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_brackets() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1234 5000000 300 18446744073709551615 1 1";
        let expected = Stat { cpu_ticks: 300, threads: 9, start_ticks: 1234, virtual_bytes: 5_000_000 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[tokio::test]
    async fn this_process_has_memory_descriptors_and_a_start() {
        let process = Process::new(tokio::runtime::Handle::current().metrics());
        let mut out = Samples::new(Mono::from_millis(5000), false);
        process.collect(&mut out);
        let text = out.into_open_metrics();
        let value = |name: &str| {
            let start = format!("{name} ");
            let found = text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok());
            found.unwrap_or_else(|| panic!("{name} is missing in\n{text}"))
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("klamm_process_anonymous_memory_bytes") <= value("process_resident_memory_bytes"));
        assert!((3.0..1e6).contains(&value("process_open_fds")));
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!((0.0..=1.0).contains(&value("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent")));
        assert_eq!(value("klamm_runtime_workers"), 1.0);
    }
}
