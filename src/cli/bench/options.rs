//! Options that all workloads share: which brokers, how long, how often, and in which form the figures are told.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::error::{BenchError, Result};
use super::process::Process;
use crate::cli::connect::{BOOTSTRAP_SERVER, DEFAULT_BROKER};

#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Broker to measure
    #[arg(long, short, value_name = "HOST:PORT", env = BOOTSTRAP_SERVER, hide_env_values = true, default_value = DEFAULT_BROKER)]
    pub bootstrap_server: Address,
    /// Measure these brokers instead, in turn, round by round, and print ratios to the first
    #[arg(long, value_name = "[NAME=]HOST:PORT", num_args = 2.., conflicts_with = "pid")]
    pub compare: Vec<Address>,
    /// Process whose CPU and memory count; by default the one of this machine that listens on the broker's port
    #[arg(long)]
    pub pid: Option<u32>,
    /// Seconds of load before the clock starts
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub warmup: Duration,
    /// Seconds that are measured in each round
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub seconds: Duration,
    /// Rounds; medians and spread are over them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    /// Do not write dirty pages of earlier work to the disks before each figure
    #[arg(long)]
    pub no_sync: bool,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and histograms
    Text,
    /// One JSON object with every round
    Json,
}

/// A broker as it is written on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub name: String,
    pub host_port: String,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, host_port) = text.split_once('=').unwrap_or((text, text));
        let port = host_port.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(1..)) if !name.is_empty() => Ok(Self { name: name.to_owned(), host_port: host_port.to_owned() }),
            _ => Err("expected HOST:PORT or NAME=HOST:PORT".to_owned()),
        }
    }
}

/// A broker under measurement.
#[derive(Clone, Debug)]
pub struct Broker {
    pub name: String,
    pub address: String,
    /// `None` if it runs elsewhere or we may not see it: then only the wire is measured.
    pub process: Option<Process>,
}

impl Common {
    pub fn brokers(&self) -> Vec<Broker> {
        let addresses = if self.compare.is_empty() { std::slice::from_ref(&self.bootstrap_server) } else { &self.compare };
        let find = |address: &Address| self.pid.map(|pid| Process { pid }).or_else(|| Process::listening_on(address.port()));
        addresses.iter().map(|a| Broker { name: a.name.clone(), address: a.host_port.clone(), process: find(a) }).collect()
    }
}

impl Address {
    pub fn port(&self) -> u16 {
        self.host_port.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("checked when it was parsed")
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|d| *d < Duration::from_secs(86_400))
        .ok_or("expected 0 to 86,400 seconds".to_owned())
}

/// A number of bytes: `100`, `16KiB`, `1MiB`.
pub fn byte_size(text: &str) -> Result<u64, String> {
    text.parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| "expected a size such as 100, 16KiB or 1MiB".to_owned())
}

/// Requests a second, over all connections.
pub fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate)).ok_or("expected requests a second".to_owned())
}

/// A `key=value` pair for a topic's configuration.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or("expected KEY=VALUE".to_owned())
}

/// Raises the limit on open files as far as it goes, for those who hold many connections.
pub fn raise_descriptor_limit(needed: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let ceiling = limit.maximum.unwrap_or(u64::MAX);
    if ceiling < needed {
        return Err(BenchError::Usage(format!(
            "{needed} connections need as many descriptors; the limit is {ceiling} (ulimit -Hn)"
        )));
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|e| BenchError::Usage(format!("cannot raise the limit on open files: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_have_names() {
        let address: Address = "kafka=127.0.0.1:9092".parse().expect("named");
        assert_eq!((address.name.as_str(), address.host_port.as_str(), address.port()), ("kafka", "127.0.0.1:9092", 9092));
        assert_eq!("localhost:1".parse::<Address>().expect("plain").name, "localhost:1");
        for wrong in ["localhost", "x=localhost", "=localhost:1", "localhost:0", "localhost:70000"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!((byte_size("100"), byte_size("16KiB"), byte_size("1MiB")), (Ok(100), Ok(16 << 10), Ok(1 << 20)));
        assert!(byte_size("many").is_err());
    }
}
