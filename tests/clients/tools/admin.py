"""The tools that administer: topics, configurations, records, leaders, directories, the cluster."""

import json

from suite import equal, eventually, unique
from tool import BOOTSTRAP, DATA, file, has, made, produce, run


def topics():
    topic = made("topics", 3, "retention.ms=3600000")
    described = run("topics", "--describe", "--topic", topic)
    has(described, f"^Topic: {topic}\tTopicId: \\S{{22}}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: .*retention.ms=3600000")
    has(described, r"Partition: 2\tLeader: (\d+)\tReplicas: \1\tIsr: \1")
    run("topics", "--alter", "--topic", topic, "--partitions", 5)
    eventually("five partitions", lambda: "PartitionCount: 5" in run("topics", "--describe", "--topic", topic))
    assert topic in run("topics", "--list").split()
    equal("", run("topics", "--describe", "--under-replicated-partitions"), "under-replicated partitions")
    equal("", run("topics", "--describe", "--unavailable-partitions"), "unavailable partitions")
    run("topics", "--delete", "--topic", topic)
    eventually("the topic is gone", lambda: topic not in run("topics", "--list").split())


def refusals():
    topic = made("refusals", 4)
    has(run("topics", "--create", "--topic", topic, status=1), f"Topic '{topic}' already exists\\.")
    run("topics", "--create", "--topic", topic, "--if-not-exists")
    has(run("topics", "--alter", "--topic", topic, "--partitions", 4, status=1), r"Topic already has 4 partition\(s\)\.")
    has(run("topics", "--create", "--topic", "bad/topic", status=1), "Topic name is invalid: 'bad/topic' contains one or more characters")
    has(run("topics", "--create", "--topic", unique("two"), "--replication-factor", 2, status=1), r"only 1 broker\(s\) are registered")
    none = unique("none")
    has(run("topics", "--describe", "--topic", none, status=1), f"Topic '{none}' does not exist as expected")
    words = ("--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.minutes=1")
    has(run("configs", *words, status=1), "InvalidConfigurationException: Unknown topic config name: retention.minutes")


def configs():
    topic = made("configs")
    entity = ("--entity-type", "topics", "--entity-name", topic)
    setting = "cleanup.policy=[compact,delete],segment.bytes=2097152"
    has(run("configs", "--alter", *entity, "--add-config", setting), f"^Completed updating config for topic {topic}\\.$")
    eventually("the change shows", lambda: "segment.bytes=2097152" in run("configs", "--describe", *entity))
    has(
        run("configs", "--describe", *entity),
        r"cleanup.policy=compact,delete sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, "
        r"DEFAULT_CONFIG:log.cleanup.policy=delete\}",
        r"segment.bytes=2097152 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:segment.bytes=2097152, "
        r"DEFAULT_CONFIG:log.segment.bytes=1073741824\}",
    )
    has(run("configs", "--describe", "--all", *entity), r"^  max.message.bytes=1048588 .*DEFAULT_CONFIG:message.max.bytes=1048588")
    run("configs", "--alter", *entity, "--delete-config", "segment.bytes,cleanup.policy")
    eventually("the change shows", lambda: "segment.bytes" not in run("configs", "--describe", *entity))
    everyone = ("--entity-type", "brokers", "--entity-default")
    run("configs", "--alter", *everyone, "--add-config", "log.retention.ms=7200000")
    eventually("the change shows", lambda: "log.retention.ms=7200000" in run("configs", "--describe", *everyone))
    run("configs", "--alter", *everyone, "--delete-config", "log.retention.ms")
    eventually("the change shows", lambda: "log.retention.ms" not in run("configs", "--describe", *everyone))


def get_offsets():
    topic = made("get-offsets")
    produce(topic, range(19))
    produce(topic, ["of a later time"])
    equal(f"{topic}:0:20\n", run("get-offsets", "--topic", topic), "latest")
    equal(f"{topic}:0:0\n", run("get-offsets", "--topic", topic, "--time", "earliest"), "earliest")
    equal(f"{topic}:0:19\n", run("get-offsets", "--topic", topic, "--time", "max-timestamp"), "of the greatest time stamp")
    equal(f"{topic}:0:0\n", run("get-offsets", "--topic", topic, "--time", 1000), "at or after a time")


def delete_records():
    topic = made("delete-records")
    produce(topic, range(20))
    deletion = {"partitions": [{"topic": topic, "partition": 0, "offset": 7}], "version": 1}
    printed = run("delete-records", "--offset-json-file", file("deletion", json.dumps(deletion)))
    has(printed, f"^partition: {topic}-0\tlow_watermark: 7$")
    equal(f"{topic}:0:7\n", run("get-offsets", "--topic", topic, "--time", "earliest"), "earliest")
    deletion["partitions"][0]["offset"] = 21
    printed = run("delete-records", "--offset-json-file", file("deletion", json.dumps(deletion)))
    has(printed, f"^partition: {topic}-0\terror: .*OffsetOutOfRangeException: The requested offset is not within the range of offsets")


