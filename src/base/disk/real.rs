//! The disk of the operating system (Linux).

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::{DirEntry, Disk, DiskFile, DiskMap, LockAttempt, OpenMode, Space};

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc_o_cloexec());
        if mode == OpenMode::ReadWrite {
            options.write(true).create(true);
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() {
                    return Ok(DirEntry { name, len: 0, is_dir: true, modified: 0 });
                }
                let metadata = entry.metadata()?;
                let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
                Ok(DirEntry { name, len: metadata.len(), is_dir: false, modified })
            })
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockAttempt> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(libc_o_cloexec()).open(path)?;
        if !lock_whole_file(&file)? {
            let mut left = String::new();
            file.take(1024).read_to_string(&mut left)?;
            return Ok(LockAttempt::Taken { note: left.trim().to_owned() });
        }
        file.set_len(0)?;
        file.write_all(note.as_bytes())?;
        Ok(LockAttempt::Held(Box::new(file)))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }
}

fn libc_o_cloexec() -> i32 {
    rustix::fs::OFlags::CLOEXEC.bits() as i32
}

/// Locks by open file description (`F_OFD_SETLK`): it excludes a second klamm, in this process too, and Kafka, whose JVM locks with
/// `F_SETLK`; `flock` would see neither the one nor the other on every file system.
fn lock_whole_file(file: &File) -> io::Result<bool> {
    // SAFETY: `flock` is plain data, and all zeros is a valid value of it.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: plain system call on an open descriptor; `range` outlives it.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &range) };
    if rc == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if matches!(e.raw_os_error(), Some(libc::EAGAIN) | Some(libc::EACCES)) => Ok(false),
        e => Err(e),
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let total: usize = parts.iter().map(|p| p.len()).sum();
        let written = rustix::io::retry_on_intr(|| rustix::io::pwritev(&self.0, parts, offset))?;
        if written == total {
            return Ok(());
        }
        // A short write means a nearly full disk or a signal: go on part by part, and let the disk say what is wrong.
        let mut skip = written;
        let mut at = offset + written as u64;
        for part in parts {
            if skip >= part.len() {
                skip -= part.len();
                continue;
            }
            self.0.write_all_at(&part[skip..], at)?;
            at += (part.len() - skip) as u64;
            skip = 0;
        }
        Ok(())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        sync_file_range_write(&self.0, offset, len)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::KEEP_SIZE, offset, len) {
            // tmpfs and friends may not know it; the write itself will reserve then.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn map(&self, len: u64) -> io::Result<Arc<dyn DiskMap>> {
        // SAFETY: nobody but klamm writes these files; published bytes never change and are never cut while a map is held
        // (module invariants), so the mapped memory behaves as immutable.
        let map = unsafe { memmap2::MmapOptions::new().len(len as usize).map(&self.0)? };
        // A first touch must not read ahead in large folios: 6 to 24 ms a file on recent kernels.
        map.advise(memmap2::Advice::Random)?;
        let alive = Arc::new(());
        Ok(Arc::new(RealMap { watch: Arc::downgrade(&alive), whole: Bytes::from_owner(Mapped { map, _alive: alive }) }))
    }

    fn is_resident(&self, offset: u64, len: u64) -> Option<bool> {
        cached_pages(&self.0, offset, len)
    }
}

struct RealMap {
    whole: Bytes,
    watch: Weak<()>,
}

/// What a map and all its slices own together.
struct Mapped {
    map: memmap2::Mmap,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl DiskMap for RealMap {
    fn slice(&self, start: u64, end: u64) -> Bytes {
        self.whole.slice(start as usize..end as usize)
    }

    fn load(&self, start: u64, end: u64) -> io::Result<()> {
        let page = rustix::param::page_size();
        let first = start as usize / page * page;
        let len = end as usize - first;
        let at = self.whole[first..].as_ptr() as *mut std::ffi::c_void;
        // SAFETY: `at..at + len` lies inside the map that `self.whole` keeps alive; both advices only read.
        unsafe {
            rustix::mm::madvise(at, len, rustix::mm::Advice::WillNeed)?;
            rustix::mm::madvise(at, len, rustix::mm::Advice::LinuxPopulateRead)?;
        }
        Ok(())
    }

    fn watch(&self) -> Weak<()> {
        self.watch.clone()
    }
}

fn sync_file_range_write(file: &File, offset: u64, len: u64) -> io::Result<()> {
    // SAFETY: plain system call on an open descriptor, no memory is passed.
    let rc = unsafe { libc::sync_file_range(file.as_raw_fd(), offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[repr(C)]
struct CachestatRange {
    off: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cache: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// `cachestat(2)`, Linux 6.5 and later: 1 µs a MiB, no map needed.
fn cached_pages(file: &File, offset: u64, len: u64) -> Option<bool> {
    const SYS_CACHESTAT: i64 = 451;
    let page = rustix::param::page_size() as u64;
    let range = CachestatRange { off: offset, len };
    let mut stat = Cachestat::default();
    // SAFETY: both structures have the kernel's layout and outlive the call.
    let rc = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &range, &mut stat, 0u32) };
    if rc != 0 {
        return None;
    }
    let pages = (offset + len).div_ceil(page) - offset / page;
    Some(stat.cache >= pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_longer_than_the_file_sees_what_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("f"), OpenMode::ReadWrite).unwrap();
        let map = file.map(1 << 20).unwrap();
        file.write_all_at(&[IoSlice::new(b"hello "), IoSlice::new(b"world")], 0).unwrap();
        assert_eq!(&map.slice(0, 11)[..], b"hello world");
        file.write_all_at(&[IoSlice::new(&[7; 5000])], 11).unwrap();
        let late = map.slice(11, 5011);
        drop(map);
        assert!(late.iter().all(|b| *b == 7), "a slice keeps the map alive");
        assert_eq!(file.len().unwrap(), 5011);
    }

    #[test]
    fn the_watch_of_a_map_ends_with_its_last_slice() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("f"), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[IoSlice::new(b"abc")], 0).unwrap();
        let map = file.map(3).unwrap();
        let (watch, slice) = (map.watch(), map.slice(1, 3));
        drop(map);
        assert_eq!(watch.strong_count(), 1);
        assert_eq!(&slice[..], b"bc");
        drop(slice);
        assert_eq!(watch.strong_count(), 0);
    }

    #[test]
    fn a_lock_excludes_a_second_holder_and_tells_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let LockAttempt::Held(first) = RealDisk.lock(&path, "process 7").unwrap() else { panic!("nobody holds it") };
        match RealDisk.lock(&path, "process 8").unwrap() {
            LockAttempt::Taken { note } => assert_eq!(note, "process 7"),
            LockAttempt::Held(_) => panic!("two holders"),
        }
        drop(first);
        assert!(matches!(RealDisk.lock(&path, "process 8").unwrap(), LockAttempt::Held(_)));
    }

    #[test]
    fn replace_leaves_the_new_contents_and_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        RealDisk.replace(&path, b"one").unwrap();
        RealDisk.replace(&path, b"two").unwrap();
        assert_eq!(RealDisk.read(&path).unwrap(), b"two");
        assert_eq!(RealDisk.list(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn reserving_keeps_the_size_and_cutting_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("f"), OpenMode::ReadWrite).unwrap();
        file.reserve(0, 1 << 20).unwrap();
        assert_eq!(file.len().unwrap(), 0);
        file.set_len(0).unwrap();
        assert_eq!(file.len().unwrap(), 0);
    }
}
