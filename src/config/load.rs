//! What a node is started with: the file, the environment, the command line, in rising precedence.
//!
//! Everything that is wrong is told at once, at the place where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::BrokerConfig;
use super::def::BROKER;
use super::file;
use super::problem::{Place, Problem, Problems, SourceFile};
use super::settings::{Fixed, Settings};

/// Texts that configure a node.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Path and contents of the file, if there is one.
    pub file: Option<(String, String)>,
    /// The environment; only variables that begin with `KLAMM_` matter.
    pub environment: Vec<(String, String)>,
    /// Arguments of `--set`, each `key=value`.
    pub set: Vec<String>,
}

const PREFIX: &str = "KLAMM_";

/// Variables with the prefix that are not keys but arguments of the command line.
const ARGUMENTS: &[&str] = &["KLAMM_BOOTSTRAP_SERVER", "KLAMM_CONFIG", "KLAMM_LOG", "KLAMM_LOG_FORMAT"];

/// Reads and checks all inputs.
pub fn load(inputs: Inputs) -> Result<Settings, Problems> {
    let mut problems = Vec::new();
    let mut fixed = BTreeMap::new();
    if let Some((path, text)) = inputs.file {
        fixed.extend(file::read(&Arc::new(SourceFile { path, text }), &mut problems));
    }
    let mut environment = inputs.environment;
    environment.sort();
    for (variable, value) in environment {
        if let Some(set) = from_environment(variable, &value, &mut problems) {
            fixed.extend([set]);
        }
    }
    for argument in inputs.set {
        if let Some(set) = from_argument(argument, &mut problems) {
            fixed.extend([set]);
        }
    }

    let settings = Settings::started_with(fixed);
    // Rules between keys say nothing useful while a key itself is wrong.
    if problems.is_empty() {
        for conflict in BrokerConfig::of(&settings).conflicts() {
            let place = BROKER.find(conflict.key).and_then(|key| settings.fixed(key)).map(|fixed| fixed.place.clone());
            problems.push(Problem::new(conflict.message, place));
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(Problems(problems)) }
}

/// The environment variable of a key: `KLAMM_LOG_RETENTION_HOURS` for `log.retention.hours`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn from_environment(variable: String, value: &str, problems: &mut Vec<Problem>) -> Option<(&'static str, Fixed)> {
    let name = variable.strip_prefix(PREFIX)?;
    if ARGUMENTS.contains(&variable.as_str()) || is_service_link(name) {
        return None;
    }
    let place = Place::Environment { variable: variable.clone() };
    let Some(key) = BROKER.keys().find(|key| variable_of(key.name) == variable) else {
        problems.push(file::unknown(&name.replace('_', ".").to_ascii_lowercase(), place));
        return None;
    };
    accept(key, value, place, problems)
}

/// Kubernetes gives every container the addresses of the services around it; one that is called klamm makes variables with our
/// prefix: `KLAMM_SERVICE_HOST`, `KLAMM_PORT_9092_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let tail = |marker: &str| name.rfind(marker).map(|at| &name[at + marker.len()..]);
    name == "PORT"
        || name.ends_with("_PORT")
        || name.ends_with("SERVICE_HOST")
        || tail("SERVICE_PORT").is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        || tail("PORT_")
            .is_some_and(|rest| rest.split('_').next().is_some_and(|n| n.parse::<u16>().is_ok()) && rest.contains('_'))
}

fn from_argument(argument: String, problems: &mut Vec<Problem>) -> Option<(&'static str, Fixed)> {
    let place = Place::CommandLine { argument: format!("--set {argument}") };
    let Some((name, value)) = argument.split_once('=') else {
        problems.push(Problem::new(format!("`{argument}` has no value"), Some(place)).with_help("write --set key=value"));
        return None;
    };
    let Some(key) = BROKER.find(name.trim()) else {
        problems.push(file::unknown(name.trim(), place));
        return None;
    };
    accept(key, value, place, problems)
}

fn accept(key: &'static super::key::Key, text: &str, place: Place, problems: &mut Vec<Problem>) -> Option<(&'static str, Fixed)> {
    match file::human(key, text) {
        Ok(value) => Some((key.name, Fixed { value, place })),
        Err(why) => {
            problems.push(file::refused(key, &why, place));
            None
        }
    }
}

#[cfg(test)]
mod tests;
