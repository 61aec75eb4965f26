//! Taking possession of log directories: they are there, nobody else uses them, and they are of this node.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::LogManagerConfig;
use crate::base::disk::{Disk, LockAttempt};
use crate::base::ids::{TopicId, TopicPartition};
use crate::storage::checkpoint::meta_properties::{self, MetaProperties};
use crate::storage::checkpoint::{FileError, partition_metadata, uuid_text};
use crate::storage::names::{LogDirName, partition_of_stray};

const LOCK: &str = ".lock";

/// Why the logs cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no log directory is configured")]
    NoneConfigured,
    #[error("log directory {} is configured twice", .0.display())]
    ConfiguredTwice(PathBuf),
    #[error("log directory {} is in use by {by}; stop it, or give this node another directory", path.display())]
    InUse { path: PathBuf, by: String },
    #[error(
        "log directory {} belongs to cluster {found}, not {expected}; it holds that cluster's data and is left alone",
        path.display()
    )]
    OtherCluster { path: PathBuf, found: String, expected: String },
    #[error("log directory {} belongs to node {found}, not {expected}; check node.id", path.display())]
    OtherNode { path: PathBuf, found: i32, expected: i32 },
    #[error("log directories {} and {} have the same directory.id; one is a copy of the other", .0[0].display(), .0[1].display())]
    SameDirectoryId([PathBuf; 2]),
    #[error("{partition} has two logs: {} and {}; remove the one that is out of date", paths[0].display(), paths[1].display())]
    DuplicateLog { partition: TopicPartition, paths: [PathBuf; 2] },
    #[error("none of the log directories can be used: {}", .0.iter().map(|dir| dir.reason.to_string()).collect::<Vec<_>>().join("; "))]
    NoDirectory(Vec<UnusableDirectory>),
    /// Where the owner keeps more than logs.
    #[error("the first log directory, {}, cannot be used: {}", .0.path.display(), .0.reason)]
    FirstDirectory(UnusableDirectory),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A configured log directory that could not be used at the start.
#[derive(Debug)]
pub struct UnusableDirectory {
    pub path: PathBuf,
    pub reason: FileError,
}

/// All directories that can be used, the others, and the cluster they belong to.
pub(super) struct Claim {
    pub cluster_id: String,
    pub dirs: Vec<Claimed>,
    pub unusable: Vec<UnusableDirectory>,
}

pub(super) struct Claimed {
    pub path: PathBuf,
    pub id: Uuid,
    pub lock: Box<dyn Send + Sync>,
}

/// Locks the directories and checks whose they are; only when all are found to be right is anything written.
pub(super) fn claim(disk: &Arc<dyn Disk>, config: &LogManagerConfig) -> Result<Claim, OpenError> {
    if config.log_dirs.is_empty() {
        return Err(OpenError::NoneConfigured);
    }
    let mut locked: Vec<(PathBuf, Box<dyn Send + Sync>, Option<MetaProperties>)> = Vec::new();
    let mut unusable = Vec::new();
    for path in &config.log_dirs {
        if locked.iter().any(|(other, ..)| other == path) {
            return Err(OpenError::ConfiguredTwice(path.clone()));
        }
        match lock(&**disk, path, config.node_id) {
            Ok(Lock::Held(lock, properties)) => locked.push((path.clone(), lock, properties)),
            Ok(Lock::Taken(by)) => return Err(OpenError::InUse { path: path.clone(), by }),
            Err(reason) => unusable.push(UnusableDirectory { path: path.clone(), reason }),
        }
    }
    let mut unusable = go_without(unusable, config)?;
    let named = locked.iter().find_map(|(_, _, properties)| properties.as_ref().map(|p| p.cluster_id.clone()));
    let cluster_id = config.cluster_id.clone().or(named).unwrap_or_else(|| uuid_text::format(Uuid::new_v4()));
    for (path, _, properties) in &locked {
        let Some(properties) = properties else { continue };
        if properties.cluster_id != cluster_id {
            let (found, expected) = (properties.cluster_id.clone(), cluster_id);
            return Err(OpenError::OtherCluster { path: path.clone(), found, expected });
        }
        if properties.node_id != config.node_id {
            return Err(OpenError::OtherNode { path: path.clone(), found: properties.node_id, expected: config.node_id });
        }
    }
    let mut dirs: Vec<Claimed> = Vec::new();
    for (path, lock, properties) in locked {
        match claim_one(&**disk, &path, properties, &cluster_id, config.node_id) {
            Ok(id) => {
                if let Some(other) = dirs.iter().find(|other| other.id == id) {
                    return Err(OpenError::SameDirectoryId([other.path.clone(), path]));
                }
                dirs.push(Claimed { path, id, lock });
            }
            Err(reason) => unusable.push(UnusableDirectory { path, reason }),
        }
    }
    Ok(Claim { cluster_id, dirs, unusable: go_without(unusable, config)? })
}

