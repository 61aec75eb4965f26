//! A bounded cache of open files and their maps, shared by all logs.
//!
//! Linux allows 65,530 maps a process and often 20,000 descriptors; a log with many segments would use up both. So a segment opens its files on
//! use, through a [`Slot`] each, and the cache closes the least recently used ones (clock sweep) when there are too many.
//!
//! Invariants: `open slots ≤ capacity`, except for those in use; a hit takes only the slot's own lock; closing a slot drops the cache's
//! handle and no one else's, so a reader keeps the map that it holds a slice of.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::base::disk::{Disk, DiskFile, DiskMap, OpenMode};

/// See the module.
pub struct FileCache {
    disk: Arc<dyn Disk>,
    capacity: usize,
    ring: Mutex<Ring>,
}

/// Slots that are open, or were.
#[derive(Default)]
struct Ring {
    slots: Vec<Weak<Slot>>,
    hand: usize,
}

/// One file's place in the cache: closed, open, or open and mapped.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<SlotState>,
    /// Used since the hand last came by.
    used: AtomicBool,
}

#[derive(Default)]
struct SlotState {
    file: Option<Arc<dyn DiskFile>>,
    writable: bool,
    map: Option<(Arc<dyn DiskMap>, u64)>,
    /// Maps that were let go of while somebody held a slice of them.
    outlived: Vec<Weak<()>>,
}

impl SlotState {
    /// Lets go of the map. Whether somebody still holds it, or one that was let go of before.
    fn let_go(&mut self) -> bool {
        self.outlived.extend(self.map.take().map(|(map, _)| map.watch()));
        self.outlived.retain(|watch| watch.strong_count() > 0);
        !self.outlived.is_empty()
    }
}

impl FileCache {
    /// A cache of at most `capacity` open files.
    pub fn new(disk: Arc<dyn Disk>, capacity: usize) -> Arc<Self> {
        Arc::new(Self { disk, capacity: capacity.max(1), ring: Mutex::default() })
    }

    /// How many files this process may keep open for its logs: raises the limit on descriptors to its hard limit, and leaves three fifths of
    /// it, for connections above all, and half of the maps, to others.
    pub fn capacity_of_process() -> usize {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let descriptors = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        let descriptors = descriptors.map_or(usize::MAX, |n| n as usize) / 5 * 2;
        let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let maps = maps.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(65_530) / 2;
        descriptors.min(maps).clamp(64, 1 << 20)
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Slots the cache knows of; all open ones are among them.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.ring.lock().slots.len()
    }

    /// Takes a newly opened slot in, and closes others if there are too many.
    fn admit(&self, slot: &Arc<Slot>) {
        let mut ring = self.ring.lock();
        // Two rounds: the first takes the marks of use away.
        let mut steps = ring.slots.len() * 2;
        while ring.slots.len() >= self.capacity && steps > 0 {
            steps -= 1;
            if ring.hand >= ring.slots.len() {
                ring.hand = 0;
            }
            let hand = ring.hand;
            let gone = match ring.slots[hand].upgrade() {
                None => true,
                Some(slot) => !slot.used.swap(false, Ordering::Relaxed) && slot.close_if_idle(),
            };
            if gone {
                ring.slots.swap_remove(hand);
            } else {
                ring.hand += 1;
            }
        }
        ring.slots.push(Arc::downgrade(slot));
    }
}

impl Slot {
    /// The open file; opens `path` if it is closed, or was opened for reading and is to be written now.
    pub(super) fn file(
        self: &Arc<Self>,
        cache: &FileCache,
        mode: OpenMode,
        path: impl FnOnce() -> PathBuf,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        self.opened(&mut state, cache, mode, path)
    }

