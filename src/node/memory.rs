//! How much memory requests may take together.

use std::path::Path;

/// `queued.max.request.bytes`; −1 is a quarter of the memory of the machine, or of the control group this process is confined to.
pub(super) fn request_memory(configured: i64) -> u64 {
    if configured >= 0 {
        return configured as u64;
    }
    let machine = rustix::system::sysinfo();
    let machine = machine.totalram as u64 * u64::from(machine.mem_unit);
    machine.min(memory_of_group()) / 4
}

/// The least bound on memory of the control group of this process and of those around it (version 2).
fn memory_of_group() -> u64 {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let own = root.join(own);
    let around = own.ancestors().take_while(|group| group.starts_with(root));
    let bound = |group: &Path| std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok();
    around.filter_map(bound).min().unwrap_or(u64::MAX)
}
