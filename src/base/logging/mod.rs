//! The log of the process: lines for people or JSON, to stderr, with levels by module that can be changed while it runs.
//!
//! Invariants: no field can start a line of its own or reach the terminal's controls; a kind of event that comes faster than
//! [`limit::MOST`] in [`limit::WINDOW`] is thinned out, and the line that follows says how many are missing.

mod format;
mod levels;
mod limit;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{Subscriber, error};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

pub use self::format::LogFormat;
pub use self::levels::{BadLevels, LevelError, Levels, LogLevel, ROOT};
pub use self::limit::EventCounts;
use self::limit::Limiter;

/// The handle of the log: levels, and what was logged. One process has one log, so brokers in one process share it.
pub struct Logging {
    levels: Mutex<Levels>,
    filter: Box<dyn Fn(Targets) + Send + Sync>,
    counts: Arc<EventCounts>,
}

/// Another subscriber was there first.
#[derive(Debug, thiserror::Error)]
#[error("the log was started before")]
pub struct AlreadyStarted;

impl Logging {
    /// Starts the log of this process, to stderr. Panics are logged from here on.
    pub fn start(levels: Levels, format: LogFormat) -> Result<Arc<Logging>, AlreadyStarted> {
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let (subscriber, logging) = Logging::build(levels, format, colours, io::stderr);
        subscriber.try_init().map_err(|_| AlreadyStarted)?;
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let what = panic.payload_as_str().unwrap_or("no message");
            error!(thread = thread.name().unwrap_or("unnamed"), place, "panicked: {what}");
        }));
        Ok(Arc::new(logging))
    }

    fn build<W>(levels: Levels, format: LogFormat, colours: bool, writer: W) -> (impl Subscriber + Send + Sync, Logging)
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let counts = Arc::new(EventCounts::default());
        let limiter = Arc::new(Limiter::new(counts.clone()));
        let (filter, handle) = reload::Layer::<Targets, Registry>::new(levels.targets());
        let subscriber = tracing_subscriber::registry()
            .with(filter)
            .with(limit::LimitLayer(limiter.clone()))
            .with(format::layer(format, colours, limiter, writer).boxed());
        // Reloading fails only when the subscriber is gone, and then nothing is logged anyway.
        let filter = Box::new(move |targets| drop(handle.reload(targets)));
        (subscriber, Logging { levels: Mutex::new(levels), filter, counts })
    }

    /// Every logger with its level in force, by name: `root`, the layers of klamm, and what has a level of its own.
    pub fn loggers(&self) -> Vec<(String, LogLevel)> {
        self.levels.lock().loggers()
    }

    /// Sets (`Some`) or takes back (`None`) the levels of loggers: all, or none if one of them is refused. With `validate_only` nothing
    /// is changed.
    ///
    /// The rules are those of Kafka's `RuntimeLoggerManager`: a logger must exist, a level must be one of Kafka's, and `root` keeps one.
    pub fn alter<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
        validate_only: bool,
    ) -> Result<(), LevelError> {
        let mut levels = self.levels.lock();
        let mut changed = levels.clone();
        for (logger, level) in changes {
            match level {
                Some(level) => changed.set(logger, level)?,
                None => changed.unset(logger)?,
            }
        }
        if !validate_only && changed != *levels {
            (self.filter)(changed.targets());
            *levels = changed;
        }
        Ok(())
    }

    /// What was logged so far.
    pub fn counts(&self) -> &Arc<EventCounts> {
        &self.counts
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging").field("levels", &self.levels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
