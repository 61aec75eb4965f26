//! `klamm serve`: runs a node until it is told to stop.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::connect;
use crate::base::logging::{Levels, LogFormat, Logging};
use crate::base::supervisor;
use crate::config::listeners::Listener;
use crate::config::{Inputs, Settings, load, render};
use crate::node::Node;

const EXAMPLES: &str = "Examples:
  klamm serve                                     # on 127.0.0.1:9092, data in ./klamm-data
  klamm serve --listen 0.0.0.0:9092 --data /var/lib/klamm
  klamm serve --config klamm.toml --set num.partitions=6
  klamm serve --config klamm.toml --check         # what would be in force, and from where

Every configuration key can be given in the file, as an environment variable (log.retention.hours
is KLAMM_LOG_RETENTION_HOURS), or with --set; what comes later in this list wins. --listen and
--data win over all. 'klamm config keys' lists the keys.";

/// Runs a broker
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Configuration file (TOML); config/klamm.toml in the source has every key
    #[arg(long, value_name = "FILE", env = "KLAMM_CONFIG")]
    config: Option<PathBuf>,
    /// Address to listen on; 0.0.0.0 is every interface. Short for the key `listeners`
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    listen: Option<String>,
    /// Directory of the data. Short for the key `log.dirs`
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Sets one configuration key; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Checks the configuration, prints what would be in force and where each value comes from, and ends
    #[arg(long)]
    check: bool,
    /// What is logged, to stderr: error, warn, info, debug, trace, or by module as in `info,klamm.storage=debug`
    #[arg(long, value_name = "LEVELS", env = "KLAMM_LOG", default_value = "info")]
    log_level: Levels,
    /// How it is logged: human, or json, an object a line
    #[arg(long, value_name = "FORMAT", env = "KLAMM_LOG_FORMAT", default_value = "human")]
    log_format: LogFormat,
}

/// An address to listen on.
fn address(text: &str) -> Result<String, String> {
    match Listener::parse(&format!("PLAINTEXT://{text}")) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected HOST:PORT, such as 127.0.0.1:9092, or 0.0.0.0:9092 for every interface".into()),
    }
}

pub fn run(args: ServeArgs) -> ExitCode {
    let settings = match settings(&args) {
        Ok(settings) => settings,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    if args.check {
        say(&render::effective_toml(&settings));
        return ExitCode::SUCCESS;
    }
    let logging = match start_logging(&args) {
        Ok(logging) => logging,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("worker").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(settings, logging))
}

fn settings(args: &ServeArgs) -> Result<Settings, String> {
    let file = match &args.config {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| format!("error: cannot read {}: {e}", path.display()))?;
            Some((path.display().to_string(), text))
        }
    };
    let mut set = args.set.clone();
    set.extend(args.listen.as_ref().map(|address| format!("listeners=PLAINTEXT://{address}")));
    set.extend(args.data.as_ref().map(|dir| format!("log.dirs={dir}")));
    // A variable that is no text is none of klamm's.
    let text =
        |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let environment = std::env::vars_os().filter_map(text).collect();
    load(Inputs { file, environment, set }).map_err(|problems| problems.to_string())
}

fn start_logging(args: &ServeArgs) -> Result<Arc<Logging>, String> {
    Logging::start(args.log_level.clone(), args.log_format).map_err(|e| e.to_string())
}

async fn serve(settings: Settings, logging: Arc<Logging>) -> ExitCode {
    let mut node = match Node::start_logged(settings, Some(logging)).await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    // From here on a signal stops the broker in order, so whoever reads that it serves may send one at once.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    greet(&node);
    supervisor::ready(&status(&node));
    let stopped = async {
        let (mut term, mut int) = match signals {
            (Ok(term), Ok(int)) => (term, int),
            (Err(error), _) | (_, Err(error)) => return format!("cannot wait for signals: {error}"),
        };
        tokio::select! {
            _ = term.recv() => "SIGTERM".to_owned(),
            _ = int.recv() => "SIGINT".to_owned(),
        }
    };
    tokio::select! {
        reason = stopped => {
            info!(reason, "stopping");
            supervisor::stopping();
            node.stop().await;
            ExitCode::SUCCESS
        }
        error = node.failed() => {
            eprintln!("error: the controller failed: {error}");
            supervisor::stopping();
            node.stop().await;
            ExitCode::FAILURE
        }
    }
}

/// What the service manager shows of a node that serves.
fn status(node: &Node) -> String {
    let listening: Vec<String> = node.listening().iter().map(|(name, address)| format!("{name} {address}")).collect();
    format!("serving on {}", listening.join(", "))
}

/// Says where the node listens, where its data is, and what to do next.
fn greet(node: &Node) {
    let dirs: Vec<String> = node.data_dirs().iter().map(|d| d.display().to_string()).collect();
    for (name, address) in node.listening() {
        say(&format!("klamm {} listens on {address} ({name}), data in {}\n", env!("CARGO_PKG_VERSION"), dirs.join(", ")));
    }
    if let Some(address) = node.http() {
        say(&format!("Metrics and health: http://{address}/\n"));
    }
    let Some((_, address)) = node.listening().first() else { return };
    let address = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => *address,
    };
    let program = std::env::args().next().unwrap_or_else(|| "klamm".into());
    let at = if address.to_string() == connect::DEFAULT_BROKER { String::new() } else { format!(" -b {address}") };
    say(&format!(
        "Any Kafka client can connect with bootstrap.servers={address}. To try it in another terminal:\n  \
         {program} topic create greetings{at}\n  \
         echo hello | {program} produce greetings{at}\n  \
         {program} consume greetings --from-beginning --exit-at-end{at}\n\
         Ctrl-C stops it.\n"
    ));
}

/// Prints; a reader that went away is no reason to stop serving.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
