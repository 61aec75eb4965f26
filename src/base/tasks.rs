//! Background tasks with a name, so that one that panics is not silently missing.

use std::process;

use tokio::task::JoinHandle;
use tracing::error;

/// Spawns a task that the broker cannot go on without. If it panics the process ends: a broker without its controller or flusher would
/// promise what it cannot keep, and a restart recovers.
pub fn spawn_vital(name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let guard = AbortOnPanic(name);
        task.await;
        std::mem::forget(guard);
    })
}

struct AbortOnPanic(&'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(task = self.0, "a vital task panicked; the process ends");
            process::abort();
        }
    }
}