def elect_leaders():
    topic = made("elect")
    printed = run("leader-election", "--election-type", "preferred", "--topic", topic, "--partition", 0)
    has(printed, f"^Valid replica already elected for partitions {topic}-0$")
    run("leader-election", "--election-type", "preferred", "--all-topic-partitions")


def log_dirs():
    topic = made("log-dirs")
    produce(topic, range(100))
    printed = run("log-dirs", "--describe", "--topic-list", topic)
    (broker,) = json.loads(printed.splitlines()[-1])["brokers"]
    (directory,) = broker["logDirs"]
    equal(None, directory["error"], "error")
    (partition,) = directory["partitions"]
    equal((f"{topic}-0", 0, False), (partition["partition"], partition["offsetLag"], partition["isFuture"]), "partition")
    assert partition["size"] > 500, partition["size"]


def features():
    printed = run("features", "describe")
    has(
        printed,
        r"^Feature: metadata.version\s+SupportedMinVersion: \S+\s+SupportedMaxVersion: \S+\s+FinalizedVersionLevel: \S+\s+Epoch: \d+",
    )


def cluster():
    has(run("cluster", "cluster-id"), r"^Cluster ID: \S{22}$")
    host, port = BOOTSTRAP.split(":")
    has(run("cluster", "list-endpoints"), rf"^\d+\s+{host}\s+{port}\s+null\s+unfenced\s+broker\s*$")


def api_versions():
    printed = run("broker-api-versions")
    has(printed, rf"^{BOOTSTRAP} \(id: \d+ rack: null isFenced: false\) -> \($", r"^\tProduce\(0\): 0 to 1[23] \[usable: 1[23]\],$")
    for api in ("Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch", "JoinGroup", "CreateTopics", "InitProducerId"):
        has(printed, rf"^\t{api}\(\d+\): \d+ to \d+ \[usable: \d+\],$")


def quorum():
    printed = run("metadata-quorum", "describe", "--status")
    has(
        printed,
        r"^ClusterId:\s+\S{22}$",
        r"^LeaderId:\s+\d+$",
        r"^HighWatermark:\s+[1-9]",
        r"^MaxFollowerLag:\s+0$",
        r"^CurrentObservers:\s+\[\]$",
    )
    has(run("metadata-quorum", "describe", "--replication"), r"^\d+\s+\S{22}\s*\t\d+\s*\t0\s*\t.*\tLeader\s*$")


def reassignments():
    topic = made("reassign", 2)
    equal("No partition reassignments found.\n", run("reassign-partitions", "--list"), "reassignments")
    node = run("cluster", "list-endpoints").splitlines()[-1].split()[0]
    moved = file("topics", json.dumps({"topics": [{"topic": topic}], "version": 1}))
    printed = run("reassign-partitions", "--generate", "--topics-to-move-json-file", moved, "--broker-list", node)
    proposed = json.loads(printed.splitlines()[-1])
    equal([[int(node)]] * 2, [partition["replicas"] for partition in proposed["partitions"]], "proposed replicas")
    plan = file("plan", json.dumps(proposed))
    has(run("reassign-partitions", "--execute", "--reassignment-json-file", plan), "^Successfully started partition reassignments for ")
    verified = ("--verify", "--reassignment-json-file", plan, "--preserve-throttles")
    eventually("the reassignment is complete", lambda: run("reassign-partitions", *verified).count("is completed") == 2)


def dump_log():
    """Kafka's own reader of segments reads those of the broker: batches, codecs, indexes."""
    topic = made("dump", 1, "segment.bytes=1048576")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        produce(topic, [f"{codec} {'x' * 400}"] * 1000, "--compression-codec", codec, "--batch-size", 16_384)
    produce(topic, ["x" * 400] * 8000)
    folder = next(DATA.rglob(f"{topic}-0"))
    segments = sorted(folder.glob("*.log"))
    assert len(segments) > 1, f"{segments} is more than one segment"
    printed = run("dump-log", "--deep-iteration", "--files", ",".join(map(str, segments)), bootstrap=False)
    equal(13_000, printed.count("\n| offset: "), "records")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        has(printed, f"magic: 2 compresscodec: {codec} crc: \\d+ isvalid: true$")
    sealed = [segments[0].with_suffix(suffix) for suffix in (".index", ".timeindex")]
    printed = run("dump-log", "--index-sanity-check", "--files", ",".join(map(str, sealed)), bootstrap=False)
    equal(2, printed.count("passed sanity check."), "indexes that pass")
    assert "offset: " in run("dump-log", "--files", sealed[0], bootstrap=False), "the index has entries"


PROMISES = {
    "admin-topics": topics,
    "errors": refusals,
    "admin-configs": configs,
    "list-offsets": get_offsets,
    "admin-delete-records": delete_records,
    "admin-elect-leaders": elect_leaders,
    "admin-log-dirs": log_dirs,
    "admin-features": features,
    "admin-cluster": cluster,
    "api-versions": api_versions,
    "admin-quorum": quorum,
    "admin-reassignments": reassignments,
    "dump-log": dump_log,
}
NEEDS = {"admin-reassignments": "reassignments"}
