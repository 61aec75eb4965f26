//! `meta.properties`: whose log directory this is (KIP-631, KIP-858; Kafka's `MetaProperties`, version 1).
//!
//! A Java properties file with `version`, `cluster.id`, `node.id` and `directory.id`.

use std::path::Path;

use uuid::Uuid;

use super::{FileError, read_text, replace, uuid_text};
use crate::base::disk::Disk;
use crate::base::ids::BrokerId;

pub const FILE_NAME: &str = "meta.properties";

/// The owner of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// Given to the directory when it was formatted. A new one under the same path is a new directory that lost its data.
    pub directory_id: Option<Uuid>,
}

/// What a log directory says; `None` if it has not been formatted.
pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<MetaProperties>, FileError> {
    let path = dir.join(FILE_NAME);
    let Some(text) = read_text(disk, &path)? else { return Ok(None) };
    let get = |name: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
        let mut pairs = lines.filter_map(|line| line.split_once('='));
        pairs.rfind(|(key, _)| key.trim() == name).map(|(_, value)| unescape(value.trim()))
    };
    let required = |name: &str| get(name).ok_or_else(|| FileError::damaged(&path, format!("{name} was not found")));
    let unsupported = |reason: String| Err(FileError::Unsupported { path: path.clone(), reason });
    match get("version").as_deref() {
        Some("1") => {}
        // Kafka takes a file without a version for one of version 0, too.
        None | Some("0") if get("broker.id").is_some() => {
            return unsupported(
                "version 0 is that of a Kafka with ZooKeeper, whose data directories klamm cannot take over".into(),
            );
        }
        None => return Err(FileError::damaged(&path, "version was not found")),
        Some(version) => return unsupported(format!("version {version} is not supported, expected 1")),
    }
    let node_id = required("node.id")?;
    let node_id = node_id.parse().map_err(|_| FileError::damaged(&path, format!("node.id {node_id:?} is not a number")))?;
    let directory_id = match get("directory.id") {
        None => None,
        Some(text) => Some(
            uuid_text::parse(&text).ok_or_else(|| FileError::damaged(&path, format!("directory.id {text:?} is not a Uuid")))?,
        ),
    };
    Ok(Some(MetaProperties { cluster_id: required("cluster.id")?, node_id, directory_id }))
}

/// Replaces the file.
pub fn write(disk: &dyn Disk, dir: &Path, properties: &MetaProperties) -> Result<(), FileError> {
    let MetaProperties { cluster_id, node_id, directory_id } = properties;
    let mut text = format!("#\ncluster.id={}\n", escape(cluster_id));
    if let Some(id) = directory_id {
        text += &format!("directory.id={}\n", uuid_text::format(*id));
    }
    text += &format!("node.id={node_id}\nversion=1\n");
    replace(disk, &dir.join(FILE_NAME), text.as_bytes())
}

/// Properties files put a backslash before characters that mean something to them.
fn escape(value: &str) -> String {
    let escaped = value.chars().flat_map(|c| matches!(c, '=' | ':' | '#' | '!' | '\\').then_some('\\').into_iter().chain([c]));
    escaped.collect()
}

fn unescape(value: &str) -> String {
    let mut chars = value.chars();
    std::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::disk::RealDisk;

    fn parsed(text: &str) -> Result<Option<MetaProperties>, FileError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        read(&RealDisk, dir.path())
    }

    #[test]
    fn the_owner_survives() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&RealDisk, dir.path()).unwrap(), None);
        for (cluster_id, directory_id) in [("MkU3OEVBNTcwNTJENDM2Qk", Some(Uuid::new_v4())), ("a=b:c\\d #!", None)] {
            let properties = MetaProperties { cluster_id: cluster_id.into(), node_id: 7, directory_id };
            write(&RealDisk, dir.path(), &properties).unwrap();
            assert_eq!(read(&RealDisk, dir.path()).unwrap(), Some(properties));
        }
    }

    #[test]
    fn what_kafka_writes_is_read() {
        let text = "#\n#Fri Nov 21 08:44:00 UTC 2025\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\ndirectory.id=cqDiqdEb7TX1YNzhe0cCWw\nnode.id=1\nversion=1\n";
        let properties = parsed(text).unwrap().unwrap();
        assert_eq!((properties.cluster_id.as_str(), properties.node_id), ("MkU3OEVBNTcwNTJENDM2Qk", 1));
        assert_eq!(properties.directory_id.map(uuid_text::format).as_deref(), Some("cqDiqdEb7TX1YNzhe0cCWw"));
        assert_eq!(parsed("version = 1\n node.id = 2\n! note\ncluster.id = x\n").unwrap().unwrap().node_id, 2);
    }

    #[test]
    fn other_versions_and_missing_properties_are_errors() {
        for text in ["version=0\nbroker.id=1\ncluster.id=a\n", "broker.id=1\n"] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("meta.properties: version 0 is that of a Kafka with ZooKeeper"), "{error}");
        }
        let error = parsed("version=2\nnode.id=1\ncluster.id=a\n").unwrap_err().to_string();
        assert!(error.ends_with("meta.properties: version 2 is not supported, expected 1"), "{error}");
        let cases = ["", "version=1\nnode.id=1\n", "version=1\ncluster.id=a\n"];
        for text in cases
            .into_iter()
            .chain(["version=1\ncluster.id=a\nnode.id=one\n", "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=?\n"])
        {
            assert!(matches!(parsed(text), Err(FileError::Damaged { .. })), "{text:?}");
        }
    }
}
