//! A measured load: connections are opened first, then all threads start at one moment, and the broker's CPU is read at both ends of
//! the window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::engine::{Lane, drive};
use super::error::Result;
use super::exchange::Exchange;
use super::figure::{Cpu, Figure};
use super::options::{Broker, Common};
use super::pace::Pace;
use super::process::Process;
use super::series::{Series, Window};

/// Requests that may wait for their answers on a connection, unless told otherwise: what Kafka's producers allow.
pub const DEPTH: usize = 5;
/// The same at a fixed rate, where a stalled broker shall not slow the generator down.
pub const DEPTH_AT_RATE: usize = 64;

/// How fast a connection sends; becomes a [`Pace`] once the start is known.
#[derive(Clone, Copy, Debug)]
pub enum Tempo {
    Closed,
    /// Lane `lane` of `lanes` that share `rate` requests a second.
    Rate {
        rate: f64,
        lane: usize,
        lanes: usize,
    },
    Follow,
}

/// A connection that stands ready.
pub struct Seat {
    pub connection: Connection,
    pub exchange: Box<dyn Exchange>,
    pub tempo: Tempo,
    pub series: usize,
}

impl Seat {
    pub fn open(address: &str, depth: usize, exchange: impl Exchange + 'static, tempo: Tempo, series: usize) -> Result<Self> {
        let connection = Connection::open(address, depth, exchange.template())?;
        Ok(Self { connection, exchange: Box::new(exchange), tempo, series })
    }

    fn into_lane(self, start: Instant, window: Window) -> Lane {
        let pace = match self.tempo {
            Tempo::Closed => Pace::Closed { left: None },
            Tempo::Rate { rate, lane, lanes } => Pace::rate(rate, lane, lanes, start, window.to),
            Tempo::Follow => Pace::Follow,
        };
        Lane { connection: self.connection, exchange: self.exchange, pace, series: self.series }
    }
}

/// Threads wait for each other here, and for the moment to start.
struct StartingLine {
    barrier: Barrier,
    start: OnceLock<(Instant, Window)>,
    /// A thread could not open its connections, or has ended.
    over: AtomicBool,
}

/// Measures `broker` under the seats that `seats` opens on each thread (given its number) and names the series they count for.
pub fn measure<F>(broker: &Broker, common: &Common, names: &[&'static str], seats: F) -> Result<Figure>
where
    F: Fn(usize) -> Result<Vec<Seat>> + Sync,
{
    measure_by(broker, common, usize::from(common.threads), names, |thread| {
        let seats = seats(thread)?;
        Ok(move |start, window, series: &mut [Series]| {
            let lanes = seats.into_iter().map(|seat| seat.into_lane(start, window)).collect();
            drive(lanes, Some(window), series)
        })
    })
}

/// As [`measure`], by `threads` threads with a way of their own: `prepare` makes each ready, and what it gives runs from the start to the
/// end of the window, and counts into the series.
pub fn measure_by<F, W>(broker: &Broker, common: &Common, threads: usize, names: &[&'static str], prepare: F) -> Result<Figure>
where
    F: Fn(usize) -> Result<W> + Sync,
    W: FnOnce(Instant, Window, &mut [Series]) -> Result<()>,
{
    settle(common);
    let line = StartingLine { barrier: Barrier::new(threads + 1), start: OnceLock::new(), over: AtomicBool::new(false) };
    let main = thread::current();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let (line, prepare, main) = (&line, &prepare, &main);
                scope.spawn(move || {
                    let outcome = line.work(names, || prepare(number));
                    line.over.store(true, Ordering::SeqCst);
                    main.unpark();
                    outcome
                })
            })
            .collect();
        let cpu = line.watch(broker, common);
        let mut series: Vec<Series> = names.iter().map(|name| Series::new(name)).collect();
        for worker in workers {
            let measured = worker.join().expect("a worker returns its errors")?;
            series.iter_mut().zip(&measured).for_each(|(sum, part)| sum.absorb(part));
        }
        let seconds = common.seconds.as_secs_f64();
        let mut figure = Figure::default();
        series.into_iter().for_each(|series| figure.push_series(series, seconds));
        figure.push_cpu(cpu?, seconds);
        if let Some(process) = broker.process {
            figure.push_usage(&process.usage()?);
        }
        Ok(figure)
    })
}

impl StartingLine {
    /// A worker's life: make ready, wait for the others, work.
    fn work<W>(&self, names: &[&'static str], prepare: impl FnOnce() -> Result<W>) -> Result<Vec<Series>>
    where
        W: FnOnce(Instant, Window, &mut [Series]) -> Result<()>,
    {
        let ready = prepare();
        if ready.is_err() {
            self.over.store(true, Ordering::SeqCst);
        }
        self.barrier.wait();
        self.barrier.wait();
        let (work, mut series) = (ready?, names.iter().map(|name| Series::new(name)).collect::<Vec<_>>());
        // Unset if another thread failed to make ready.
        if let Some((start, window)) = self.start.get() {
            work(*start, *window, &mut series)?;
        }
        Ok(series)
    }

    /// Gives the start and reads CPU times at both ends of the window.
    fn watch(&self, broker: &Broker, common: &Common) -> Result<Cpu> {
        self.barrier.wait();
        let start = Instant::now();
        let window = Window::starting(start, common.warmup, common.seconds);
        if !self.over.load(Ordering::SeqCst) {
            self.start.set((start, window)).expect("set by this thread alone");
        }
        self.barrier.wait();
        let read = || Ok((broker.process.map(|p| p.cpu()).transpose()?, Process::this().cpu()?));
        self.sleep_until(window.from);
        let before: (Option<Duration>, Duration) = read()?;
        self.sleep_until(window.to);
        let after = read()?;
        let broker = before.0.zip(after.0).map(|(before, after)| after.saturating_sub(before));
        Ok(Cpu { broker, generator: after.1.saturating_sub(before.1) })
    }

    /// Returns early once a worker has ended: they all end after the window, unless something went wrong.
    fn sleep_until(&self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.over.load(Ordering::SeqCst) {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

/// Sends `requests` requests on each seat as fast as the broker takes them; measures nothing.
pub fn fill(seats: Vec<Seat>, requests: u64) -> Result<()> {
    let lane = |seat: Seat| Lane {
        connection: seat.connection,
        exchange: seat.exchange,
        pace: Pace::Closed { left: Some(requests) },
        series: seat.series,
    };
    drive(seats.into_iter().map(lane).collect(), None, &mut [Series::new("")])
}

/// Bulk figures depend on dirty pages: with those of an earlier figure still to be written, the same broker falls to a fraction.
pub fn settle(common: &Common) {
    if !common.no_sync {
        rustix::fs::sync();
    }
}
