//! The threads of the log cleaner: as many as `log.cleaner.threads` says at the time, none if `log.cleaner.enable` is off.
//!
//! Invariant: a thread that panicked is not replaced before the cleaner's configuration changes, as in Kafka: what it met would be met again.
//! Its log is left alone, the metrics tell of it, and the others go on.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tracing::{error, warn};

use super::Broker;
use crate::storage::cleaner::LogOwner;

/// See the module.
#[derive(Default)]
pub struct CleanerThreads {
    threads: Vec<CleanerThread>,
}

enum CleanerThread {
    Running(JoinHandle<()>),
    /// It ended because fewer were wanted.
    Ended,
    Dead,
}

impl CleanerThreads {
    /// Has as many threads run as are wanted now; those that are too many end by themselves.
    pub fn adjust(&mut self, broker: &Arc<Broker>) {
        let config = &broker.config().cleaner;
        if !config.enable {
            return;
        }
        let renewed = broker.cleaner.set_config(config.clone());
        let wanted = config.threads.max(1) as usize;
        self.threads.resize_with(self.threads.len().max(wanted), || CleanerThread::Ended);
        for (n, thread) in self.threads.iter_mut().enumerate() {
            *thread = match std::mem::replace(thread, CleanerThread::Ended) {
                CleanerThread::Running(handle) if handle.is_finished() => match handle.join() {
                    Ok(()) => CleanerThread::Ended,
                    Err(_) => {
                        error!(thread = n, "a thread of the log cleaner panicked");
                        CleanerThread::Dead
                    }
                },
                CleanerThread::Dead if renewed => CleanerThread::Ended,
                as_it_was => as_it_was,
            };
            if n < wanted && matches!(thread, CleanerThread::Ended) {
                match spawn(n, broker.clone()) {
                    Ok(handle) => *thread = CleanerThread::Running(handle),
                    Err(error) => warn!(thread = n, %error, "a thread of the log cleaner cannot be started now"),
                }
            }
        }
    }

    /// Ends them all, soon: what they are at is given up.
    pub fn stop(self, broker: &Broker) {
        broker.cleaner.stop();
        for thread in self.threads {
            if let CleanerThread::Running(handle) = thread
                && handle.join().is_err()
            {
                error!("a thread of the log cleaner panicked");
            }
        }
    }
}

fn spawn(n: usize, broker: Arc<Broker>) -> std::io::Result<JoinHandle<()>> {
    let owners = {
        let broker = broker.clone();
        move || {
            let partitions = broker.replicas.topics().into_iter().flat_map(|topic| topic.partitions()).flatten();
            partitions.map(|partition| partition as Arc<dyn LogOwner>).collect()
        }
    };
    thread::Builder::new().name(format!("log-cleaner-{n}")).spawn(move || broker.cleaner.run(n, owners))
}
