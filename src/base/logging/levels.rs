//! Levels by logger: how they are written, which loggers there are, and which level holds.
//!
//! Loggers are modules named with dots, as Kafka's BROKER_LOGGER resource names classes: `klamm.api.data`, with `root` above all. A
//! logger without a level of its own has that of the nearest one above it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The logger above all others, as Kafka names it.
pub const ROOT: &str = "root";

/// The layers of klamm, each a logger `klamm.<layer>`.
const LAYERS: &[&str] = &[
    "base",
    "metrics",
    "config",
    "record",
    "protocol",
    "storage",
    "metadata",
    "client",
    "quorum",
    "controller",
    "replica",
    "coordinator",
    "broker",
    "api",
    "server",
    "http",
    "node",
    "cli",
];

/// Libraries whose events reach the log, with the level they have unless told otherwise.
const LIBRARIES: &[(&str, LogLevel)] = &[("hyper", LogLevel::Warn), ("openraft", LogLevel::Warn), ("tokio", LogLevel::Warn)];

/// A level, in Kafka's words (`LogLevelConfig`). klamm logs nothing at FATAL, so that is silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub const ALL: [LogLevel; 6] =
        [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Fatal];

    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Fatal => "FATAL",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Fatal => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }

    fn find(name: &str) -> Option<LogLevel> {
        LogLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a level cannot be changed; Kafka answers INVALID_CONFIG.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    #[error("logger {0} does not exist; there is root, klamm, klamm.<module> and the libraries hyper, openraft, tokio")]
    NoSuchLogger(String),
    #[error("cannot set the level of logger {logger} to {level}; levels are TRACE, DEBUG, INFO, WARN, ERROR, FATAL")]
    NoSuchLevel { logger: String, level: String },
    #[error("the level of the root logger cannot be removed")]
    RootNeedsLevel,
}

/// Why a list of levels cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} (expected a list such as info,klamm.api=debug)")]
pub struct BadLevels {
    error: LevelError,
}

/// The levels that were set. Invariant: `root` has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    root: LogLevel,
    /// By name with dots.
    own: BTreeMap<String, LogLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        let own = LIBRARIES.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        Levels { root: LogLevel::Info, own }
    }
}

impl Levels {
    /// Sets the level of a logger.
    pub fn set(&mut self, logger: &str, level: &str) -> Result<(), LevelError> {
        let logger = canonical(logger)?;
        let Some(level) = LogLevel::find(level) else {
            return Err(LevelError::NoSuchLevel { logger, level: level.into() });
        };
        if logger == ROOT {
            self.root = level;
        } else {
            self.own.insert(logger, level);
        }
        Ok(())
    }

    /// Takes back what was set for a logger: it has the level of the one above it again.
    pub fn unset(&mut self, logger: &str) -> Result<(), LevelError> {
        let logger = canonical(logger)?;
        if logger == ROOT {
            return Err(LevelError::RootNeedsLevel);
        }
        self.own.remove(&logger);
        Ok(())
    }

    /// The level in force for a logger.
    pub fn level(&self, logger: &str) -> LogLevel {
        let mut name = logger;
        loop {
            if let Some(level) = self.own.get(name) {
                return *level;
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => return self.root,
            }
        }
    }

    /// `root`, klamm's layers, the libraries, and every logger with a level of its own.
    pub fn loggers(&self) -> Vec<(String, LogLevel)> {
        let layers = LAYERS.iter().map(|layer| format!("klamm.{layer}"));
        let libraries = LIBRARIES.iter().map(|(name, _)| (*name).to_owned());
        let mut names: Vec<String> = layers.chain(libraries).chain(self.own.keys().cloned()).chain(["klamm".into()]).collect();
        names.sort_unstable();
        names.dedup();
        let root = (ROOT.to_owned(), self.root);
        let others = names.into_iter().map(|name| {
            let level = self.level(&name);
            (name, level)
        });
        std::iter::once(root).chain(others).collect()
    }

    pub(super) fn targets(&self) -> Targets {
        let own = self.own.iter().map(|(name, level)| (name.replace('.', "::"), level.filter()));
        own.fold(Targets::new().with_default(self.root.filter()), |targets, (target, level)| targets.with_target(target, level))
    }
}

/// Reads a list: a level for `root`, and `logger=level` for others. What is not named keeps its default.
impl FromStr for Levels {
    type Err = BadLevels;

    fn from_str(list: &str) -> Result<Self, BadLevels> {
        let mut levels = Levels::default();
        for element in list.split(',').map(str::trim).filter(|element| !element.is_empty()) {
            let (logger, level) = element.split_once('=').unwrap_or((ROOT, element));
            levels.set(logger.trim(), level.trim()).map_err(|error| BadLevels { error })?;
        }
        Ok(levels)
    }
}

/// The name with dots, if there is such a logger.
fn canonical(logger: &str) -> Result<String, LevelError> {
    let name = logger.replace("::", ".");
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let exists = match (first, parts.next()) {
        (ROOT | "klamm", None) => true,
        ("klamm", Some(layer)) => LAYERS.contains(&layer),
        (library, _) => LIBRARIES.iter().any(|(name, _)| *name == library),
    };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if exists && name.len() <= 256 && name.split('.').all(letters) {
        Ok(name)
    } else {
        Err(LevelError::NoSuchLogger(logger.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_those_of_the_crate() {
        let lib = include_str!("../../lib.rs");
        let listed: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert_eq!(listed, LAYERS);
    }

    #[test]
    fn a_logger_has_the_level_of_the_nearest_above() {
        let levels: Levels = "warn, klamm.api=debug,klamm::api::data=TRACE".parse().unwrap();
        for (logger, level) in [
            ("root", LogLevel::Warn),
            ("klamm", LogLevel::Warn),
            ("klamm.api", LogLevel::Debug),
            ("klamm.api.group", LogLevel::Debug),
            ("klamm.api.data.fetch", LogLevel::Trace),
            ("openraft.core", LogLevel::Warn),
        ] {
            assert_eq!(levels.level(logger), level, "{logger}");
        }
        let loggers = levels.loggers();
        assert_eq!(loggers[0], ("root".into(), LogLevel::Warn));
        assert!(loggers.contains(&("klamm.server".into(), LogLevel::Warn)));
        assert!(loggers.contains(&("klamm.api.data".into(), LogLevel::Trace)));
        assert!(loggers.is_sorted_by(|a, b| a.0 == ROOT || a.0 < b.0), "each is told once");
    }

    #[test]
    fn what_was_set_can_be_taken_back() {
        let mut levels = Levels::default();
        levels.set("klamm.replica", "trace").unwrap();
        assert_ne!(levels, Levels::default());
        levels.unset("klamm.replica").unwrap();
        assert_eq!(levels, Levels::default());
        assert_eq!(levels.unset("root"), Err(LevelError::RootNeedsLevel));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for logger in ["", "kafka.server.KafkaApis", "klamm.nothing", "klamm.api.", "klamm..api", "klamm.api.x y", "rootless"] {
            assert_eq!(Levels::default().set(logger, "INFO"), Err(LevelError::NoSuchLogger(logger.into())));
        }
        assert!(matches!(Levels::default().set("klamm", "LOUD"), Err(LevelError::NoSuchLevel { .. })));
        let error = "klamm.api=loud".parse::<Levels>().unwrap_err().to_string();
        assert!(error.contains("klamm.api") && error.contains("loud") && error.contains("WARN"), "{error}");
    }
}
