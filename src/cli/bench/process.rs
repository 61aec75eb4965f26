//! What a process of this machine costs, as `/proc` tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::error::{BenchError, Result};

/// State of a listening socket in `/proc/net/tcp`.
const TCP_LISTEN: &str = "0A";

#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: u32,
}

/// Memory in bytes, the rest in pieces.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    pub rss: u64,
    /// Resident anonymous memory: what the process itself holds, without pages of files.
    pub anonymous: u64,
    pub threads: u64,
    pub descriptors: u64,
    pub maps: u64,
}

impl Process {
    pub fn this() -> Self {
        Self { pid: std::process::id() }
    }

    /// The process of this machine that listens on `port`, if we may see it.
    pub fn listening_on(port: u16) -> Option<Self> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let inodes: Vec<&str> = tables.iter().flat_map(|table| listeners(table, port)).collect();
        let links: Vec<PathBuf> = inodes.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
        let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.into_iter().find(|pid| holds_any(*pid, &links)).map(|pid| Self { pid })
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|source| file_error(&path, source))
    }

    /// User and system time of all its threads since it started.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.read("stat")?;
        let ticks =
            cpu_ticks(&stat).ok_or_else(|| BenchError::Usage(format!("/proc/{}/stat cannot be read: {stat}", self.pid)))?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    pub fn usage(&self) -> Result<Usage> {
        let status = self.read("status")?;
        let descriptors = self.path("fd");
        let count = fs::read_dir(&descriptors).map_err(|source| file_error(&descriptors, source))?.count();
        Ok(Usage {
            rss: field(&status, "VmRSS:") << 10,
            anonymous: field(&status, "RssAnon:") << 10,
            threads: field(&status, "Threads:"),
            descriptors: count as u64,
            maps: self.read("maps")?.lines().count() as u64,
        })
    }
}

fn file_error(path: &Path, source: std::io::Error) -> BenchError {
    BenchError::File { path: path.display().to_string(), operation: "read", source }
}

fn holds_any(pid: u32, links: &[PathBuf]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| links.contains(&target)))
}

/// Inodes of the sockets that listen on `port`, from a table in the form of `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = &str> {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (local.ends_with(&suffix) && state == TCP_LISTEN).then_some(inode)
    })
}

/// `utime + stime` of a line in the form of `/proc/PID/stat`. The name in parentheses may hold anything, spaces too.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The number behind `name` in the form of `/proc/PID/status`; 0 if it is not there.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_process_behind_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(Process::listening_on(port).map(|p| p.pid), Some(std::process::id()));
        drop(listener);
        assert!(Process::listening_on(port).is_none());
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Process::this().usage().expect("our own /proc");
        assert!(usage.anonymous > 0 && usage.anonymous <= usage.rss, "{usage:?}");
        assert!(usage.threads >= 1 && usage.descriptors >= 3 && usage.maps > 1, "{usage:?}");
        assert!(Process::this().cpu().is_ok());
    }

    #[test]
    fn cpu_is_read_behind_any_name() {
        let stat = "17 (a (b) c) S 1 17 17 0 -1 4194560 5 6 7 8 250 50 11 12 20 0 1 0 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("17 (cut"), None);
    }
}