    fn opened(
        self: &Arc<Self>,
        state: &mut SlotState,
        cache: &FileCache,
        mode: OpenMode,
        path: impl FnOnce() -> PathBuf,
    ) -> io::Result<Arc<dyn DiskFile>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &state.file
            && (state.writable || mode == OpenMode::Read)
        {
            return Ok(file.clone());
        }
        let was_closed = state.file.is_none();
        let file = cache.disk.open(&path(), mode)?;
        state.file = Some(file.clone());
        state.writable = mode == OpenMode::ReadWrite;
        if was_closed {
            cache.admit(self);
        }
        Ok(file)
    }

    /// The map of at least the first `needed` bytes; makes one of `len ≥ needed` bytes if there is none.
    pub(super) fn map(
        self: &Arc<Self>,
        cache: &FileCache,
        needed: u64,
        len: u64,
        path: impl FnOnce() -> PathBuf,
    ) -> io::Result<Arc<dyn DiskMap>> {
        let mut state = self.state.lock();
        self.used.store(true, Ordering::Relaxed);
        if let Some((map, mapped)) = &state.map
            && *mapped >= needed
        {
            return Ok(map.clone());
        }
        let len = len.max(needed);
        let map = self.opened(&mut state, cache, OpenMode::Read, path)?.map(len)?;
        state.let_go();
        state.map = Some((map.clone(), len));
        Ok(map)
    }

    /// File and map of at least the first `needed` bytes, if they are open already.
    pub(super) fn mapped(&self, needed: u64) -> Option<(Arc<dyn DiskFile>, Arc<dyn DiskMap>)> {
        let state = self.state.lock();
        let (map, mapped) = state.map.as_ref()?;
        self.used.store(true, Ordering::Relaxed);
        (*mapped >= needed).then(|| (state.file.clone().expect("a map keeps its file"), map.clone()))
    }

    /// Forgets file and map, before the name stands for another file or none.
    pub(super) fn close(&self) {
        *self.state.lock() = SlotState::default();
    }

    /// Cuts the file at `path` to `len` bytes: in place if nobody holds its map, otherwise a copy of what remains takes its place, durably, and
    /// the holders keep the old file. No new map is made meanwhile.
    pub(super) fn cut(self: &Arc<Self>, cache: &FileCache, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.let_go() {
            let file = self.opened(&mut state, cache, OpenMode::ReadWrite, || path.to_owned())?;
            return file.set_len(len);
        }
        // Closed in any case: the name may stand for the copy even after an error. The holders are remembered until it does for certain.
        state.file = None;
        replace_by_prefix(&**cache.disk(), path, len)?;
        *state = SlotState::default();
        Ok(())
    }

    /// Closes, unless the file or map is in use right now. Never waits: the sweep holds the ring, and an opener its slot.
    fn close_if_idle(&self) -> bool {
        let Some(mut state) = self.state.try_lock() else { return false };
        let held = state.file.as_ref().is_some_and(|file| Arc::strong_count(file) > 1)
            || state.map.as_ref().is_some_and(|(map, _)| Arc::strong_count(map) > 1);
        if !held {
            state.file = None;
            state.let_go();
        }
        !held
    }
}

