//! Committed entries become an image, and an image becomes the next: the one place where the metadata of this node moves.
//!
//! Invariants: changes are published in order and without gaps, `change[n].new = change[n + 1].old` · an image is published before the
//! proposal that led to it is answered · a snapshot is encoded from a clone, so entries apply while it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::error::QuorumError;
use super::raft::{Entry, LogId, Meta, Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership};
use super::snapshot_file::{self, SnapshotDir, SnapshotFile};
use crate::metadata::{Applied, MetadataDelta, MetadataImage};

/// One step of the metadata.
#[derive(Clone, Debug)]
pub struct MetadataChange {
    pub old: Arc<MetadataImage>,
    pub new: Arc<MetadataImage>,
    pub delta: Arc<MetadataDelta>,
}

#[derive(Clone)]
pub struct StateMachine {
    state: Arc<Mutex<State>>,
    /// Held while a snapshot is written.
    writing: Arc<tokio::sync::Mutex<()>>,
    snapshots: SnapshotDir,
    unsnapshotted: Arc<AtomicU64>,
}

struct State {
    image: MetadataImage,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<(SnapshotMeta, SnapshotFile)>,
    published: Option<Published>,
}

struct Published {
    latest: Arc<MetadataImage>,
    images: watch::Sender<Arc<MetadataImage>>,
    changes: mpsc::UnboundedSender<MetadataChange>,
}

impl StateMachine {
    /// Starts from the newest snapshot, or from nothing.
    pub fn open(snapshots: SnapshotDir, unsnapshotted: Arc<AtomicU64>) -> Result<Self, QuorumError> {
        let (snapshot, image) = match snapshots.open_newest()? {
            Some((meta, file, image)) => (Some((meta, file)), image),
            None => (None, MetadataImage::default()),
        };
        let meta = snapshot.as_ref().map(|(meta, _)| meta.clone()).unwrap_or_default();
        let state = State { image, last_applied: meta.last_log_id, membership: meta.last_membership, snapshot, published: None };
        Ok(Self { state: Arc::new(Mutex::new(state)), writing: Arc::default(), snapshots, unsnapshotted })
    }

    /// Waits until no snapshot is being written. The writer works on when raft has stopped, and must not meet the next owner of the
    /// directory.
    pub async fn written(&self) {
        drop(self.writing.lock().await);
    }

    pub fn image(&self) -> MetadataImage {
        self.state.lock().image.clone()
    }

    pub fn last_applied(&self) -> Option<LogId> {
        self.state.lock().last_applied
    }

    pub fn snapshot_id(&self) -> Option<LogId> {
        self.state.lock().snapshot.as_ref().and_then(|(meta, _)| meta.last_log_id)
    }

    /// Publishes what is there as the first change, and every step from here on. What was applied while the log was being read back is
    /// part of the first change.
    pub fn publish(&self) -> (watch::Receiver<Arc<MetadataImage>>, mpsc::UnboundedReceiver<MetadataChange>) {
        let mut state = self.state.lock();
        assert!(state.published.is_none(), "metadata is published once");
        let empty = Arc::new(MetadataImage::default());
        let delta = MetadataDelta::between(&empty, &state.image);
        let (images, images_rx) = watch::channel(empty.clone());
        let (changes, changes_rx) = mpsc::unbounded_channel();
        state.published = Some(Published { latest: empty, images, changes });
        state.step(delta);
        (images_rx, changes_rx)
    }
}

impl State {
    fn step(&mut self, delta: MetadataDelta) {
        let Some(published) = &mut self.published else { return };
        let new = Arc::new(self.image.clone());
        let old = std::mem::replace(&mut published.latest, new.clone());
        // Nobody listens during shutdown; then there is nobody to tell.
        let _ = published.changes.send(MetadataChange { old, new: new.clone(), delta: Arc::new(delta) });
        published.images.send_replace(new);
    }

    fn apply(&mut self, entry: &Entry, delta: &mut MetadataDelta) -> Result<Applied, QuorumError> {
        let offset = entry.log_id.index as i64;
        let applied = match &entry.payload {
            EntryPayload::Normal(batch) => {
                self.image.apply(offset, batch, delta).map_err(|source| QuorumError::Replay { offset, source })?
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                self.image.skip_to(offset);
                Applied::Ok { offset }
            }
            EntryPayload::Blank => {
                self.image.skip_to(offset);
                Applied::Ok { offset }
            }
        };
        self.last_applied = Some(entry.log_id);
        Ok(applied)
    }
}

impl RaftStateMachine<Meta> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.state.lock();
        Ok((state.last_applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state.lock();
        let mut delta = MetadataDelta::default();
        let mut results = Vec::new();
        for entry in entries {
            let applied = state.apply(&entry, &mut delta).map_err(|e| StorageIOError::apply(entry.log_id, e.any()))?;
            results.push(applied);
        }
        state.step(delta);
        Ok(results)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        Ok(Box::new(SnapshotFile { path: self.snapshots.receiving() }))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<SnapshotFile>) -> Result<(), StorageError> {
        let failed = |e: QuorumError| StorageIOError::write_snapshot(Some(meta.signature()), e.any());
        let (found, image) = self.snapshots.read(&snapshot.path).map_err(failed)?;
        let Some(last) = found.last_log_id else { return Ok(()) };
        let file = self.snapshots.publish(&snapshot.path, &last).map_err(failed)?;
        let mut state = self.state.lock();
        let delta = MetadataDelta::between(&state.image, &image);
        state.image = image;
        state.last_applied = Some(last);
        state.membership = found.last_membership.clone();
        state.snapshot = Some((found, file));
        state.step(delta);
        self.unsnapshotted.store(0, Ordering::Relaxed);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let state = self.state.lock();
        Ok(state.snapshot.as_ref().map(|(meta, file)| Snapshot { meta: meta.clone(), snapshot: Box::new(file.clone()) }))
    }
}

impl RaftSnapshotBuilder<Meta> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let (last, membership, image) = {
            let state = self.state.lock();
            self.unsnapshotted.store(0, Ordering::Relaxed);
            (state.last_applied, state.membership.clone(), state.image.clone())
        };
        let last = last.expect("a snapshot is asked for after something was applied");
        let snapshots = self.snapshots.clone();
        let writing = self.writing.clone().lock_owned().await;
        let write = {
            let membership = membership.clone();
            move || {
                let _writing = writing;
                snapshots.write(&last, &membership, &image)
            }
        };
        let failed = |e: &QuorumError| StorageIOError::write_snapshot(None, e.any());
        let file = match tokio::task::spawn_blocking(write).await {
            Ok(written) => written.map_err(|e| failed(&e))?,
            Err(panicked) => return Err(failed(&QuorumError::Stopped(panicked.to_string())).into()),
        };
        let meta = snapshot_file::meta(last, membership);
        self.state.lock().snapshot = Some((meta.clone(), file.clone()));
        Ok(Snapshot { meta, snapshot: Box::new(file) })
    }
}
