//! How much room a log directory has for what clients write, asked of the file system so seldom that appends do not notice.
//!
//! What is left below the floor belongs to coordinators, metadata and everything that makes room again, so that a disk which clients have
//! filled still takes commits and deletions. Invariants: between two questions to the file system clients write at most half of what was free
//! above the floor; the question is repeated by whoever looks after the directory, since others write to the file system, too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::base::disk::{Disk, Space};

/// The floor is at most this share of the file system.
const LARGEST_SHARE: u64 = 20;

/// Clients' writes are refused for want of room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "log directory {} has {free} bytes left; producers are refused where less than {floor} would be left (log.dir.min.free.bytes)",
    path.display()
)]
pub struct NoRoom {
    pub path: PathBuf,
    pub free: u64,
    pub floor: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// `log.dir.min.free.bytes`; 0 switches all of this off.
    min_free: AtomicU64,
    /// What clients may write before the file system is asked again.
    budget: AtomicI64,
    low: AtomicBool,
}

impl Room {
    pub fn set_min_free(&self, bytes: u64) {
        self.min_free.store(bytes, Ordering::Relaxed);
        self.budget.store(0, Ordering::Relaxed);
    }

    /// Whether clients were refused, or would have been, when the file system was asked last.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Whether `bytes` may be set aside without clients soon missing them.
    pub fn is_ample_for(&self, bytes: u64) -> bool {
        self.min_free.load(Ordering::Relaxed) == 0 || self.budget.load(Ordering::Relaxed) >= (bytes as i64).saturating_mul(4)
    }

    /// Admits a client's write of `bytes`.
    pub fn admit(&self, bytes: u64, disk: &dyn Disk, path: &Path) -> Result<(), NoRoom> {
        if self.min_free.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let bytes = bytes as i64;
        if self.budget.fetch_sub(bytes, Ordering::Relaxed) >= bytes {
            return Ok(());
        }
        // A file system that does not say what it has left takes the write, or refuses it itself.
        let Ok(Measured { free, floor }) = self.look(disk, path) else { return Ok(()) };
        if free.saturating_sub(floor) < bytes as u64 {
            self.budget.store(0, Ordering::Relaxed);
            self.tell(true, path, free, floor);
            return Err(NoRoom { path: path.to_owned(), free, floor });
        }
        self.budget.fetch_sub(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Asks the file system, now and then and after something was deleted.
    pub fn refresh(&self, disk: &dyn Disk, path: &Path) {
        if self.min_free.load(Ordering::Relaxed) == 0 {
            self.low.store(false, Ordering::Relaxed);
        } else if let Ok(Measured { free, floor }) = self.look(disk, path) {
            // Once it was low it is so until there is some way to the floor: else clients with large records would make it change for ever.
            let wanted = if self.is_low() { floor + floor / 2 } else { floor };
            self.tell(free <= wanted, path, free, floor);
        }
    }

    fn look(&self, disk: &dyn Disk, path: &Path) -> io::Result<Measured> {
        let Space { total, free } = disk.space(path)?;
        let floor = self.min_free.load(Ordering::Relaxed).min(total / LARGEST_SHARE);
        let above = i64::try_from(free.saturating_sub(floor)).unwrap_or(i64::MAX);
        self.budget.store(above / 2, Ordering::Relaxed);
        Ok(Measured { free, floor })
    }

    fn tell(&self, low: bool, path: &Path, free: u64, floor: u64) {
        match (self.low.swap(low, Ordering::Relaxed), low) {
            (false, true) => tracing::error!(
                path = %path.display(), free, floor,
                "the log directory is nearly full: producers are refused until there is room again (log.dir.min.free.bytes)"
            ),
            (true, false) => tracing::info!(path = %path.display(), free, floor, "the log directory has room again"),
            _ => {}
        }
    }
}

struct Measured {
    free: u64,
    floor: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::OpenMode;
    use crate::base::disk::simulated::SimulatedDisk;

    fn room(min_free: u64) -> Room {
        let room = Room::default();
        room.set_min_free(min_free);
        room
    }

    #[test]
    fn clients_stop_at_the_floor_and_go_on_once_there_is_room() {
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(1000));
        let (room, root) = (room(50), Path::new("/"));
        let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
        let mut written = 0;
        let refused = loop {
            match room.admit(60, &disk, root) {
                Ok(()) => file.write_all_at(&[io::IoSlice::new(&[0; 60])], written).unwrap(),
                Err(refused) => break refused,
            }
            written += 60;
        };
        assert_eq!(
            refused,
            NoRoom { path: root.into(), free: 100, floor: 50 },
            "50 are left above the floor, and 60 were wanted"
        );
        assert!(room.is_low());
        assert_eq!(room.admit(40, &disk, root), Ok(()), "what fits is taken");
        file.set_len(500).unwrap();
        room.refresh(&disk, root);
        assert!(!room.is_low());
        assert_eq!(room.admit(60, &disk, root), Ok(()));
    }

    #[test]
    fn a_small_disk_has_a_small_floor_and_none_is_kept_where_none_is_wanted() {
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(1000));
        let root = Path::new("/");
        assert_eq!(room(1 << 20).admit(950, &disk, root), Ok(()), "a twentieth is kept at most");
        assert_eq!(room(1 << 20).admit(951, &disk, root).unwrap_err().floor, 50);
        assert_eq!(room(0).admit(5000, &disk, root), Ok(()));
    }

    #[test]
    fn the_file_system_is_not_asked_for_every_write() {
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(1 << 30));
        let room = room(1 << 20);
        room.refresh(&disk, Path::new("/"));
        // Whoever asked now would be told that nothing is left.
        disk.set_capacity(Some(0));
        for _ in 0..500 {
            assert_eq!(room.admit(1 << 20, &disk, Path::new("/")), Ok(()));
        }
        assert!(room.admit(1 << 25, &disk, Path::new("/")).is_err());
    }
}
