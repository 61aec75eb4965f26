//! Who a node is, where its data lies, and what it does at start and stop.

use super::keys;
use crate::config::listeners;

keys! {
    /// Who the node is, where its data lies, how it starts and stops.
    pub struct NodeConfig "Node" {
        /// Number of this node, unique in its cluster and the same for ever.
        "node.id" = "1" => node_id: i32 { at_least(0), shown }

        /// What the node does. Every node is both broker and controller.
        "process.roles" = "broker,controller" => process_roles: Vec<String> { form("broker,controller", both_roles) }

        /// Where the node stands, for example a data centre; clients are told.
        "broker.rack" = null => broker_rack: Option<String> { example("eu-central-1a") }

        /// Directories that hold the data where `log.dirs` names none. A relative path starts where the process does.
        "log.dir" = "klamm-data" => log_dir: Vec<String> { form("paths", some_element), shown }

        /// Directories that hold the data; partitions are spread over them. Takes precedence over `log.dir`.
        "log.dirs" = null => log_dirs: Option<Vec<String>>
            { form("paths", some_element), example("/mnt/disk1/klamm,/mnt/disk2/klamm") }

        /// How long a stop may take before what is left is cut off; what was acknowledged is safe either way.
        "shutdown.timeout.ms" = "30000" => shutdown_timeout_ms: i64 { millis, at_least(0) }

        /// Address of the HTTP listener for metrics and health, as `host:port`; none by default.
        "http.listener" = null => http_listener: Option<String> { form("host:port", listeners::check_host_and_port), example("127.0.0.1:8080") }

        /// Whether metrics have a series for each partition instead of a sum over each topic. A broker with thousands of partitions
        /// makes large answers then.
        "http.metrics.per.partition" = "false" => http_metrics_per_partition: bool
    }
}

fn both_roles(plain: &str) -> Result<(), String> {
    match plain {
        "broker,controller" | "controller,broker" => Ok(()),
        _ => Err("a node is both broker and controller".into()),
    }
}

fn some_element(plain: &str) -> Result<(), String> {
    if plain.is_empty() { Err("at least one directory is needed".into()) } else { Ok(()) }
}
