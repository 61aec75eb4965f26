//! The rules of the house that no compiler checks: who may import whom, which files decide and therefore know no clock, socket or file
//! system, and that every file says what it is.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, bottom to top: each may import those before it.
const LAYERS: &[&str] = &[
    "base",
    "metrics",
    "config",
    "record",
    "protocol",
    "storage",
    "metadata",
    "client",
    "quorum",
    "controller",
    "replica",
    "coordinator",
    "broker",
    "api",
    "server",
    "http",
    "node",
    "cli",
];

/// Files that decide, by path prefix.
const PURE: &[&str] = &[
    "record",
    "metadata",
    "storage/cleaner/candidate.rs",
    "storage/cleaner/filter.rs",
    "storage/cleaner/grouping.rs",
    "storage/cleaner/offset_map.rs",
    "storage/cleaner/throttle.rs",
    "storage/cleaner/transactions.rs",
    "replica/fetch_session.rs",
    "replica/waiters.rs",
    "coordinator/shard.rs",
    "coordinator/timers.rs",
    "coordinator/parked.rs",
    "coordinator/group/classic",
    "coordinator/group/commit.rs",
    "coordinator/group/delete.rs",
    "coordinator/group/describe.rs",
    "coordinator/group/expiry.rs",
    "coordinator/group/fetch.rs",
    "coordinator/group/membership.rs",
    "coordinator/group/offsets.rs",
    "coordinator/group/record.rs",
    "coordinator/group/shard.rs",
    "coordinator/transaction/add_partitions.rs",
    "coordinator/transaction/config.rs",
    "coordinator/transaction/describe.rs",
    "coordinator/transaction/end_transaction.rs",
    "coordinator/transaction/expiry.rs",
    "coordinator/transaction/init_producer_id.rs",
    "coordinator/transaction/metadata.rs",
    "coordinator/transaction/record.rs",
    "coordinator/transaction/request.rs",
    "coordinator/transaction/shard.rs",
    "coordinator/transaction/state.rs",
    "coordinator/transaction/work.rs",
    "coordinator/wire.rs",
    "protocol",
];

/// What a deciding file must not mention.
const IMPURE: &[&str] = &["tokio::", "std::fs", "SystemTime::now", "Instant::now", "std::net::Tcp", "thread::spawn"];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 10, "the sources were found");
    all
}

fn relative(path: &Path) -> String {
    path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().to_string_lossy().into_owned()
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_layer_imports_only_what_stands_below_it() {
    let rank = |name: &str| LAYERS.iter().position(|l| *l == name);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let relative = relative(&path);
        let layer = relative.split(['/', '.']).next().unwrap().to_owned();
        let Some(own) = rank(&layer) else { continue };
        for (at, _) in code(&text).match_indices("crate::") {
            let code = code(&text);
            let target: String = code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rank(&target).is_some_and(|other| other > own) {
                wrong.push(format!("{relative} imports crate::{target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of the layers:\n{}", wrong.join("\n"));
}

#[test]
fn lib_rs_lists_the_layers_in_their_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn deciding_files_know_no_clock_no_socket_no_file() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let relative = relative(&path);
        if PURE.iter().any(|p| relative.starts_with(p)) {
            let code = code(&text);
            wrong.extend(IMPURE.iter().filter(|i| code.contains(**i)).map(|i| format!("{relative}: {i}")));
        }
    }
    assert!(wrong.is_empty(), "deciding files that reach out:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> =
        sources().iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| relative(path)).collect();
    assert!(silent.is_empty(), "files without a //! header:\n{}", silent.join("\n"));
}

#[test]
fn every_key_of_the_configuration_is_read() {
    let all = sources();
    let (declarations, readers): (Vec<_>, Vec<_>) = all.iter().partition(|(path, _)| relative(path).starts_with("config/def/"));
    let topic = &declarations.iter().find(|(path, _)| path.ends_with("topic.rs")).expect("topics have keys").1;
    let word = |text: &str, word: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
    let read: Vec<String> = readers.iter().map(|(_, text)| code(text)).collect();
    let mut decorative = Vec::new();
    // What the cleaner is told is the cleaner's to read.
    for (path, text) in declarations.iter().filter(|(path, _)| !path.ends_with("cleaner.rs")) {
        let keys = text.split("\n        \"").skip(1).filter_map(|declaration| declaration.split_once("\" = "));
        for (key, rest) in keys {
            let field =
                rest.split("=>").nth(1).and_then(|field| field.split(':').next()).unwrap_or_else(|| panic!("{key}")).trim();
            // A default of a key of topics is read by its name; `process.roles` has one value, which says what a node is.
            let of_topics = topic.contains(&format!("\"{key}\""));
            if !of_topics && key != "process.roles" && !read.iter().any(|text| word(text, field)) {
                decorative.push(format!("{}: {key}", relative(path)));
            }
        }
    }
    assert!(decorative.is_empty(), "keys that change nothing:\n{}", decorative.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // Written so that this list is not one of them.
    let marks = [("to", "do!("), ("unimple", "mented!("), ("db", "g!("), ("TO", "DO"), ("FIX", "ME"), ("allow(", "dead_code")];
    let marks = marks.map(|(begin, end)| [begin, end].concat());
    let mut found = Vec::new();
    for (path, text) in sources() {
        found.extend(marks.iter().filter(|m| text.contains(m.as_str())).map(|m| format!("{}: {m}", relative(&path))));
    }
    assert!(found.is_empty(), "marks of unfinished work:\n{}", found.join("\n"));
}
