//! Whether the data directories are those of one node, in their order; asked before anything in them is touched.
//!
//! The metadata of a node lie in its first directory. A node that took another one for the first would make a new cluster, whose topics have other
//! ids, and put the records that it finds aside as nobody's. Kafka refuses likewise (`MetaPropertiesEnsemble.verify`).
//!
//! Invariants: nothing is written here; a new cluster is made only where no directory has belonged to one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::METADATA_DIR;
use crate::base::disk::Disk;
use crate::storage::checkpoint::meta_properties;
use crate::storage::names::{CLUSTER_METADATA_TOPIC, LogDirName};

/// Why a node must not be started with these directories.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    #[error(
        "{} is a data directory of Kafka: {CLUSTER_METADATA_TOPIC}-0 lies in it. klamm cannot take it over and has changed nothing in it; choose \
         another directory with log.dirs or --data DIR. docs/from-kafka.md says how records move from Kafka to klamm",
        .0.display()
    )]
    Kafkas(PathBuf),
    #[error(
        "the first of log.dirs is {}, but the metadata of this node, {METADATA_DIR}/, lie in {}. Write that directory first in log.dirs; nothing has \
         been changed",
        first.display(), holder.display()
    )]
    NotFirst { first: PathBuf, holder: PathBuf },
    #[error(
        "{} and {} both hold {METADATA_DIR}/, and a node has one, in the first of log.dirs. If they belong to two nodes, give each its own directories. \
         If the node was once started with its directories in another order, the newer {METADATA_DIR}/ is of a cluster that was made by mistake: move \
         it away, and write the directory with the older one first. Nothing has been changed",
        .0[0].display(), .0[1].display()
    )]
    Several([PathBuf; 2]),
    #[error(
        "{} holds no metadata of klamm, {METADATA_DIR}/, but {} {why}. Without its metadata a node would begin a new cluster and serve none of what lies \
         there, so nothing has been changed. If a directory of this node is missing, mount or restore it and write it first in log.dirs. If these are \
         files of Kafka, docs/from-kafka.md says how its records move to klamm. A new cluster needs empty directories",
        first.display(), of.display()
    )]
    NoMetadata { first: PathBuf, of: PathBuf, why: String },
}

/// What a directory says of itself.
struct Seen<'a> {
    path: &'a Path,
    /// Whether there is a directory for metadata, and whether anything is in it.
    metadata: Option<bool>,
    formatted: bool,
    has_logs: bool,
}

