//! `klamm config import`: from a `server.properties` of Kafka to the TOML of klamm.
//!
//! Every key of the input ends up in the TOML or in a note, never in silence; the TOML always loads.

mod properties;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::config::def::BROKER;
use crate::config::listeners::{Listener, PROTOCOLS};
use crate::config::{Inputs, foreign, load, render};

/// What an import gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Text of a `klamm.toml`; the notes stand at its end as comments.
    pub toml: String,
    pub notes: Vec<Note>,
}

/// What became of a key that is not taken over as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub key: String,
    pub value: String,
    pub what: String,
}

const LEFT_OUT: &str = "<left out>";

/// Converts the text of a `server.properties`.
pub fn import(text: &str) -> Imported {
    let given = properties::read(text);
    let mut notes = Vec::new();
    let mut kept: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut note = |key: &str, value: &str, what: String| {
        let value = if is_secret(key) { LEFT_OUT } else { value };
        notes.push(Note { key: key.to_owned(), value: value.to_owned(), what });
    };
    for (name, value) in &given {
        let (name, value) = match name.as_str() {
            "broker.id" if given.contains_key("node.id") => {
                note(name, value, "node.id is set and takes its place".into());
                continue;
            }
            "broker.id" => ("node.id", value.clone()),
            "listeners" | "advertised.listeners" => {
                let (usable, dropped) = usable_listeners(value, &given);
                for (listener, why) in dropped {
                    note(name, &listener, why);
                }
                if usable.is_empty() {
                    continue;
                }
                (name.as_str(), usable)
            }
            "log.dirs" | "log.dir" => {
                note(name, value, "klamm cannot take over data of Kafka; choose new directories with log.dirs".into());
                continue;
            }
            // Most clusters split the roles, and here every node has both: worth a word, not a refusal.
            "process.roles" if value.split(',').count() < 2 => {
                note(name, value, "every node is both broker and controller".into());
                continue;
            }
            _ => (name.as_str(), value.clone()),
        };
        match BROKER.find(name) {
            Some(key) => match key.check(&value) {
                Ok(plain) => {
                    kept.insert(key.name, plain);
                }
                Err(error) => note(name, &value, format!("klamm does not take this value: {}", error.why)),
            },
            None => note(name, &value, absence(name)),
        }
    }
    if !given.contains_key("listeners") {
        note("listeners", "", "Kafka listens on every interface where nothing is said, klamm on 127.0.0.1 alone".into());
    }
    while let Some((key, why)) = conflict(&kept) {
        let value = kept.remove(key).unwrap_or_default();
        note(key, &value, why);
    }
    let toml = with_notes(to_toml(&kept), &notes);
    Imported { toml, notes }
}

fn absence(name: &str) -> String {
    match (foreign::why_absent(name), BROKER.nearest(name)) {
        (Some(why), _) => why.to_owned(),
        // Other versions of Kafka, and its plugins, know more keys than the list of those that klamm lacks.
        (None, Some(nearest)) => format!("klamm has no counterpart; the nearest key is {nearest}"),
        (None, None) => "klamm has no counterpart".to_owned(),
    }
}

/// Whether the value of a key is for nobody's eyes: what is imported is shown, and the TOML may be readable by more people than its source.
fn is_secret(key: &str) -> bool {
    const PARTS: [&str; 7] =
        ["password", "secret", "sasl.jaas.config", "keystore.key", "keystore.certificate.chain", "master.key", "credential"];
    let key = key.to_ascii_lowercase();
    PARTS.iter().any(|part| key.contains(part))
}

