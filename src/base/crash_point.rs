//! Places at which a test may have the process die, as by kill −9. A release build has none of them.

/// Ends the process here if the environment's `CRASH_AT` names this place: `name`, or `name:3` for the third time it is reached.
#[cfg(debug_assertions)]
pub fn crash_point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PLACE: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let place = PLACE.get_or_init(|| {
        let wanted = std::env::var("CRASH_AT").ok()?;
        let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    let Some((wanted, count)) = place else { return };
    if wanted == name && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing: see the other one.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn crash_point(_name: &str) {}