/// Refuses directories that no node has left like this. True if the node is a new one.
pub(super) fn check(disk: &dyn Disk, dirs: &[PathBuf]) -> Result<bool, DirectoriesError> {
    let Some(first) = dirs.first() else { return Ok(true) };
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for path in dirs {
        // What cannot be read is told by whoever opens it, and so is a directory that is named twice.
        let listing = match disk.list(path) {
            Ok(_) if seen.iter().any(|other| other.path == path) => continue,
            Ok(listing) => listing,
            Err(error) if error.kind() != ErrorKind::NotFound && path == first => return Ok(false),
            Err(_) => continue,
        };
        let has = |name: &str| listing.iter().any(|entry| entry.name == name);
        if has(&format!("{CLUSTER_METADATA_TOPIC}-0")) {
            return Err(DirectoriesError::Kafkas(path.clone()));
        }
        let metadata = match disk.list(&path.join(METADATA_DIR)) {
            Ok(entries) => Some(!entries.is_empty()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some(true),
        };
        let is_log = |name: &str| matches!(LogDirName::parse(name), LogDirName::Log(_));
        let has_logs = listing.iter().any(|entry| entry.is_dir && is_log(&entry.name));
        seen.push(Seen { path, metadata, formatted: has(meta_properties::FILE_NAME), has_logs });
    }
    let holders: Vec<&Path> = seen.iter().filter(|dir| dir.metadata == Some(true)).map(|dir| dir.path).collect();
    match holders[..] {
        [holder] if holder == first => return Ok(false),
        [holder] => return Err(DirectoriesError::NotFirst { first: first.clone(), holder: holder.to_owned() }),
        [one, another, ..] => return Err(DirectoriesError::Several([one.to_owned(), another.to_owned()])),
        [] => {}
    }
    // A first start that did not come far leaves the directory for metadata empty, and no logs: they are made last. The first directory is made this
    // node's before the others are.
    let begun = seen.iter().any(|dir| dir.path == first && dir.metadata.is_some() && dir.formatted);
    let of_a_node = |dir: &&Seen<'_>| dir.has_logs || dir.formatted && !begun;
    match seen.iter().find(of_a_node) {
        None => Ok(true),
        Some(dir) => {
            let why = match (meta_properties::read(disk, dir.path), dir.has_logs) {
                (Ok(Some(of)), true) => format!("belongs to cluster {} already and holds partitions of it", of.cluster_id),
                (Ok(Some(of)), false) => format!("belongs to cluster {} already", of.cluster_id),
                (Ok(None), _) => "holds partitions".to_owned(),
                (Err(error), _) => format!("was in use before ({error})"),
            };
            Err(DirectoriesError::NoMetadata { first: first.clone(), of: dir.path.to_owned(), why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::simulated::SimulatedDisk;

    /// A disk with these files; a directory ends in a slash.
    fn disk(names: &[&str]) -> SimulatedDisk {
        let disk = SimulatedDisk::default();
        for name in names {
            let path = Path::new(name);
            match name.strip_suffix('/') {
                Some(dir) => disk.create_dir_all(Path::new(dir)).unwrap(),
                None => {
                    disk.create_dir_all(path.parent().unwrap()).unwrap();
                    disk.replace(path, b"version=1\ncluster.id=c1\nnode.id=1\n").unwrap();
                }
            }
        }
        disk
    }

    fn checked(names: &[&str], dirs: &[&str]) -> Result<bool, String> {
        let dirs: Vec<PathBuf> = dirs.iter().map(PathBuf::from).collect();
        check(&disk(names), &dirs).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_starts_with_the_directories_it_had_and_with_new_ones() {
        let node = ["/a/meta.properties", "/a/metadata/voter", "/a/t-0/", "/b/meta.properties", "/b/t-1/"];
        for dirs in [&["/a", "/b"][..], &["/a", "/b", "/new"], &["/a"], &["/a", "/a"]] {
            assert_eq!(checked(&node, dirs), Ok(false), "{dirs:?}");
        }
        for files in [&[][..], &["/a/", "/b/"], &["/a/lost+found/", "/b/.lock"]] {
            assert_eq!(checked(files, &["/a", "/b"]), Ok(true), "{files:?}");
        }
        let killed_at_its_first_start = ["/a/metadata/", "/a/meta.properties", "/b/meta.properties"];
        assert_eq!(checked(&killed_at_its_first_start, &["/a", "/b"]), Ok(true));
    }

    #[test]
    fn a_node_does_not_start_without_its_metadata() {
        let node = ["/a/meta.properties", "/a/metadata/voter", "/a/t-0/", "/b/meta.properties", "/b/t-1/", "/c/meta.properties"];
        let refused = |dirs: &[&str], words: &[&str]| {
            let told = checked(&node, dirs).unwrap_err();
            words.iter().for_each(|word| assert!(told.contains(word), "{dirs:?}: {told}"));
        };
        refused(&["/b", "/a"], &["the first of log.dirs is /b", "metadata/, lie in /a"]);
        refused(&["/new", "/a"], &["the first of log.dirs is /new", "metadata/, lie in /a"]);
        refused(&["/b"], &["/b holds no metadata", "/b belongs to cluster c1 already and holds partitions"]);
        refused(&["/lost", "/b"], &["/lost holds no metadata", "/b belongs to cluster c1 already and holds partitions"]);
        refused(&["/lost", "/c"], &["/lost holds no metadata", "/c belongs to cluster c1 already."]);
        let two = [&node[..], &["/b/metadata/voter"]].concat();
        for dirs in [["/a", "/b"], ["/b", "/a"]] {
            assert!(checked(&two, &dirs).unwrap_err().contains("both hold metadata/"));
        }
        let of_another = ["/a/metadata/", "/b/meta.properties"];
        assert!(checked(&of_another, &["/a", "/b"]).unwrap_err().contains("/b belongs to cluster c1 already"));
        let emptied = ["/a/meta.properties", "/a/metadata/", "/a/t-0/"];
        assert!(checked(&emptied, &["/a"]).unwrap_err().contains("/a holds no metadata"));
    }

    #[test]
    fn what_kafka_wrote_is_not_taken_over() {
        for files in [&["/k/meta.properties", "/k/__cluster_metadata-0/", "/k/t-0/"][..], &["/k/__cluster_metadata-0/"]] {
            for dirs in [&["/k"][..], &["/new", "/k"]] {
                let told = checked(files, dirs).unwrap_err();
                assert!(told.contains("/k is a data directory of Kafka") && told.contains("from-kafka.md"), "{told}");
            }
        }
        for files in [&["/k/t-0/"][..], &["/k/meta.properties", "/k/bootstrap.checkpoint"]] {
            let told = checked(files, &["/k"]).unwrap_err();
            assert!(told.contains("/k holds no metadata of klamm") && told.contains("from-kafka.md"), "{told}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_left_to_whoever_opens_it() {
        let disk = disk(&["/a/meta.properties", "/a/metadata/voter", "/b/meta.properties", "/b/t-1/"]);
        disk.fail_when(|_, path| path.starts_with("/b").then_some(ErrorKind::Other));
        assert!(matches!(check(&disk, &["/a".into(), "/b".into()]), Ok(false)));
        disk.fail_when(|_, path| path.starts_with("/a").then_some(ErrorKind::Other));
        assert!(matches!(check(&disk, &["/a".into(), "/b".into()]), Ok(false)));
    }
}
