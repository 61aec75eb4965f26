//! The disk as klamm uses it: a narrow trait, so that a simulation can crash, tear and refuse every write.
//!
//! Invariants every implementation keeps:
//! - a write is visible to every later read at once, and durable only after `sync_data` (contents, size) and, for names, `sync_dir`;
//! - bytes handed out by [`DiskFile::slice`] never change: the caller reads only below what it has published, and never rewrites it;
//! - an error of a write or a sync says nothing about what reached the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    /// Size in bytes; 0 for directories.
    pub len: u64,
    pub is_dir: bool,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; only reads.
    Read,
    /// Created when absent; reads and writes.
    ReadWrite,
}

pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Every entry of a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn exists(&self, path: &Path) -> bool;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes free for this process on the file system of `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// Whole contents of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut contents = vec![0; file.len()? as usize];
        file.read_exact_at(&mut contents, 0)?;
        Ok(contents)
    }

    /// Replaces a small file so that a crash leaves either the old or the new contents: write aside, sync, rename, sync the directory.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        if self.exists(&aside) {
            self.remove_file(&aside)?;
        }
        let file = self.open(&aside, OpenMode::ReadWrite)?;
        file.write_all_at(&[IoSlice::new(contents)], 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(&aside, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Writes all of `parts`, one after the other, starting at `offset`; in one system call where the disk takes it whole.
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    fn sync_data(&self) -> io::Result<()>;
    /// Starts writing back a range without waiting; a hint.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Reserves space up to `offset + len` without changing the file's size.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Cuts or extends; also gives back space reserved behind the end.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// A read-only map of the first `len` bytes, which may lie beyond the end of the file.
    fn map(&self, len: u64) -> io::Result<Arc<dyn DiskMap>>;
    /// Whether all of a range is in the page cache; `None` where the system cannot tell.
    fn is_resident(&self, offset: u64, len: u64) -> Option<bool>;
}

/// A mapped file. Dropping the last handle and the last slice unmaps it.
pub trait DiskMap: Send + Sync {
    /// Bytes `start..end` of the file. The caller guarantees that they are written and will not change.
    fn slice(&self, start: u64, end: u64) -> Bytes;
    /// Brings a range into the page cache; blocks on the disk.
    fn load(&self, start: u64, end: u64) -> io::Result<()>;
}

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
                let is_dir = entry.file_type()?.is_dir();
                let len = if is_dir { 0 } else { entry.metadata()?.len() };
                Ok(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), len, is_dir })
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

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

fn libc_o_cloexec() -> i32 {
    rustix::fs::OFlags::CLOEXEC.bits() as i32
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
        Ok(Arc::new(RealMap { whole: Bytes::from_owner(map) }))
    }

    fn is_resident(&self, offset: u64, len: u64) -> Option<bool> {
        cached_pages(&self.0, offset, len)
    }
}

struct RealMap {
    whole: Bytes,
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
}

fn sync_file_range_write(file: &File, offset: u64, len: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
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
    use std::os::fd::AsRawFd;
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