/// The listeners of a list that klamm can open, and the others with the reason why not.
fn usable_listeners(value: &str, given: &BTreeMap<String, String>) -> (String, Vec<(String, String)>) {
    let of_controllers: Vec<String> = names(given.get("controller.listener.names"));
    let protocols: BTreeMap<String, String> = names(given.get("listener.security.protocol.map"))
        .into_iter()
        .filter_map(|pair| pair.rsplit_once(':').map(|(name, protocol)| (name.to_owned(), protocol.to_owned())))
        .collect();
    let mut usable = Vec::new();
    let mut dropped = Vec::new();
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let name = text.split("://").next().unwrap_or_default().to_ascii_uppercase();
        let protocol = protocols.get(&name).or(Some(&name).filter(|name| PROTOCOLS.contains(&name.as_str())));
        let why = if of_controllers.contains(&name) {
            Some("brokers and controllers share the listeners of a node".to_owned())
        } else {
            match protocol.map(String::as_str) {
                Some("PLAINTEXT") => Listener::parse(text).err(),
                Some(protocol) => Some(format!("klamm does not speak {protocol} yet")),
                None => Some("listener.security.protocol.map has no protocol for it".to_owned()),
            }
        };
        match why {
            Some(why) => dropped.push((text.to_owned(), why)),
            None => usable.push(text),
        }
    }
    (usable.join(","), dropped)
}

/// The elements of a list in capitals.
fn names(list: Option<&String>) -> Vec<String> {
    list.map(|list| list.split(',').map(|name| name.trim().to_ascii_uppercase()).collect()).unwrap_or_default()
}

/// A kept key that does not go together with the others, and why.
fn conflict(kept: &BTreeMap<&'static str, String>) -> Option<(&'static str, String)> {
    let file = Some((String::new(), to_toml(kept)));
    let problems = load(Inputs { file, ..Inputs::default() }).err()?;
    // A message names the key to change first.
    let about = |message: &str| {
        let mentioned = kept.keys().filter_map(|key| Some((message.find(key)?, Reverse(key.len()), *key)));
        mentioned.min().map(|(.., key)| key)
    };
    problems.0.iter().find_map(|problem| Some((about(&problem.message)?, problem.message.clone())))
}

fn to_toml(kept: &BTreeMap<&'static str, String>) -> String {
    let mut toml = String::from("# Converted from a server.properties of Kafka.\n");
    for area in BROKER.areas {
        let mut keys = area.keys.iter().filter_map(|key| Some((key, kept.get(key.name)?))).peekable();
        if keys.peek().is_some() {
            let _ = writeln!(toml, "\n# {}", area.title);
        }
        for (key, plain) in keys {
            let _ = writeln!(toml, "{}", render::assignment(key, plain));
        }
    }
    toml
}

