//! Keys of Kafka that klamm does not have, and why. Told wherever somebody writes one: in the file, in a request, in an imported
//! `server.properties`. A key that is declared is never in here.

const SASL: &str = "klamm does not speak SASL yet";
const TLS: &str = "klamm does not speak TLS yet";
const PLUGIN: &str = "klamm loads no Java classes";
const TIERED: &str = "klamm keeps records on local disks only, there is no tiered storage";
const SHARE: &str = "klamm has no share groups yet";
const STREAMS: &str = "klamm has no streams groups yet";
const CONSUMER: &str = "klamm has no consumer groups of the newer protocol (KIP-848) yet";
const QUORUM: &str = "a node of klamm is its own controller, and the quorum keeps its own times";
const METADATA_LOG: &str = "klamm keeps its metadata in log.dirs and trims it by itself";
const ZOOKEEPER: &str = "there is no ZooKeeper; metadata lives in klamm itself";
const DROPPED: &str = "Kafka 4 dropped it as well";
const THREADS: &str = "klamm runs one thread a core and gives work to whichever is idle";
const PURGATORY: &str = "klamm has no purgatory; a waiting request costs nothing until it is answered";
const BUFFER: &str = "klamm needs no such buffer";
const QUOTA_WINDOW: &str = "klamm has no quotas yet";
const FETCHER: &str = "klamm does not replicate between nodes yet";
const REPORTERS: &str = "metrics are read in Prometheus form from http.listener";
const ONE_LISTENER: &str = "every listener of a node serves clients, brokers and controllers alike";
const POLICY: &str = "klamm loads no policy classes";
const THROTTLE: &str = "klamm does not throttle replication";
const CHOICE: &str = "klamm does not leave this to choose";
const DELEGATION: &str = "klamm has no delegation tokens yet";