fn replace_by_prefix(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = PathBuf::from(aside);
    let from = disk.open(path, OpenMode::Read)?;
    let to = disk.open(&aside, OpenMode::ReadWrite)?;
    to.set_len(0)?;
    let mut chunk = vec![0; CHUNK.min(len) as usize];
    let mut at = 0;
    while at < len {
        let part = &mut chunk[..CHUNK.min(len - at) as usize];
        from.read_exact_at(part, at)?;
        to.write_all_at(&[IoSlice::new(part)], at)?;
        at += part.len() as u64;
    }
    to.sync_data()?;
    disk.rename(&aside, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::simulated::{Operation, SimulatedDisk};

    fn path(n: usize) -> PathBuf {
        PathBuf::from(format!("/f{n}"))
    }

    fn slots(disk: &SimulatedDisk, n: usize) -> Vec<Arc<Slot>> {
        for i in 0..n {
            let file = disk.open(&path(i), OpenMode::ReadWrite).unwrap();
            file.write_all_at(&[IoSlice::new(&[i as u8; 8])], 0).unwrap();
        }
        (0..n).map(|_| Arc::default()).collect()
    }

    fn is_open(slot: &Slot) -> bool {
        slot.state.lock().file.is_some()
    }

    #[test]
    fn no_more_than_the_capacity_stay_open_and_the_recently_used_ones_do() {
        let disk = SimulatedDisk::default();
        let cache = FileCache::new(Arc::new(disk.clone()), 4);
        let slots = slots(&disk, 40);
        let touch = |i: usize| slots[i].map(&cache, 8, 8, || path(i)).unwrap();
        for i in 1..40 {
            touch(0);
            touch(i);
            assert!(cache.len() <= 4);
        }
        assert_eq!(slots.iter().filter(|slot| is_open(slot)).count(), 4);
        assert!(is_open(&slots[0]), "used between all others");
    }

    #[test]
    fn what_is_in_use_is_not_closed_and_a_slice_outlives_the_closing() {
        let disk = SimulatedDisk::default();
        let cache = FileCache::new(Arc::new(disk.clone()), 2);
        let slots = slots(&disk, 10);
        let held = slots[0].map(&cache, 8, 8, || path(0)).unwrap();
        let slice = slots[1].map(&cache, 8, 8, || path(1)).unwrap().slice(0, 8);
        for (i, slot) in slots.iter().enumerate().skip(2) {
            slot.file(&cache, OpenMode::Read, || path(i)).unwrap();
        }
        assert!(is_open(&slots[0]) && !is_open(&slots[1]));
        assert_eq!((&held.slice(0, 1)[..], &slice[..]), (&[0u8][..], &[1u8; 8][..]));
    }

    #[test]
    fn a_cut_leaves_a_reader_the_old_file() {
        let disk = SimulatedDisk::default();
        let cache = FileCache::new(Arc::new(disk.clone()), 2);
        let slot = slots(&disk, 1).remove(0);
        let slice = slot.map(&cache, 8, 64, || path(0)).unwrap().slice(0, 8);
        slot.cut(&cache, &path(0), 5).unwrap();
        assert_eq!((slice.len(), disk.read(&path(0)).unwrap().len()), (8, 5));
        assert_eq!(disk.list(Path::new("/")).unwrap().len(), 1, "nothing is left aside");
        drop(slice);
        slot.map(&cache, 5, 64, || path(0)).unwrap();
        let before = disk.changes();
        slot.cut(&cache, &path(0), 3).unwrap();
        assert_eq!((disk.read(&path(0)).unwrap().len(), disk.changes()), (3, before + 1), "in place");
    }

    #[test]
    fn a_cut_leaves_a_reader_the_old_file_even_if_its_map_was_let_go_of() {
        let disk = SimulatedDisk::default();
        let cache = FileCache::new(Arc::new(disk.clone()), 2);
        let slots = slots(&disk, 10);
        let slice = slots[0].map(&cache, 8, 64, || path(0)).unwrap().slice(0, 8);
        for (i, slot) in slots.iter().enumerate().skip(1) {
            slot.file(&cache, OpenMode::Read, || path(i)).unwrap();
        }
        assert!(!is_open(&slots[0]));
        slots[0].cut(&cache, &path(0), 5).unwrap();
        assert_eq!((&slice[..], disk.read(&path(0)).unwrap().len()), (&[0; 8][..], 5));
        let before = disk.changes();
        slots[0].cut(&cache, &path(0), 3).unwrap();
        assert_eq!(disk.changes(), before + 1, "the new file has no readers");
    }

    #[test]
    fn a_cut_leaves_a_reader_the_old_file_even_if_his_map_gave_way_to_a_larger_one() {
        let disk = SimulatedDisk::default();
        let cache = FileCache::new(Arc::new(disk.clone()), 2);
        let slot = slots(&disk, 1).remove(0);
        let slice = slot.map(&cache, 4, 4, || path(0)).unwrap().slice(0, 4);
        drop(slot.map(&cache, 8, 8, || path(0)).unwrap());
        slot.cut(&cache, &path(0), 2).unwrap();
        assert_eq!((&slice[..], disk.read(&path(0)).unwrap().len()), (&[0; 4][..], 2));
    }

    #[test]
    fn a_cut_that_failed_leaves_a_reader_the_old_file_when_it_is_tried_again() {
        for fails in [Operation::Create, Operation::Rename, Operation::SyncDir] {
            let disk = SimulatedDisk::default();
            let cache = FileCache::new(Arc::new(disk.clone()), 2);
            let slot = slots(&disk, 1).remove(0);
            let slice = slot.map(&cache, 8, 8, || path(0)).unwrap().slice(0, 8);
            disk.fail_when(move |operation, _| (operation == fails).then_some(io::ErrorKind::StorageFull));
            slot.cut(&cache, &path(0), 5).unwrap_err();
            disk.fail_no_more();
            slot.cut(&cache, &path(0), 5).unwrap();
            assert_eq!((&slice[..], disk.read(&path(0)).unwrap().len()), (&[0; 8][..], 5), "{fails:?}");
            let file = slot.file(&cache, OpenMode::ReadWrite, || path(0)).unwrap();
            file.write_all_at(&[IoSlice::new(b"x")], 5).unwrap();
            assert_eq!(disk.read(&path(0)).unwrap(), b"\0\0\0\0\0x", "{fails:?}: what is written goes to the new file");
        }
    }
}
