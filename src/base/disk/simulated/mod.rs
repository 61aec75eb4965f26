//! A disk in memory that can crash: it keeps, for every file and directory, what is durable and, in order, what is not yet.
//!
//! - [`Crash::Process`] keeps everything written (the page cache survives); [`Crash::Power`] keeps, drops or tears every unsynced write
//!   by seed, in sectors of 512 or 4096 bytes, and loses names whose directory was not synced;
//! - the k-th change can be made the last ([`SimulatedDisk::stop_after`]), any operation can be made to fail
//!   ([`SimulatedDisk::fail_when`]), and space can run out ([`SimulatedDisk::set_capacity`]);
//! - it holds its users to the rules of [`super::DiskMap`]: changing or cutting bytes that somebody holds a slice of panics, as
//!   does slicing behind the end of a file, where the real disk would raise SIGBUS.

mod directories;
mod files;
mod state;

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use self::state::{Inode, ROOT, Rng, State, names};
use crate::base::ids::TimestampMs;

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; everything written is still there.
    Process,
    /// The machine loses power; of what was not synced, the seed decides what is kept, dropped or torn.
    Power { seed: u64 },
}

/// What is being done to the disk, for fault rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Open,
    Create,
    CreateDir,
    List,
    Read,
    Write,
    SetLen,
    Reserve,
    Map,
    Rename,
    Remove,
    Sync,
    SyncDir,
}

type FaultRule = Box<dyn FnMut(Operation, &Path) -> Option<io::Error> + Send>;

/// Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self { state: Arc::new(Mutex::new(State::with_root())) }
    }
}

impl SimulatedDisk {
    /// How many changes (writes, syncs, names) the disk has seen.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Lets `more` changes pass; the next one is left undone or half done, and from then on everything fails until [`Self::crash`].
    pub fn stop_after(&self, more: u64) {
        let mut state = self.state.lock();
        state.stop_after = Some(state.changes + more);
    }

    /// Takes back [`Self::stop_after`]; how many changes were left.
    pub fn do_not_stop(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let left = state.stop_after.take()?;
        Some(left.saturating_sub(state.changes))
    }

    /// Whether [`Self::stop_after`] has struck.
    pub fn has_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Total bytes all files may hold; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes all files hold now.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Installs a rule that may fail any operation, with a kind of error or one of the system's; replaces the rule before it.
    pub fn fail_when<E: Into<io::Error>>(&self, mut rule: impl FnMut(Operation, &Path) -> Option<E> + Send + 'static) {
        self.state.lock().fault = Some(Box::new(move |operation, path| rule(operation, path).map(Into::into)));
    }

    pub fn fail_no_more(&self) {
        self.state.lock().fault = None;
    }

    /// Whether files claim not to be in the page cache.
    pub fn set_cold(&self, cold: bool) {
        self.state.lock().cold = cold;
    }

    /// The time that changed files are stamped with.
    pub fn set_now(&self, now: TimestampMs) {
        self.state.lock().now = now;
    }

    /// Ends every open handle and lock, and leaves what the crash leaves.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.stopped = false;
        state.stop_after = None;
        state.fault = None;
        state.locks.clear();
        let Crash::Power { seed } = crash else { return };
        let mut rng = Rng(seed);
        let mut inos: Vec<u64> = state.inodes.keys().copied().collect();
        inos.sort_unstable();
        for ino in inos {
            match state.inodes.get_mut(&ino).expect("listed above") {
                Inode::File(file) => file.lose_power(&mut rng),
                Inode::Dir(dir) => {
                    for change in std::mem::take(&mut dir.pending) {
                        if rng.chance(2) {
                            change.apply(&mut dir.durable);
                        }
                    }
                    dir.entries = dir.durable.clone();
                }
            }
        }
    }

    /// Contents of a file as they would be found after the worst power loss.
    pub fn durable_contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let mut ino = ROOT;
        for name in names(path) {
            match &state.inodes[&ino] {
                Inode::Dir(dir) => ino = *dir.durable.get(&name)?,
                Inode::File(_) => return None,
            }
        }
        match &state.inodes[&ino] {
            Inode::File(file) => Some(file.durable.clone()),
            Inode::Dir(_) => None,
        }
    }

    /// Overwrites bytes of a file behind its users' backs, durably: damage.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let ino = state.lookup(path).expect("file to damage");
        let Some(Inode::File(file)) = state.inodes.get_mut(&ino) else { panic!("{} is no file", path.display()) };
        change(&mut file.content);
        file.durable = file.content.clone();
        file.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::base::disk::{Disk, DiskFile, OpenMode, Space};

    fn write(disk: &SimulatedDisk, path: &str, bytes: &[u8], at: u64) -> Arc<dyn DiskFile> {
        let file = disk.open(Path::new(path), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[IoSlice::new(bytes)], at).unwrap();
        file
    }

    #[test]
    fn what_was_synced_survives_every_power_loss_and_what_was_not_may_go() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..64 {
            let disk = SimulatedDisk::default();
            disk.create_dir_all(Path::new("/d")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let file = write(&disk, "/d/kept", b"synced", 0);
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            write(&disk, "/d/kept", b"tail", 6);
            write(&disk, "/d/nameless", b"x", 0).sync_data().unwrap();
            disk.crash(Crash::Power { seed });
            assert!(file.len().is_err(), "handles die with the process");
            let left = disk.read(Path::new("/d/kept")).unwrap();
            assert!(left.starts_with(b"synced"));
            seen.insert((left.len(), disk.exists(Path::new("/d/nameless"))));
        }
        for expected in [(6, false), (6, true), (10, false), (10, true)] {
            assert!(seen.contains(&expected), "{expected:?} never happened: {seen:?}");
        }
    }

    #[test]
    fn a_killed_process_leaves_all_it_wrote() {
        let disk = SimulatedDisk::default();
        write(&disk, "/f", b"abc", 0);
        disk.crash(Crash::Process);
        assert_eq!(disk.read(Path::new("/f")).unwrap(), b"abc");
    }

    #[test]
    fn it_stops_at_the_change_it_was_told_to() {
        let disk = SimulatedDisk::default();
        let file = write(&disk, "/f", b"abcd", 0);
        disk.stop_after(1);
        file.write_all_at(&[IoSlice::new(b"efgh")], 4).unwrap();
        assert!(file.write_all_at(&[IoSlice::new(b"ijkl")], 8).is_err());
        assert!(disk.has_stopped() && file.sync_data().is_err());
        disk.crash(Crash::Process);
        assert!(disk.read(Path::new("/f")).unwrap().starts_with(b"abcdefgh"));
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_says_so() {
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(6));
        let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[IoSlice::new(b"abcd")], 0).unwrap();
        let error = file.write_all_at(&[IoSlice::new(b"efgh")], 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((file.len().unwrap(), disk.space(Path::new("/")).unwrap()), (6, Space { total: 6, free: 0 }));
    }

    #[test]
    #[should_panic(expected = "under a reader")]
    fn cutting_under_a_reader_is_caught() {
        let disk = SimulatedDisk::default();
        let file = write(&disk, "/f", b"abcdef", 0);
        let _slice = file.map(100).unwrap().slice(2, 5);
        file.set_len(4).unwrap();
    }
}
