//! The simulated disk's names: directories, and opening files by name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::SimulatedFile;
use super::state::{DirInode, FileInode, Inode, NameChange, name_of, names};
use super::{Operation, SimulatedDisk};
use crate::base::disk::{DirEntry, Disk, DiskFile, LockAttempt, OpenMode, Space};

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
