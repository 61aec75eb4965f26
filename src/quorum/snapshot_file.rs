//! Snapshots on the disk: `<index, 20 digits>.snapshot`, written aside and renamed, so a name stands for a whole file.
//!
//! ```text
//! block   length u32 · CRC32C of the body u32 · body      numbers big-endian
//! body    0: version, last entry, membership, image header     1: records     2: number of records
//! ```
//!
//! The first block is a header, the last one an end, everything between records: a file that was cut is noticed.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry;
use super::error::QuorumError;
use super::raft::{LogId, SnapshotMeta, StoredMembership};
use crate::base::disk::{Disk, DiskFile, OpenMode};
use crate::metadata::snapshot::{self, SnapshotHeader, SnapshotLoader};
use crate::metadata::{DecodeError, MetadataImage, WireReader, WireWriter};

const VERSION: u64 = 0;
const HEADER: u8 = 0;
const RECORDS: u8 = 1;
const END: u8 = 2;
/// Records of one block take about this much.
const BLOCK_BYTES: usize = 64 << 10;
const BLOCK_HEADER_LEN: u64 = 8;

/// A snapshot by the name of its file. This is what moves between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    pub path: PathBuf,
}

/// The snapshots of one directory.
#[derive(Clone)]
pub struct SnapshotDir {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
}

impl SnapshotDir {
    pub fn path_of(&self, last: &LogId) -> PathBuf {
        self.dir.join(format!("{:020}.snapshot", last.index))
    }

    /// Where a snapshot from another node is received.
    pub fn receiving(&self) -> PathBuf {
        self.dir.join("receiving.snapshot.tmp")
    }

    /// Writes a snapshot and gives it its name; older ones are removed. Blocks on the disk.
    pub fn write(&self, last: &LogId, membership: &StoredMembership, image: &MetadataImage) -> Result<SnapshotFile, QuorumError> {
        let path = self.path_of(last);
        let aside = path.with_extension("snapshot.tmp");
        self.remove_if_present(&aside)?;
        let file = self.disk.open(&aside, OpenMode::ReadWrite).map_err(QuorumError::io("create", &aside))?;
        write_blocks(&*file, last, membership, image)
            .and_then(|()| file.sync_data())
            .map_err(QuorumError::io("write", &aside))?;
        self.publish(&aside, last)
    }

    /// Gives a whole file its name and removes the snapshots before it.
    pub fn publish(&self, aside: &Path, last: &LogId) -> Result<SnapshotFile, QuorumError> {
        let path = self.path_of(last);
        self.disk.rename(aside, &path).map_err(QuorumError::io("rename", aside))?;
        self.disk.sync_dir(&self.dir).map_err(QuorumError::io("sync", &self.dir))?;
        for older in self.list()?.into_iter().filter(|p| *p < path) {
            self.disk.remove_file(&older).map_err(QuorumError::io("remove", &older))?;
        }
        Ok(SnapshotFile { path })
    }

    /// The newest snapshot, read whole; what a crash left half written is removed.
    pub fn open_newest(&self) -> Result<Option<(SnapshotMeta, SnapshotFile, MetadataImage)>, QuorumError> {
        let entries = self.disk.list(&self.dir).map_err(QuorumError::io("list", &self.dir))?;
        for left in entries.iter().filter(|e| e.name.ends_with(".snapshot.tmp")) {
            self.remove_if_present(&self.dir.join(&left.name))?;
        }
        let Some(path) = self.list()?.pop() else { return Ok(None) };
        let (meta, image) = self.read(&path)?;
        Ok(Some((meta, SnapshotFile { path }, image)))
    }

    pub fn read(&self, path: &Path) -> Result<(SnapshotMeta, MetadataImage), QuorumError> {
        let file = self.disk.open(path, OpenMode::Read).map_err(QuorumError::io("open", path))?;
        let len = file.len().map_err(QuorumError::io("read", path))?;
        let damaged = |at: u64, what: &str| QuorumError::Damaged { path: path.to_owned(), at, what: what.to_owned() };
        let decode = |source: DecodeError| QuorumError::Decode { path: path.to_owned(), source };
        let mut at = 0;
        let mut begun: Option<(SnapshotMeta, SnapshotLoader)> = None;
        loop {
            let body = read_block(&*file, at, len).map_err(QuorumError::io("read", path))?;
            let body = body.ok_or_else(|| damaged(at, "a block's checksum does not match, or the file ends too early"))?;
            let (kind, rest) = body.split_first().ok_or_else(|| damaged(at, "a block is empty"))?;
            match (*kind, &mut begun) {
                (HEADER, None) => begun = Some(read_header(rest).map_err(decode)?),
                (RECORDS, Some((_, loader))) => {
                    loader.load(rest).map_err(|source| QuorumError::Snapshot { path: path.to_owned(), source })?;
                }
                (END, Some((_, loader))) => {
                    if WireReader::new(rest).uvarint().map_err(decode)? != loader.records() {
                        return Err(damaged(at, "records are missing"));
                    }
                    break;
                }
                _ => return Err(damaged(at, "a block is out of place")),
            }
            at += BLOCK_HEADER_LEN + body.len() as u64;
        }
        let (meta, loader) = begun.ok_or_else(|| damaged(0, "the header is missing"))?;
        Ok((meta, loader.finish()))
    }

