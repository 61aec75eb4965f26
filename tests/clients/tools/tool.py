"""Runs one of Kafka's tools and gives what it printed."""

import os
import re
import subprocess
from pathlib import Path

from suite import unique

BOOTSTRAP = os.environ["BOOTSTRAP"]
WORK = Path(os.environ["WORK"])
DATA = Path(os.environ["BROKER_DATA"])
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
JARS = ":".join(sorted(map(str, Path(os.environ["KAFKA_JARS"]).glob("*.jar"))))
LOADED = WORK / "tools.jsa"  # classes as the virtual machine lays them out, which takes a third off every start
LIMIT = 120
CLASSES = {
    "acls": "AclCommand",
    "broker-api-versions": "BrokerApiVersionsCommand",
    "client-metrics": "ClientMetricsCommand",
    "cluster": "ClusterTool",
    "console-consumer": "consumer.ConsoleConsumer",
    "console-producer": "ConsoleProducer",
    "consumer-groups": "consumer.group.ConsumerGroupCommand",
    "consumer-perf": "ConsumerPerformance",
    "delete-records": "DeleteRecordsCommand",
    "dump-log": "DumpLogSegments",
    "e2e-latency": "EndToEndLatency",
    "features": "FeatureCommand",
    "get-offsets": "GetOffsetShell",
    "groups": "GroupsCommand",
    "leader-election": "LeaderElectionCommand",
    "log-dirs": "LogDirsCommand",
    "metadata-quorum": "MetadataQuorumCommand",
    "producer-perf": "ProducerPerformance",
    "reassign-partitions": "reassign.ReassignPartitionsCommand",
    "topics": "TopicCommand",
    "transactions": "TransactionsCommand",
    "verifiable-consumer": "VerifiableConsumer",
    "verifiable-producer": "VerifiableProducer",
}


def command(tool: str, *words: str, bootstrap: bool = True) -> list:
    main = "kafka.admin.ConfigCommand" if tool == "configs" else f"org.apache.kafka.tools.{CLASSES[tool]}"
    where = ["--bootstrap-server", BOOTSTRAP] if bootstrap else []
    options = [*words, *where] if tool == "cluster" else [*where, *words]  # its verb comes first
    return [*JAVA, f"-XX:SharedArchiveFile={LOADED}", "-cp", JARS, main, *map(str, options)]


def run(tool: str, *words: str, given: str = "", status: int = 0, bootstrap: bool = True) -> str:
    """What the tool prints, on both outputs; it must end with `status`."""
    done = subprocess.run(
        command(tool, *words, bootstrap=bootstrap),
        input=given,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT,
    )
    print(f"$ kafka-{tool} {' '.join(map(str, words))}\n{done.stdout[-4000:]}")
    assert done.returncode == status, f"kafka-{tool} ended with {done.returncode}, not {status}: {done.stdout[-300:]}"
    return done.stdout


def quicken() -> None:
    """Runs one tool that loads what the others load too, and keeps its classes."""
    words = [f"-XX:ArchiveClassesAtExit={LOADED}" if "SharedArchive" in word else word for word in command("consumer-groups", "--list")]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, timeout=LIMIT)


def has(text: str, *patterns: str) -> None:
    """Each of the regular expressions is found in what was printed."""
    for pattern in patterns:
        assert re.search(pattern, text, re.MULTILINE), f"no {pattern!r} in {text[-400:]!r}"


def made(stem: str, partitions: int = 1, *configs: str) -> str:
    topic = unique(stem)
    words = [word for config in configs for word in ("--config", config)]
    has(run("topics", "--create", "--topic", topic, "--partitions", partitions, *words), f"^Created topic {topic}\\.$")
    return topic


def produce(topic: str, lines, *words: str) -> None:
    run("console-producer", "--topic", topic, *words, given="".join(f"{line}\n" for line in lines))


def consume(topic: str, count: int, *words: str) -> list:
    printed = run("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", count, "--timeout-ms", 30_000, *words)
    has(printed, f"^Processed a total of {count} messages$")
    return [line for line in printed.splitlines() if not line.startswith(("Processed a total", "The consumer rebalance protocol"))]


def file(name: str, text: str) -> Path:
    path = WORK / unique(name)
    path.write_text(text)
    return path
