//! A disk in memory that can crash: it keeps, for every file and directory, what is durable and, in order, what is not yet.
//!
//! - [`Crash::Process`] keeps everything written (the page cache survives); [`Crash::Power`] keeps, drops or tears every unsynced write
//!   by seed, in sectors of 512 or 4096 bytes, and loses names whose directory was not synced;
//! - the k-th change can be made the last ([`SimulatedDisk::stop_after`]), any operation can be made to fail
//!   ([`SimulatedDisk::fail_when`]), and space can run out ([`SimulatedDisk::set_capacity`]);
//! - it holds its users to the rules of [`super::DiskMap`]: changing or cutting bytes that somebody holds a slice of panics, as
//!   does slicing behind the end of a file, where the real disk would raise SIGBUS.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::{DirEntry, Disk, DiskFile, DiskMap, LockAttempt, OpenMode, Space};
use crate::base::ids::TimestampMs;

const ROOT: u64 = 0;

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

type FaultRule = Box<dyn FnMut(Operation, &Path) -> Option<io::ErrorKind> + Send>;

/// Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Handles opened before the last crash are dead.
    generation: u64,
    /// Changes so far, and after how many the disk stops.
    changes: u64,
    stop_after: Option<u64>,
    stopped: bool,
    capacity: Option<u64>,
    fault: Option<FaultRule>,
    cold: bool,
    now: TimestampMs,
    inodes: HashMap<u64, Inode>,
    locks: HashMap<PathBuf, (Weak<()>, String)>,
}

enum Inode {
    File(FileInode),
    Dir(DirInode),
}

#[derive(Default)]
struct FileInode {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileChange>,
    held: Vec<Weak<Held>>,
    /// Space that is the file's, up to this offset.
    reserved: usize,
    modified: TimestampMs,
    unlinked: bool,
}

#[derive(Default)]
struct DirInode {
    entries: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<NameChange>,
}

enum FileChange {
    Write { at: usize, data: Vec<u8> },
    SetLen(usize),
}

enum NameChange {
    Set(String, u64),
    Unset(String),
    Rename { from: String, to: String, ino: u64 },
}

impl NameChange {
    fn apply(&self, entries: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Set(name, ino) => {
                entries.insert(name.clone(), *ino);
            }
            NameChange::Unset(name) => {
                entries.remove(name);
            }
            NameChange::Rename { from, to, ino } => {
                entries.remove(from);
                entries.insert(to.clone(), *ino);
            }
        }
    }
}

/// The range of a slice that is still alive.
struct Held {
    start: usize,
    end: usize,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        let inodes = HashMap::from([(ROOT, Inode::Dir(DirInode::default()))]);
        Self { state: Arc::new(Mutex::new(State { inodes, ..State::default() })) }
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

    /// Installs a rule that may fail any operation; replaces the rule before it.
    pub fn fail_when(&self, rule: impl FnMut(Operation, &Path) -> Option<io::ErrorKind> + Send + 'static) {
        self.state.lock().fault = Some(Box::new(rule));
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

impl FileInode {
    fn lose_power(&mut self, rng: &mut Rng) {
        let mut image = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.pending) {
            match change {
                FileChange::SetLen(len) if rng.chance(2) => image.resize(len, 0),
                FileChange::SetLen(_) => {}
                FileChange::Write { at, data } => match rng.below(4) {
                    0 => {}
                    1 => put(&mut image, at, &data),
                    torn => {
                        let sector = if rng.chance(2) { 512 } else { 4096 };
                        if torn == 3 && image.len() < at + data.len() {
                            image.resize(at + data.len(), 0); // the new size made it, the data perhaps not
                        }
                        let mut from = at;
                        while from < at + data.len() {
                            let to = ((from / sector + 1) * sector).min(at + data.len());
                            if rng.chance(2) {
                                put(&mut image, from, &data[from - at..to - at]);
                            }
                            from = to;
                        }
                    }
                },
            }
        }
        self.content = image.clone();
        self.durable = image;
        self.held.clear();
    }

    fn assert_not_held(&mut self, from: usize, to: usize, what: &str) {
        self.held.retain(|held| held.strong_count() > 0);
        for held in self.held.iter().filter_map(Weak::upgrade) {
            assert!(
                held.end <= from || to <= held.start,
                "{what} {from}..{to} under a reader that holds {}..{}",
                held.start,
                held.end
            );
        }
    }
}

fn put(image: &mut Vec<u8>, at: usize, data: &[u8]) {
    if image.len() < at + data.len() {
        image.resize(at + data.len(), 0);
    }
    image[at..at + data.len()].copy_from_slice(data);
}

fn names(path: &Path) -> impl Iterator<Item = String> + '_ {
    path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file or directory", path.display()))
}

