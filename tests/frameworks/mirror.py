"""MirrorMaker 2 as the program it comes as, between two brokers, west and east.

Each promise has topics, aliases and so inner topics of its own: the alias of the source stands before the name of each copy.
"""

import os
import struct
import time
from collections import Counter, defaultdict

import topics
from confluent_kafka import Consumer
from patience import eventually
from program import Program
from suite import QUICK, control, equal
from workers import PORT, properties

RECORDS = 3_000 if QUICK else 30_000
PARTITIONS = 3
BEGIN = int(time.time() * 1000) - 3_600_000  # the time of the first record: recent, or retention takes them
WEST, EAST = topics.BOOTSTRAP, os.environ["TARGET_BOOTSTRAP"]
SOURCE_CONTROL, TARGET_CONTROL = "BROKER_CONTROL", "TARGET_CONTROL"
ONE = ("offset-syncs", "checkpoints", "heartbeats", "offset.storage", "config.storage", "status.storage")
EVERY_SECOND = (
    "refresh.topics",
    "refresh.groups",
    "sync.topic.configs",
    "emit.checkpoints",
    "sync.group.offsets",
    "emit.heartbeats",
)
# Of the workers, each of which belongs to the cluster it writes to.
WORKER = {
    "offset.flush.interval.ms": 1000,
    "scheduled.rebalance.max.delay.ms": 1000,
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1000,
}


class Mirror:
    """Copies the topics `name.…` of west to east, where they are `name-west.name.…`."""

    def __init__(self, name: str, **more):
        self.name, self.alias, self.other = name, f"{name}-west", f"{name}-east"
        control("start", TARGET_CONTROL)
        settings = {
            "clusters": f"{self.alias}, {self.other}",
            f"{self.alias}.bootstrap.servers": WEST,
            f"{self.other}.bootstrap.servers": EAST,
            f"{self.alias}->{self.other}.enabled": "true",
            "topics": rf"{name}\..*",
            "groups": f"{name}-.*",
            "replication.factor": 1,
            **{f"{kind}{'.topic' if '.' not in kind else ''}.replication.factor": 1 for kind in ONE},
            **{f"{what}.interval.seconds": 1 for what in EVERY_SECOND},
            "sync.group.offsets.enabled": "true",
            **{f"{alias}.{key}": value for alias in (self.alias, self.other) for key, value in WORKER.items()},
            **more,
        }
        self.program = Program(name, "org.apache.kafka.connect.mirror.MirrorMaker", properties(name, settings))

    def copy(self, topic: str) -> str:
        return f"{self.alias}.{topic}"

    def appears(self, topic: str) -> topics.Reader:
        """A reader of the copy, once there is one."""
        copy = self.copy(topic)
        self.eventually(f"{copy} is made", lambda: copy in topics.names(EAST))
        return topics.Reader(copy, EAST)

    def eventually(self, what: str, condition) -> None:
        def so() -> bool:
            self.program.check()
            return condition()

        eventually(what, so)


def filled(topic: str, first: int, count: int, partitions: int = PARTITIONS, at: str = WEST, table: bool = False) -> None:
    """Numbered records, spread over the partitions; some without key (not in a table) or value, some with headers."""
    topics.write(topic, [_made(n, n % partitions, table) for n in range(first, first + count)], at)


def _made(n: int, partition: int, table: bool) -> tuple:
    key = None if n % 7 == 0 and not table else f"k{n:07d}"
    value = None if n % 11 == 0 and key else f"{n:07d} goes west to east"
    headers = [("number", b"%d" % n), ("empty", b""), ("none", None)] if n % 3 == 0 else []
    return key, value, BEGIN + n, partition, headers


def carried(records) -> dict:
    """By partition, in the order of the log, what a copy must have of each record."""
    found = defaultdict(list)
    for record in records:
        found[record.partition].append((record.key, record.value, record.time, record.headers))
    return dict(found)