/// Gives back the directories that cannot be used, if there are others to do with, and the first is among those.
pub(super) fn go_without(
    mut unusable: Vec<UnusableDirectory>,
    config: &LogManagerConfig,
) -> Result<Vec<UnusableDirectory>, OpenError> {
    if unusable.len() == config.log_dirs.len() {
        return Err(OpenError::NoDirectory(unusable));
    }
    match unusable.iter().position(|dir| dir.path == config.log_dirs[0]) {
        Some(first) => Err(OpenError::FirstDirectory(unusable.swap_remove(first))),
        None => Ok(unusable),
    }
}

enum Lock {
    Held(Box<dyn Send + Sync>, Option<MetaProperties>),
    Taken(String),
}

fn lock(disk: &dyn Disk, path: &Path, node_id: i32) -> Result<Lock, FileError> {
    disk.create_dir_all(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => FileError::io("use", path)(ErrorKind::NotADirectory.into()),
        _ => FileError::io("create", path)(error),
    })?;
    disk.list(path).map_err(FileError::io("list", path))?;
    let file = path.join(LOCK);
    let note = format!("klamm process {}, node {node_id}", std::process::id());
    match disk.lock(&file, &note).map_err(FileError::io("lock", &file))? {
        LockAttempt::Held(lock) => Ok(Lock::Held(lock, meta_properties::read(disk, path)?)),
        LockAttempt::Taken { note } if note.is_empty() => Ok(Lock::Taken("another process (Apache Kafka?)".into())),
        LockAttempt::Taken { note } => Ok(Lock::Taken(note)),
    }
}

/// Writes what is missing; the directory's id.
fn claim_one(
    disk: &dyn Disk,
    path: &Path,
    properties: Option<MetaProperties>,
    cluster_id: &str,
    node_id: i32,
) -> Result<Uuid, FileError> {
    if let Some(id) = properties.and_then(|properties| properties.directory_id) {
        return Ok(id);
    }
    // Kafka keeps the ids below 100 for itself.
    let id = std::iter::repeat_with(Uuid::new_v4).find(|id| id.as_u128() >= 100).expect("random ids are not all small");
    let properties = MetaProperties { cluster_id: cluster_id.into(), node_id, directory_id: Some(id) };
    meta_properties::write(disk, path, &properties)?;
    Ok(id)
}

/// A log that was put aside before this start.
pub(super) struct AsideLog {
    pub topic: TopicId,
    pub number: i32,
    pub dir: PathBuf,
}

/// What lies in a log directory.
#[derive(Default)]
pub(super) struct Contents {
    pub logs: Vec<TopicPartition>,
    /// What remains of deleted logs.
    pub deleted: Vec<PathBuf>,
    pub aside: Vec<AsideLog>,
}

/// The logs of a directory. What is not ours is left alone.
pub(super) fn logs_in(disk: &dyn Disk, dir: &Path) -> Result<Contents, FileError> {
    let mut found = Contents::default();
    for entry in disk.list(dir).map_err(FileError::io("list", dir))?.into_iter().filter(|entry| entry.is_dir) {
        match LogDirName::parse(&entry.name) {
            LogDirName::Log(partition) => found.logs.push(partition),
            LogDirName::Deleted => found.deleted.push(dir.join(&entry.name)),
            LogDirName::Aside => {
                let path = dir.join(&entry.name);
                tracing::info!(path = %path.display(), "leaving a log alone that was put aside");
                // One that does not tell its topic is nobody's.
                let topic = partition_metadata::read(disk, &path).unwrap_or_default();
                if let (Some(topic), Some(number)) = (topic, partition_of_stray(&entry.name)) {
                    found.aside.push(AsideLog { topic, number, dir: path });
                }
            }
            LogDirName::Foreign => tracing::debug!(dir = %dir.display(), name = entry.name, "not a log of ours"),
        }
    }
    found.logs.sort();
    Ok(found)
}
