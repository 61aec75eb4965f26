//! Runs a command that waits on the network, until it ends or somebody presses Ctrl-C.

use super::error::{CliError, Result};

/// Threads for connections, beside the one that runs the command and may be held up by a slow reader of its output.
const THREADS: usize = 2;

/// Runs a command to its end.
pub fn run<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    run_to_the_end(async {
        tokio::select! {
            result = command => result,
            () = interrupted() => Err(CliError::Interrupted),
        }
    })
}

/// The same for commands that have something to finish when they are interrupted.
pub fn run_to_the_end<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(command);
    // A read of the standard input that is still waiting must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Waits for Ctrl-C, or for the signal that asks a process to end.
pub async fn interrupted() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => {
            if result.is_err() {
                std::future::pending::<()>().await;
            }
        }
        _ = terminate => {}
    }
}