def copied() -> None:
    """Records, configurations, partitions that come later; in both directions, without going round in circles."""
    orders, prices = "both.orders", "both.prices"
    topics.create(orders, PARTITIONS, retention_ms="86400000", max_message_bytes="2000000")
    topics.create(prices, 1, cleanup_policy="compact", segment_bytes="2097152")
    control("start", TARGET_CONTROL)
    topics.create(prices, 1, EAST)
    filled(orders, 0, RECORDS)
    filled(prices, 0, RECORDS // 10, 1, table=True)
    filled(prices, 0, 50, 1, EAST, table=True)
    mirror = Mirror("both", **{"both-east->both-west.enabled": "true"})
    there, priced = mirror.appears(orders), mirror.appears(prices)
    mirror.eventually("orders are copied", lambda: len(there.read()) >= RECORDS)
    equal(PARTITIONS, len(topics.partitions(mirror.copy(orders), EAST)), "partitions of the copy")
    configs = topics.config(mirror.copy(orders), EAST)
    equal(("86400000", "2000000"), (configs["retention.ms"], configs["max.message.bytes"]), "configuration of the copy")
    configs = topics.config(mirror.copy(prices), EAST)
    equal(("compact", "2097152"), (configs["cleanup.policy"], configs["segment.bytes"]), "configuration of the copied table")
    # What the source changes follows; what only the copy has and the source leaves at its default goes.
    topics.configure(mirror.copy(orders), EAST, flush_messages="77")
    topics.configure(orders, retention_ms="172800000")

    def follows() -> bool:
        now = topics.config(mirror.copy(orders), EAST)
        return now["retention.ms"] == "172800000" and now["flush.messages"] != "77"

    mirror.eventually("the configuration follows", follows)
    topics.widen(orders, PARTITIONS + 2)
    mirror.eventually("the copy is widened", lambda: len(topics.partitions(mirror.copy(orders), EAST)) == PARTITIONS + 2)
    filled(orders, RECORDS, RECORDS // 10, PARTITIONS + 2)
    there.close()
    there = topics.Reader(mirror.copy(orders), EAST)
    mirror.eventually("the new partitions are copied", lambda: len(there.read()) >= RECORDS + RECORDS // 10)
    back = "both-east.both.prices"
    mirror.eventually("the other direction", lambda: back in topics.names() and sum(topics.offsets(back).values()) == 50)
    mirror.eventually("the table is copied", lambda: len(priced.read()) >= RECORDS // 10)
    mirror.program.stop()
    equal(carried(topics.Reader(orders).read()), carried(there.read()), "records of the copy")
    equal(carried(topics.Reader(prices).read()), carried(priced.read()), "records of the copied table")
    rounds = [name for name in topics.names() | topics.names(EAST) if name.count("both-") > 1 and not name.endswith(".internal")]
    equal([], [name for name in rounds if "heartbeats" not in name], "topics copied back to where they came from")


def groups() -> None:
    """What a group has committed in the west is translated, and committed in the east: an application goes on there."""
    topic, group = "move.orders", "move-readers"
    topics.create(topic, PARTITIONS)
    filled(topic, 0, RECORDS)
    half = consumed(group, topic, WEST, RECORDS // 2)
    mirror = Mirror("move")
    copy, reader = mirror.copy(topic), mirror.appears(topic)
    mirror.eventually("all is copied", lambda: len(reader.read()) >= RECORDS)

    def synced() -> dict:
        return {part: offset for (name, part), offset in topics.committed(group, EAST).items() if name == copy}

    west = {part: offset for (_, part), offset in topics.committed(group).items()}
    mirror.eventually("offsets are committed for the group", lambda: synced().keys() == west.keys())
    ahead = {part: offset for part, offset in synced().items() if offset > west[part]}
    equal({}, ahead, "offsets in the east that would skip records")
    # To the end in the west: then the east is told the end, exactly.
    all_ = half | consumed(group, topic, WEST, RECORDS - len(half))
    equal(RECORDS, len(all_), "records read in the west")
    ends = topics.offsets(copy, EAST)
    mirror.eventually("the group's end is its end", lambda: synced() == ends)
    told = Program.answer("klamm.frameworks.Failover", EAST, mirror.alias, group)
    expected = {f"offset {copy} {part} {end}" for part, end in ends.items()}
    equal(expected, {line for line in told if line.startswith("offset")}, "offsets that MirrorClient translates")
    assert "hops 1" in told, f"upstream clusters: {told}"
    assert f"checkpoints {mirror.alias}.checkpoints.internal" in told, f"topics of checkpoints: {told}"
    equal("compact", topics.config(f"{mirror.alias}.checkpoints.internal", EAST)["cleanup.policy"], "policy of the checkpoints")
    filled(topic, RECORDS, 100)
    mirror.eventually("the rest is copied", lambda: len(reader.read()) >= RECORDS + 100)
    mirror.program.stop()
    rest = consumed(group, copy, EAST, 100)
    equal({f"{n:07d}" for n in range(RECORDS, RECORDS + 100)}, rest, "records that the group reads on in the east")


def consumed(group: str, topic: str, bootstrap: str, count: int) -> set:
    """The numbers of the records that a member of the group reads and commits, at least so many."""
    settings = {"enable.auto.commit": False, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, **settings})
    consumer.subscribe([topic])
    numbers = set()

    def enough() -> bool:
        for message in consumer.consume(min(500, count - len(numbers)), timeout=0.5):
            assert message.error() is None, message.error()
            numbers.add(f"{message.timestamp()[1] - BEGIN:07d}")
        return len(numbers) >= count

    eventually(f"{count} records of {topic}", enough)
    consumer.commit(asynchronous=False)
    consumer.close()
    return numbers


def heartbeats() -> None:
    """They are written in the west and copied to the east, and tell from where to where."""
    mirror = Mirror("pulse")
    copy = mirror.copy("heartbeats")
    mirror.eventually("heartbeats are copied", lambda: copy in topics.names(EAST))
    reader = topics.Reader(copy, EAST, text=False)
    key = b"".join(struct.pack(">h", len(word)) + word.encode() for word in (mirror.other, mirror.alias))

    def beats() -> list:
        return [struct.unpack(">hq", record.value) for record in reader.read() if record.key == key]

    mirror.eventually("five heartbeats", lambda: len(beats()) >= 5)
    times = [when for version, when in beats() if version == 0]
    assert times == sorted(set(times)), f"heartbeats do not come one after the other: {times}"
    mirror.program.stop()


def killed() -> None:
    """MirrorMaker, the west and the east are killed in the middle: nothing is lost, and what is copied again keeps its order."""
    topic = "kill.orders"
    topics.create(topic, PARTITIONS)
    filled(topic, 0, RECORDS)
    mirror = Mirror("kill")
    reader = mirror.appears(topic)
    end = _through_kills(mirror, topic, reader)
    mirror.eventually("all is copied", lambda: len({record.time for record in reader.read()}) >= end)
    mirror.program.stop()
    got = carried(reader.read())
    for partition, records in carried(topics.Reader(topic).read()).items():
        seen = Counter(got[partition])
        equal(set(records), set(seen), f"records of the copy's partition {partition}")
        equal(records, list(dict.fromkeys(got[partition])), f"order in the copy's partition {partition}")


def exactly_once() -> None:
    topic = "once.orders"
    topics.create(topic, PARTITIONS)
    filled(topic, 0, RECORDS)
    more = {
        "once-east.exactly.once.source.support": "enabled",
        "dedicated.mode.enable.internal.rest": "true",
        "listeners": f"http://127.0.0.1:{PORT}",
    }
    mirror = Mirror("once", **more)
    reader = mirror.appears(topic)
    end = _through_kills(mirror, topic, reader)
    mirror.eventually("all is copied", lambda: len(reader.read()) >= end)
    mirror.program.stop()
    topics.settled(reader.topic, bootstrap=EAST)
    equal(carried(topics.Reader(topic).read()), carried(reader.read()), "records of the copy")
    # Markers have offsets too: without any, it was no transaction that made it so.
    assert sum(topics.offsets(reader.topic, EAST).values()) > len(reader.read()), "the copy was not written in transactions"


def _through_kills(mirror: Mirror, topic: str, reader: topics.Reader) -> int:
    """Kills one after the other while records go through; how many were written."""

    def reaches(count: int) -> None:
        mirror.eventually(f"{count} records copied", lambda: len(reader.read()) >= count)

    reaches(RECORDS // 10)
    mirror.program.kill9()
    filled(topic, RECORDS, RECORDS)
    mirror.program.start()
    reaches(RECORDS + RECORDS // 10)
    control("kill9", SOURCE_CONTROL)
    control("start", SOURCE_CONTROL)
    filled(topic, 2 * RECORDS, RECORDS)
    reaches(2 * RECORDS + RECORDS // 10)
    control("kill9", TARGET_CONTROL)
    filled(topic, 3 * RECORDS, RECORDS)
    control("start", TARGET_CONTROL)
    return 4 * RECORDS


PROMISES = {
    "records-configs-partitions": copied,
    "group-offsets": groups,
    "heartbeats": heartbeats,
    "kill9": killed,
    "exactly-once": exactly_once,
}
NEEDS = {"exactly-once": "transactions"}
