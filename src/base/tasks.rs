//! Background tasks and threads with a name, so that one that panics is not silently missing.

use std::thread;
use std::{io, process};

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

/// Spawns a thread that the broker cannot go on without, likewise.
pub fn spawn_vital_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let guard = AbortOnPanic(name.to_owned());
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _guard = guard;
        run();
    })
}

struct AbortOnPanic<N: AsRef<str>>(N);

impl<N: AsRef<str>> Drop for AbortOnPanic<N> {
    fn drop(&mut self) {
        if thread::panicking() {
            error!(task = self.0.as_ref(), "a vital task panicked; the process ends");
            process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the process that is to die.
    const DIE: &str = "KLAMM_TEST_OF_VITAL_THREADS";

    #[test]
    fn a_vital_thread_takes_the_process_with_it_when_it_panics_and_only_then() {
        if std::env::var_os(DIE).is_some() {
            spawn_vital_thread("careful", || ()).unwrap().join().unwrap();
            println!("still here");
            let _ = spawn_vital_thread("doomed", || panic!("it meets what nobody thought of")).unwrap().join();
            process::exit(0);
        }
        let this = "base::tasks::tests::a_vital_thread_takes_the_process_with_it_when_it_panics_and_only_then";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let died = child.args(["--exact", this, "--nocapture"]).env(DIE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&died.stdout).into_owned() + &String::from_utf8_lossy(&died.stderr);
        assert!(said.contains("still here") && said.contains("it meets what nobody thought of"), "{said}");
        assert!(!died.status.success(), "{said}");
    }
}