fn with_notes(mut toml: String, notes: &[Note]) -> String {
    if !notes.is_empty() {
        toml.push_str("\n# Not taken over as it was:\n");
    }
    for Note { key, value, what } in notes {
        let comment = format!("{key} = {value}: {what}");
        let _ = writeln!(toml, "#   {}", comment.replace(|c: char| c.is_control(), " "));
    }
    toml
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_server_properties_of_a_kraft_node_are_converted() {
        let text = "\
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
log.dirs=/var/lib/kafka/a,/var/lib/kafka/b
max.connections=500
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.hour=5
retries=x
";
        let expected = "\
# Converted from a server.properties of Kafka.

# Node
node.id = 7
process.roles = [\"broker\", \"controller\"]

# Network
listeners = \"PLAINTEXT://:9092\"
advertised.listeners = \"PLAINTEXT://localhost:9092\"
listener.security.protocol.map = \"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\"
\"max.connections\" = 500

# Topic defaults
log.retention.hours = 168
log.segment.bytes = \"1GiB\"

# Not taken over as it was:
#   advertised.listeners = CONTROLLER://localhost:9093: brokers and controllers share the listeners of a node
#   controller.listener.names = CONTROLLER: every listener of a node serves clients, brokers and controllers alike
#   controller.quorum.bootstrap.servers = localhost:9093: a node of klamm is its own controller, and the quorum keeps its own times
#   inter.broker.listener.name = PLAINTEXT: every listener of a node serves clients, brokers and controllers alike
#   listeners = CONTROLLER://:9093: brokers and controllers share the listeners of a node
#   log.dirs = /var/lib/kafka/a,/var/lib/kafka/b: klamm cannot take over data of Kafka; choose new directories with log.dirs
#   log.retention.hour = 5: klamm has no counterpart; the nearest key is log.retention.hours
#   num.network.threads = 3: klamm runs one thread a core and gives work to whichever is idle
#   retries = x: klamm has no counterpart
";
        assert_eq!(import(text).toml, expected);
    }

    #[test]
    fn what_klamm_does_not_take_becomes_a_note() {
        let what =
            |text: &str| import(text).notes.into_iter().map(|note| format!("{}: {}", note.key, note.what)).collect::<Vec<_>>();
        for (text, note) in [
            ("num.partitions=${env:PARTITIONS}", "num.partitions: klamm does not take this value: Not a number of type INT"),
            ("listeners=SASL_SSL://:9093", "listeners: klamm does not speak SASL_SSL yet"),
            ("process.roles=broker", "process.roles: every node is both broker and controller"),
            ("log.dir=/k", "log.dir: klamm cannot take over data of Kafka; choose new directories with log.dirs"),
            ("metadata.log.dir=/k", "metadata.log.dir: klamm keeps its metadata in log.dirs and trims it by itself"),
            ("super.users=User:admin", "super.users: klamm has no counterpart"),
            ("quota.producer.default=1024", "quota.producer.default: klamm has no counterpart"),
            ("broker.id=1\nnode.id=2", "broker.id: node.id is set and takes its place"),
            ("zookeeper.connect=z:2181", "zookeeper.connect: there is no ZooKeeper; metadata lives in klamm itself"),
            (
                "broker.session.timeout.ms=1000\nnode.id=3",
                "broker.session.timeout.ms: broker.heartbeat.interval.ms must be less than broker.session.timeout.ms, or a living broker is taken for dead",
            ),
        ] {
            let mut told = what(&format!("{text}\n"));
            told.retain(|told| !told.starts_with("listeners: Kafka listens on every interface"));
            assert_eq!(told, [note], "{text}");
        }
        assert!(
            what("num.partitions=3")[0].starts_with("listeners: Kafka listens on every interface"),
            "what is not said changes too"
        );
        assert_eq!(what("listeners=PLAINTEXT://:9092"), [""; 0]);
        assert!(import("broker.id=4").toml.contains("\nnode.id = 4\n"));
    }

    #[test]
    fn secrets_are_shown_to_nobody() {
        for key in [
            "ssl.keystore.password",
            "ssl.keystore.key",
            "ssl.key.password",
            "listener.name.sasl_ssl.plain.sasl.jaas.config",
            "sasl.jaas.config",
            "delegation.token.secret.key",
            "azure.client.SECRET",
        ] {
            let imported = import(&format!("{key}=hunter2\n"));
            assert!(!format!("{imported:?}").contains("hunter2"), "{key}");
            assert!(imported.toml.contains(&format!("{key} = <left out>: ")), "{}", imported.toml);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_imported_loads(lines in prop::collection::vec("(?s)(listeners|broker.id|log.dirs|log.roll.ms|num.partitions|queued.max.request.bytes|x)?[=: \\\\]?.{0,12}", 0..8)) {
            let imported = import(&lines.join("\n"));
            let file = Some(("klamm.toml".to_owned(), imported.toml.clone()));
            let loaded = load(Inputs { file, ..Inputs::default() });
            prop_assert!(loaded.is_ok(), "{}\n{}", imported.toml, loaded.unwrap_err());
        }

        #[test]
        fn every_key_of_the_input_is_answered(names in prop::collection::btree_set("[a-z]{1,6}(\\.[a-z]{1,6}){0,2}", 0..6)) {
            let imported = import(&names.iter().map(|name| format!("{name}=1\n")).collect::<String>());
            for name in &names {
                let answered = BROKER.find(name).is_some() || imported.notes.iter().any(|note| note.key == *name);
                prop_assert!(answered, "{name}");
            }
        }
    }
}