/// Names, or beginnings of names where they end in a dot. The first that fits counts.
#[rustfmt::skip]
pub(super) const ABSENT: &[(&str, &str)] = &[
    ("add.partitions.to.txn.retry.backoff.ms", "klamm waits for the end of a transaction without polling"),
    ("advertised.host.name", DROPPED),
    ("advertised.port", DROPPED),
    ("alter.config.policy.class.name", POLICY),
    ("alter.log.dirs.replication.quota.", THROTTLE),
    ("authorizer.class.name", "klamm has no authorizer yet"),
    ("auto.leader.rebalance.enable", FETCHER),
    ("background.threads", THREADS),
    ("broker.id", "it is called node.id"),
    ("broker.id.generation.enable", ZOOKEEPER),
    ("client.quota.callback.class", PLUGIN),
    ("config.providers", "klamm reads environment variables itself: KLAMM_ and the key in capitals"),
    ("config.providers.", "klamm reads environment variables itself: KLAMM_ and the key in capitals"),
    ("confluent.", "it belongs to Confluent's distribution"),
    ("connection.failed.authentication.delay.ms", SASL),
    ("connections.max.reauth.ms", SASL),
    ("control.plane.listener.name", DROPPED),
    ("consumer.assignment.interval.ms", CONSUMER),
    ("consumer.heartbeat.interval.ms", CONSUMER),
    ("consumer.session.timeout.ms", CONSUMER),
    ("controlled.shutdown.enable", FETCHER),
    ("controlled.shutdown.max.retries", DROPPED),
    ("controlled.shutdown.retry.backoff.ms", DROPPED),
    ("controller.listener.names", ONE_LISTENER),
    ("controller.quorum.", QUORUM),
    ("controller.quota.", QUOTA_WINDOW),
    ("controller.socket.timeout.ms", QUORUM),
    ("cordoned.log.dirs", "klamm cannot keep new partitions out of a directory"),
    ("create.topic.policy.class.name", POLICY),
    ("delegation.token.", DELEGATION),
    ("delete.records.purgatory.purge.interval.requests", PURGATORY),
    ("early.start.listeners", ONE_LISTENER),
    ("fetch.purgatory.purge.interval.requests", PURGATORY),
    ("follower.fetch.last.tiered.offset.enable", TIERED),
    ("follower.replication.throttled.rate", THROTTLE),
    ("group.consumer.", CONSUMER),
    ("group.coordinator.append.linger.ms", "klamm writes what waits together, without waiting for more"),
    ("group.coordinator.background.threads", THREADS),
    ("group.coordinator.cached.buffer.max.bytes", BUFFER),
    ("group.coordinator.new.enable", DROPPED),
    ("group.coordinator.rebalance.protocols", "every group protocol that klamm has is on"),
    ("group.coordinator.threads", THREADS),
    ("group.share.", SHARE),
    ("group.streams.", STREAMS),
    ("host.name", DROPPED),
    ("inter.broker.listener.name", ONE_LISTENER),
    ("inter.broker.protocol.version", DROPPED),
    ("kafka.metrics.", REPORTERS),
    ("leader.imbalance.", FETCHER),
    ("leader.replication.throttled.rate", THROTTLE),
    ("listener.name.", "klamm has no keys for one listener yet"),
    ("log.cleaner.io.buffer.load.factor", CHOICE),
    ("log.cleaner.io.buffer.size", BUFFER),
    ("log.dir.failure.timeout.ms", CHOICE),
    ("log.local.retention.", TIERED),
    ("log.message.downconversion.enable", DROPPED),
    ("log.message.format.version", DROPPED),
    ("log.message.timestamp.difference.max.ms", "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"),
    ("max.connection.creation.rate", "klamm bounds connections by number only: max.connections, max.connections.per.ip"),
    ("max.request.partition.size.limit", CHOICE),
    ("message.downconversion.enable", DROPPED),
    ("message.format.version", DROPPED),
    ("message.timestamp.difference.max.ms", "use message.timestamp.before.max.ms and message.timestamp.after.max.ms"),
    ("metadata.log.", METADATA_LOG),
    ("metadata.max.", METADATA_LOG),
    ("metric.reporters", REPORTERS),
    ("metrics.", REPORTERS),
    ("num.io.threads", THREADS),
    ("num.network.threads", THREADS),
    ("num.replica.alter.log.dirs.threads", FETCHER),
    ("num.replica.fetchers", FETCHER),
    ("offsets.load.buffer.size", BUFFER),
    ("offsets.topic.compression.codec", "klamm writes the few bytes of a committed offset as they are"),
    ("offsets.topic.retention.minutes", "it is called offsets.retention.minutes"),
    ("password.encoder.", ZOOKEEPER),
    ("port", DROPPED),
    ("principal.builder.class", PLUGIN),
    ("producer.purgatory.purge.interval.requests", PURGATORY),
    ("queued.max.requests", "klamm bounds requests by their bytes: queued.max.request.bytes"),
    ("quota.window.", QUOTA_WINDOW),
    ("remote.fetch.max.wait.ms", TIERED),
    ("remote.list.offsets.request.timeout.ms", TIERED),
    ("remote.log.index.", TIERED),
    ("remote.log.manager.", TIERED),
    ("remote.log.metadata.", TIERED),
    ("remote.log.reader.", TIERED),
    ("remote.log.storage.", TIERED),
    ("replica.alter.log.dirs.io.max.bytes.per.second", THROTTLE),
    ("replica.fetch.", FETCHER),
    ("replica.lag.time.max.ms", FETCHER),
    ("replica.selector.class", FETCHER),
    ("replica.socket.", FETCHER),
    ("replication.quota.", THROTTLE),
    ("request.timeout.ms", FETCHER),
    ("reserved.broker.max.id", ZOOKEEPER),
    ("sasl.", SASL),
    ("security.inter.broker.protocol", ONE_LISTENER),
    ("security.providers", PLUGIN),
    ("share.", SHARE),
    ("socket.connection.setup.timeout.", FETCHER),
    ("ssl.", TLS),
    ("streams.", STREAMS),
    ("telemetry.", "klamm does not collect the metrics of clients"),
    ("transaction.state.log.load.buffer.size", BUFFER),
    ("transaction.two.phase.commit.enable", "klamm takes no part in two-phase commits of others"),
    ("zookeeper.", ZOOKEEPER),
];

/// Why klamm does not have a key of Kafka; `None` if it does, or nobody knows the name.
pub fn why_absent(name: &str) -> Option<&'static str> {
    let fits = |pattern: &str| name == pattern || pattern.ends_with('.') && name.starts_with(pattern);
    ABSENT.iter().find(|(pattern, _)| fits(pattern)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::def::{BROKER, GROUP, TOPIC};

    #[test]
    fn no_declared_key_is_called_absent() {
        for key in BROKER.keys().chain(TOPIC.keys()).chain(GROUP.keys()) {
            assert_eq!(why_absent(key.name), None, "{} is declared", key.name);
        }
    }
}
