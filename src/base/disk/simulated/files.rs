//! The simulated disk's contents: open files and their maps.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::state::{FileChange, Held, State, put};
use super::{Operation, SimulatedDisk};
use crate::base::disk::{DiskFile, DiskMap};

pub(super) struct SimulatedFile {
    pub disk: SimulatedDisk,
    pub ino: u64,
    pub generation: u64,
    pub path: PathBuf,
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
