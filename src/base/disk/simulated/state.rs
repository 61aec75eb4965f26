//! What the simulated disk consists of: inodes, each with its durable image and, in order, the changes that are not durable.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Weak;

use super::{FaultRule, Operation};
use crate::base::ids::TimestampMs;

pub(super) const ROOT: u64 = 0;

#[derive(Default)]
pub(super) struct State {
    /// Handles opened before the last crash are dead.
    pub generation: u64,
    /// Changes so far, and after how many the disk stops.
    pub changes: u64,
    pub stop_after: Option<u64>,
    pub stopped: bool,
    pub capacity: Option<u64>,
    pub fault: Option<FaultRule>,
    pub cold: bool,
    pub now: TimestampMs,
    pub inodes: HashMap<u64, Inode>,
    pub locks: HashMap<PathBuf, (Weak<()>, String)>,
}

pub(super) enum Inode {
    File(FileInode),
    Dir(DirInode),
}

#[derive(Default)]
pub(super) struct FileInode {
    pub content: Vec<u8>,
    pub durable: Vec<u8>,
    pub pending: Vec<FileChange>,
    pub held: Vec<Weak<Held>>,
    /// Space that is the file's, up to this offset.
    pub reserved: usize,
    pub modified: TimestampMs,
    pub unlinked: bool,
}

#[derive(Default)]
pub(super) struct DirInode {
    pub entries: BTreeMap<String, u64>,
    pub durable: BTreeMap<String, u64>,
    pub pending: Vec<NameChange>,
}

pub(super) enum FileChange {
    Write { at: usize, data: Vec<u8> },
    SetLen(usize),
}

pub(super) enum NameChange {
    Set(String, u64),
    Unset(String),
    Rename { from: String, to: String, ino: u64 },
}

impl NameChange {
    pub fn apply(&self, entries: &mut BTreeMap<String, u64>) {
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
pub(super) struct Held {
    pub start: usize,
    pub end: usize,
}
impl FileInode {
    pub fn lose_power(&mut self, rng: &mut Rng) {
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

    pub fn assert_not_held(&mut self, from: usize, to: usize, what: &str) {
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

pub(super) fn put(image: &mut Vec<u8>, at: usize, data: &[u8]) {
    if image.len() < at + data.len() {
        image.resize(at + data.len(), 0);
    }
    image[at..at + data.len()].copy_from_slice(data);
}

pub(super) fn names(path: &Path) -> impl Iterator<Item = String> + '_ {
    path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

pub(super) fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file or directory", path.display()))
}

impl State {
    /// An empty disk.
    pub fn with_root() -> Self {
        Self { inodes: HashMap::from([(ROOT, Inode::Dir(DirInode::default()))]), ..Self::default() }
    }

    /// What every operation passes through first: a stopped disk, then the fault rule.
    pub fn admit(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("simulated crash"));
        }
        if let Some(error) = self.fault.as_mut().and_then(|rule| rule(operation, path)) {
            return Err(match error.raw_os_error() {
                Some(_) => error,
                None => io::Error::new(error.kind(), format!("simulated fault: {operation:?} {}", path.display())),
            });
        }
        Ok(())
    }

    /// Counts a change; an error if it is the one that the disk stops at.
    pub fn change(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        self.admit(operation, path)?;
        if self.stop_after == Some(self.changes) {
            self.stopped = true;
            return Err(io::Error::other("simulated crash"));
        }
        self.changes += 1;
        Ok(())
    }

    pub fn lookup(&self, path: &Path) -> io::Result<u64> {
        let mut ino = ROOT;
        for name in names(path) {
            ino = match &self.inodes[&ino] {
                Inode::Dir(dir) => *dir.entries.get(&name).ok_or_else(|| not_found(path))?,
                Inode::File(_) => return Err(io::Error::from(io::ErrorKind::NotADirectory)),
            };
        }
        Ok(ino)
    }

    pub fn dir(&mut self, path: &Path) -> io::Result<&mut DirInode> {
        let ino = self.lookup(path)?;
        match self.inodes.get_mut(&ino) {
            Some(Inode::Dir(dir)) => Ok(dir),
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    pub fn file(&mut self, ino: u64) -> &mut FileInode {
        match self.inodes.get_mut(&ino) {
            Some(Inode::File(file)) => file,
            _ => unreachable!("inodes of files stay files"),
        }
    }

    pub fn set_name(&mut self, path: &Path, change: impl FnOnce(String) -> NameChange) -> io::Result<()> {
        let name = name_of(path);
        let dir = self.dir(path.parent().unwrap_or(Path::new("/")))?;
        let change = change(name);
        change.apply(&mut dir.entries);
        dir.pending.push(change);
        Ok(())
    }

    pub fn add(&mut self, path: &Path, inode: Inode) -> io::Result<u64> {
        let ino = self.inodes.len() as u64;
        self.set_name(path, |name| NameChange::Set(name, ino))?;
        self.inodes.insert(ino, inode);
        Ok(ino)
    }

    pub fn used(&self) -> u64 {
        let linked = |inode: &Inode| match inode {
            Inode::File(file) if !file.unlinked => file.content.len().max(file.reserved) as u64,
            _ => 0,
        };
        self.inodes.values().map(linked).sum()
    }

    pub fn free(&self) -> usize {
        self.capacity.map_or(usize::MAX / 2, |capacity| capacity.saturating_sub(self.used()) as usize)
    }

    pub fn unlink(&mut self, ino: u64) {
        if let Some(Inode::File(file)) = self.inodes.get_mut(&ino) {
            file.unlinked = true;
        }
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// SplitMix64: enough for choosing what survives.
pub(super) struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// True once in `n` times.
    pub fn chance(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
