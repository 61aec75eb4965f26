//! How the last process stopped: two small files in each log directory.
//!
//! - `.kafka_cleanshutdown` is there after a stop in order; Kafka's own format (JSON with `version` 0 and `brokerEpoch`, KIP-966), to which
//!   klamm adds the boot id. It is removed, durably, before anything else is changed.
//! - `.klamm-running` is there while klamm runs. Left behind, it tells a killed process from a lost machine: if the boot id in it is the present
//!   one, the page cache has survived and nothing that was written is lost.
//!
//! Invariant: a boot id in the latter says that the logs are as processes of this boot have left them. So after a lost machine, or somebody else's
//! process, the files stay as they were found until every log is repaired: whoever is killed before that leaves the next start the same work.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::disk::Disk;
use crate::storage::checkpoint::FileError;
use crate::storage::loader::LastStop;

pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
pub const RUNNING: &str = ".klamm-running";
/// Version of both files' contents; Kafka's.
const VERSION: i32 = 0;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    version: i32,
    /// −1 where none was given.
    #[serde(default = "no_epoch")]
    broker_epoch: i64,
    #[serde(default)]
    boot_id: String,
}

fn no_epoch() -> i64 {
    -1
}

/// What a log directory tells of the process before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousRun {
    pub stop: LastStop,
    /// The broker epoch it had, where that is known. After a clean stop, the controller takes it as proof (KIP-966).
    pub broker_epoch: Option<i64>,
}

/// The id of this boot of the machine; empty where there is none, which never counts as the same boot.
pub fn boot_id_of_machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Reads what the last process left, and takes the proof of a clean stop away. Where there was none, the logs have to be repaired before
/// [`running`] is true of them.
pub(super) fn begin(disk: &dyn Disk, dir: &Path, boot_id: &str) -> Result<PreviousRun, FileError> {
    let previous = match (read(disk, &dir.join(CLEAN_SHUTDOWN))?, read(disk, &dir.join(RUNNING))?) {
        (Some(clean), _) => PreviousRun { stop: LastStop::Clean, broker_epoch: epoch_of(&clean) },
        (None, Some(running)) => {
            let same_boot = !boot_id.is_empty() && running.boot_id == boot_id;
            let stop = if same_boot { LastStop::Killed } else { LastStop::Lost };
            PreviousRun { stop, broker_epoch: epoch_of(&running) }
        }
        (None, None) => PreviousRun { stop: LastStop::Foreign, broker_epoch: None },
    };
    if previous.stop == LastStop::Clean {
        // In this order: whoever is killed in between has changed nothing yet, and the proof still holds.
        running(disk, dir, boot_id, previous.broker_epoch)?;
        remove(disk, &dir.join(CLEAN_SHUTDOWN))?;
    }
    Ok(previous)
}

/// Says that a process with this broker epoch runs in this boot.
pub(super) fn running(disk: &dyn Disk, dir: &Path, boot_id: &str, broker_epoch: Option<i64>) -> Result<(), FileError> {
    write(disk, &dir.join(RUNNING), boot_id, broker_epoch)
}

/// Says that everything is durable and closed.
pub(super) fn end(disk: &dyn Disk, dir: &Path, boot_id: &str, broker_epoch: Option<i64>) -> Result<(), FileError> {
    write(disk, &dir.join(CLEAN_SHUTDOWN), boot_id, broker_epoch)?;
    remove(disk, &dir.join(RUNNING))
}

fn epoch_of(marker: &Marker) -> Option<i64> {
    (marker.broker_epoch >= 0).then_some(marker.broker_epoch)
}

/// `None` if there is no such file. What cannot be read still is there, as an empty marker: so does Kafka take it.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Marker>, FileError> {
    match disk.read(path) {
        Ok(contents) => Ok(Some(serde_json::from_slice(&contents).unwrap_or(Marker {
            version: VERSION,
            broker_epoch: no_epoch(),
            boot_id: String::new(),
        }))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::io("read", path)(error)),
    }
}

fn write(disk: &dyn Disk, path: &Path, boot_id: &str, broker_epoch: Option<i64>) -> Result<(), FileError> {
    let marker = Marker { version: VERSION, broker_epoch: broker_epoch.unwrap_or(no_epoch()), boot_id: boot_id.to_owned() };
    let contents = serde_json::to_vec(&marker).expect("plain fields make JSON");
    disk.replace(path, &contents).map_err(FileError::io("write", path))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::io("remove", path)(error)),
        Ok(()) => disk.sync_dir(path.parent().unwrap_or(Path::new("."))).map_err(FileError::io("sync", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::simulated::{Crash, SimulatedDisk};

    #[test]
    fn the_kinds_of_stops_are_told_apart() {
        let disk = SimulatedDisk::default();
        let dir = Path::new("/");
        let begin = |boot| begin(&disk, dir, boot).unwrap();
        assert_eq!(begin("a"), PreviousRun { stop: LastStop::Foreign, broker_epoch: None }, "a new directory");
        assert_eq!(begin("a").stop, LastStop::Foreign, "and nobody has said yet that he was done with it");
        running(&disk, dir, "a", Some(7)).unwrap();
        assert_eq!(begin("a"), PreviousRun { stop: LastStop::Killed, broker_epoch: Some(7) });
        assert_eq!(begin("b"), PreviousRun { stop: LastStop::Lost, broker_epoch: Some(7) });
        assert_eq!(begin("b"), PreviousRun { stop: LastStop::Lost, broker_epoch: Some(7) }, "until the logs are repaired");
        end(&disk, dir, "b", Some(8)).unwrap();
        assert_eq!(begin("b"), PreviousRun { stop: LastStop::Clean, broker_epoch: Some(8) });
        assert_eq!(begin("b").stop, LastStop::Killed, "the proof is good for one start");
    }

    #[test]
    fn a_kill_while_the_proof_is_taken_away_makes_nothing_worse_of_it() {
        for changes in 0.. {
            let disk = SimulatedDisk::default();
            let dir = Path::new("/");
            end(&disk, dir, "a", Some(8)).unwrap();
            disk.stop_after(changes);
            let begun = begin(&disk, dir, "b");
            disk.crash(Crash::Process);
            let next = begin(&disk, dir, "b");
            let PreviousRun { stop, broker_epoch } = next.unwrap();
            assert!(matches!(stop, LastStop::Clean | LastStop::Killed), "{stop:?} after {changes} changes");
            assert_eq!(broker_epoch, Some(8));
            if begun.is_ok() {
                assert!(changes > 3 && stop == LastStop::Killed);
                return;
            }
        }
    }

    #[test]
    fn kafkas_own_marker_is_understood_and_ours_has_its_fields() {
        let disk = SimulatedDisk::default();
        let dir = Path::new("/");
        disk.replace(&dir.join(CLEAN_SHUTDOWN), br#"{"version":0,"brokerEpoch":42}"#).unwrap();
        assert_eq!(begin(&disk, dir, "a").unwrap(), PreviousRun { stop: LastStop::Clean, broker_epoch: Some(42) });
        disk.replace(&dir.join(CLEAN_SHUTDOWN), b"").unwrap();
        assert_eq!(begin(&disk, dir, "a").unwrap().stop, LastStop::Clean, "Kafka before 3.8 wrote nothing into it");
        end(&disk, dir, "a", Some(42)).unwrap();
        let ours = String::from_utf8(disk.read(&dir.join(CLEAN_SHUTDOWN)).unwrap()).unwrap();
        assert_eq!(ours, r#"{"version":0,"brokerEpoch":42,"bootId":"a"}"#);
    }
}