impl State {
    /// What every operation passes through first: a stopped disk, then the fault rule.
    fn admit(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("simulated crash"));
        }
        if let Some(kind) = self.fault.as_mut().and_then(|rule| rule(operation, path)) {
            return Err(io::Error::new(kind, format!("simulated fault: {operation:?} {}", path.display())));
        }
        Ok(())
    }

    /// Counts a change; an error if it is the one that the disk stops at.
    fn change(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        self.admit(operation, path)?;
        if self.stop_after == Some(self.changes) {
            self.stopped = true;
            return Err(io::Error::other("simulated crash"));
        }
        self.changes += 1;
        Ok(())
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        let mut ino = ROOT;
        for name in names(path) {
            ino = match &self.inodes[&ino] {
                Inode::Dir(dir) => *dir.entries.get(&name).ok_or_else(|| not_found(path))?,
                Inode::File(_) => return Err(io::Error::from(io::ErrorKind::NotADirectory)),
            };
        }
        Ok(ino)
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut DirInode> {
        let ino = self.lookup(path)?;
        match self.inodes.get_mut(&ino) {
            Some(Inode::Dir(dir)) => Ok(dir),
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn file(&mut self, ino: u64) -> &mut FileInode {
        match self.inodes.get_mut(&ino) {
            Some(Inode::File(file)) => file,
            _ => unreachable!("inodes of files stay files"),
        }
    }

    fn set_name(&mut self, path: &Path, change: impl FnOnce(String) -> NameChange) -> io::Result<()> {
        let name = name_of(path);
        let dir = self.dir(path.parent().unwrap_or(Path::new("/")))?;
        let change = change(name);
        change.apply(&mut dir.entries);
        dir.pending.push(change);
        Ok(())
    }

    fn add(&mut self, path: &Path, inode: Inode) -> io::Result<u64> {
        let ino = self.inodes.len() as u64;
        self.set_name(path, |name| NameChange::Set(name, ino))?;
        self.inodes.insert(ino, inode);
        Ok(ino)
    }

    fn used(&self) -> u64 {
        let linked = |inode: &Inode| match inode {
            Inode::File(file) if !file.unlinked => file.content.len().max(file.reserved) as u64,
            _ => 0,
        };
        self.inodes.values().map(linked).sum()
    }

    fn free(&self) -> usize {
        self.capacity.map_or(usize::MAX / 2, |capacity| capacity.saturating_sub(self.used()) as usize)
    }

    fn unlink(&mut self, ino: u64) {
        if let Some(Inode::File(file)) = self.inodes.get_mut(&ino) {
            file.unlinked = true;
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.admit(Operation::Open, path)?;
        let ino = match state.lookup(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && mode == OpenMode::ReadWrite => {
                state.change(Operation::Create, path)?;
                let modified = state.now;
                state.add(path, Inode::File(FileInode { modified, ..FileInode::default() }))?
            }
            found => found?,
        };
        if matches!(state.inodes[&ino], Inode::Dir(_)) {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(Arc::new(SimulatedFile { disk: self.clone(), ino, generation: state.generation, path: path.to_owned() }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.state.lock();
        state.admit(Operation::List, path)?;
        let entries: Vec<(String, u64)> = state.dir(path)?.entries.iter().map(|(n, i)| (n.clone(), *i)).collect();
        let entry = |(name, ino): (String, u64)| match &state.inodes[&ino] {
            Inode::File(file) => DirEntry { name, len: file.content.len() as u64, is_dir: false, modified: file.modified },
            Inode::Dir(_) => DirEntry { name, len: 0, is_dir: true, modified: 0 },
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut so_far = PathBuf::from("/");
        for name in names(path) {
            so_far.push(name);
            match state.lookup(&so_far) {
                Ok(ino) if matches!(state.inodes[&ino], Inode::Dir(_)) => {}
                Ok(_) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
                Err(_) => {
                    state.change(Operation::CreateDir, &so_far)?;
                    state.add(&so_far, Inode::Dir(DirInode::default()))?;
                }
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let ino = state.lookup(from)?;
        state.change(Operation::Rename, from)?;
        if let Ok(replaced) = state.lookup(to) {
            state.unlink(replaced);
        }
        if from.parent() == to.parent() {
            let to = name_of(to);
            state.set_name(from, |from| NameChange::Rename { from, to, ino })
        } else {
            state.set_name(to, |name| NameChange::Set(name, ino))?;
            state.set_name(from, NameChange::Unset)
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let ino = state.lookup(path)?;
        if matches!(state.inodes[&ino], Inode::Dir(_)) {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        state.change(Operation::Remove, path)?;
        state.unlink(ino);
        state.set_name(path, NameChange::Unset)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            let path = path.join(&entry.name);
            if entry.is_dir { self.remove_dir_all(&path)? } else { self.remove_file(&path)? }
        }
        let mut state = self.state.lock();
        state.change(Operation::Remove, path)?;
        state.set_name(path, NameChange::Unset)
    }

    fn exists(&self, path: &Path) -> bool {
        self.state.lock().lookup(path).is_ok()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change(Operation::SyncDir, path)?;
        let dir = state.dir(path)?;
        dir.durable = dir.entries.clone();
        dir.pending.clear();
        Ok(())
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.change(Operation::Sync, path)?;
        for inode in state.inodes.values_mut() {
            match inode {
                Inode::File(file) => {
                    file.durable = file.content.clone();
                    file.pending.clear();
                }
                Inode::Dir(dir) => {
                    dir.durable = dir.entries.clone();
                    dir.pending.clear();
                }
            }
        }
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.state.lock();
        let free = state.free() as u64;
        Ok(Space { total: state.used() + free, free })
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        let mut state = self.state.lock();
        if let Some((holder, note)) = state.locks.get(path)
            && holder.strong_count() > 0
        {
            return Ok(LockAttempt::Taken { note: note.clone() });
        }
        let holder = Arc::new(());
        state.locks.insert(path.to_owned(), (Arc::downgrade(&holder), note.to_owned()));
        if state.lookup(path).is_err() {
            state.change(Operation::Create, path)?;
            state.add(path, Inode::File(FileInode::default()))?;
        }
        Ok(LockAttempt::Held(Box::new(holder)))
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    ino: u64,
    generation: u64,
    path: PathBuf,
}

impl SimulatedFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("the process that held this file is dead"));
        }
        Ok(state)
    }

    fn write(&self, state: &mut State, at: usize, data: Vec<u8>) {
        let now = state.now;
        let file = state.file(self.ino);
        file.assert_not_held(at, at + data.len(), "a write of");
        put(&mut file.content, at, &data);
        file.modified = now;
        file.pending.push(FileChange::Write { at, data });
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.file(self.ino).content.len() as u64)
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let at = offset as usize;
        let mut data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if let Err(e) = state.change(Operation::Write, &self.path) {
            if state.stopped && state.changes % 2 == 1 {
                data.truncate(data.len() / 2); // killed in the middle of the system call
                self.write(&mut state, at, data);
            }
            return Err(e);
        }
        let file = state.file(self.ino);
        let owned = file.content.len().max(file.reserved);
        let free = state.free();
        if (at + data.len()).saturating_sub(owned) > free {
            data.truncate((owned + free).saturating_sub(at));
            self.write(&mut state, at, data);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.write(&mut state, at, data);
        Ok(())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self.read_at(buf, offset)? {
            n if n == buf.len() => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        state.admit(Operation::Read, &self.path)?;
        let content = &state.file(self.ino).content;
        let from = content.len().min(offset as usize);
        let n = buf.len().min(content.len() - from);
        buf[..n].copy_from_slice(&content[from..from + n]);
        Ok(n)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(Operation::Sync, &self.path)?;
        let file = state.file(self.ino);
        file.durable = file.content.clone();
        file.pending.clear();
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.state().map(|_| ())
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.admit(Operation::Reserve, &self.path)?;
        let free = state.free();
        let file = state.file(self.ino);
        let end = (offset + len) as usize;
        if end.saturating_sub(file.content.len().max(file.reserved)) > free {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        file.reserved = file.reserved.max(end);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(Operation::SetLen, &self.path)?;
        let now = state.now;
        let file = state.file(self.ino);
        let len = len as usize;
        if len < file.content.len() {
            file.assert_not_held(len, file.content.len(), "a cut of");
        }
        file.content.resize(len, 0);
        file.reserved = 0;
        file.modified = now;
        file.pending.push(FileChange::SetLen(len));
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Arc<dyn DiskMap>> {
        self.state()?.admit(Operation::Map, &self.path)?;
        Ok(Arc::new(SimulatedMap { disk: self.disk.clone(), ino: self.ino, len, alive: Arc::new(()) }))
    }

    fn is_resident(&self, _offset: u64, _len: u64) -> Option<bool> {
        Some(!self.state().ok()?.cold)
    }
}

struct SimulatedMap {
    disk: SimulatedDisk,
    ino: u64,
    len: u64,
    alive: Arc<()>,
}

/// A slice's copy of the bytes, and the proof that somebody holds them.
struct Slice {
    bytes: Vec<u8>,
    _held: Arc<Held>,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DiskMap for SimulatedMap {
    fn slice(&self, start: u64, end: u64) -> Bytes {
        let mut state = self.disk.state.lock();
        let file = state.file(self.ino);
        let (start, end) = (start as usize, end as usize);
        assert!(end as u64 <= self.len, "a slice up to {end} of a map of {} bytes", self.len);
        assert!(end <= file.content.len(), "a slice up to {end} of a file of {} bytes: SIGBUS", file.content.len());
        let held = Arc::new(Held { start, end });
        file.held.retain(|held| held.strong_count() > 0);
        file.held.push(Arc::downgrade(&held));
        Bytes::from_owner(Slice { bytes: file.content[start..end].to_vec(), _held: held, _alive: self.alive.clone() })
    }

    fn load(&self, _start: u64, _end: u64) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }
}

/// SplitMix64: enough for choosing what survives.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// True once in `n` times.
    fn chance(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