    /// In the order of their last entries.
    fn list(&self) -> Result<Vec<PathBuf>, QuorumError> {
        let entries = self.disk.list(&self.dir).map_err(QuorumError::io("list", &self.dir))?;
        let mut paths: Vec<PathBuf> =
            entries.iter().filter(|e| e.name.ends_with(".snapshot")).map(|e| self.dir.join(&e.name)).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    fn remove_if_present(&self, path: &Path) -> Result<(), QuorumError> {
        if self.disk.exists(path) { self.disk.remove_file(path).map_err(QuorumError::io("remove", path)) } else { Ok(()) }
    }
}

pub fn meta(last: LogId, membership: StoredMembership) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(last),
        last_membership: membership,
        snapshot_id: format!("{}-{}", last.index, last.leader_id.term),
    }
}

fn write_blocks(file: &dyn DiskFile, last: &LogId, membership: &StoredMembership, image: &MetadataImage) -> std::io::Result<()> {
    let mut at = 0;
    let mut write = |body: &[u8]| {
        let head = [(body.len() as u32).to_be_bytes(), crc32c::crc32c(body).to_be_bytes()].concat();
        let result = file.write_all_at(&[IoSlice::new(&head), IoSlice::new(body)], at);
        at += BLOCK_HEADER_LEN + body.len() as u64;
        result
    };
    let mut body = vec![HEADER];
    WireWriter::new(&mut body).uvarint(VERSION);
    entry::write_log_id(&mut body, last);
    let mut stored = Vec::new();
    entry::write_stored_membership(&mut stored, membership);
    WireWriter::new(&mut body).uvarint(stored.len() as u64);
    body.extend_from_slice(&stored);
    SnapshotHeader::of(image).encode(&mut body);
    write(&body)?;
    let mut records = snapshot::records(image);
    let mut total = 0;
    loop {
        body.clear();
        body.push(RECORDS);
        let count = snapshot::encode_some(&mut records, BLOCK_BYTES, &mut body);
        if count == 0 {
            break;
        }
        total += count;
        write(&body)?;
    }
    body.clear();
    body.push(END);
    WireWriter::new(&mut body).uvarint(total);
    write(&body)
}

fn read_header(body: &[u8]) -> Result<(SnapshotMeta, SnapshotLoader), DecodeError> {
    let mut r = WireReader::new(body);
    match r.uvarint()? {
        VERSION => {}
        version => return Err(DecodeError::UnknownVersion { kind: 0, version }),
    }
    let last = entry::read_log_id(&mut r)?;
    let len = r.len(1)?;
    let membership = entry::read_stored_membership(&mut WireReader::new(r.bytes(len)?))?;
    let header = SnapshotHeader::decode(r.bytes(r.remaining())?)?;
    Ok((meta(last, membership), SnapshotLoader::new(header)))
}

/// The body of the block at `at`; `None` if it is not whole.
fn read_block(file: &dyn DiskFile, at: u64, file_len: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = [0; BLOCK_HEADER_LEN as usize];
    if file_len.saturating_sub(at) < BLOCK_HEADER_LEN {
        return Ok(None);
    }
    file.read_exact_at(&mut head, at)?;
    let (len, crc) = head.split_at(4);
    let len = u64::from(u32::from_be_bytes([len[0], len[1], len[2], len[3]]));
    if len > file_len - at - BLOCK_HEADER_LEN {
        return Ok(None);
    }
    let mut body = vec![0; len as usize];
    file.read_exact_at(&mut body, at + BLOCK_HEADER_LEN)?;
    Ok((crc == crc32c::crc32c(&body).to_be_bytes()).then_some(body))
}
