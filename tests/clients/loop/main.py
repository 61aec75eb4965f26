"""Copiers that consume, produce and commit in transactions, killed over and over; so is the broker. Counted by a consumer that they know
nothing of: every record of the source is in the target once, and nowhere twice.

A copier is a process in some language. It copies until it is killed, and ends by itself at any error: it is started again, with its old
transactional id. `COPIERS` names the command of each language.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

import confluent_kafka as ck  # noqa: E402
from confluent_kafka import admin as ca  # noqa: E402
from suite import QUICK, Suite, control, equal, eventually, unique  # noqa: E402

BOOTSTRAP = os.environ["BOOTSTRAP"]
PARTITIONS = 3
RECORDS = 3_000 if QUICK else 30_000
PATIENCE = 120
# Without the generation of the group in its commits, as kafkajs sends them, two of a group cannot be kept from copying the same.
ALONE = ("kafkajs",)


class Copier:
    def __init__(self, command, group, source, target, number):
        names = {"GROUP": group, "SOURCE": source, "TARGET": target, "TRANSACTIONAL_ID": f"{group}-{number}"}
        self.command, self.environment, self.starts = command, {**os.environ, **names}, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=sys.stderr)
        self.starts += 1

    def look_after(self):
        """Starts it again if it has ended."""
        if self.process.poll() is not None:
            self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()


def fill(source):
    producer = ck.Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "linger.ms": 5})
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(source, str(number).encode(), partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    equal(0, producer.flush(60), "records that could not be written")


def copied(group, source):
    """How many records the group has committed; those of undecided transactions do not count."""
    places = [ck.TopicPartition(source, partition) for partition in range(PARTITIONS)]
    consumer = ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "isolation.level": "read_committed"})
    try:
        return sum(max(at.offset, 0) for at in consumer.committed(places, 10))
    except ck.KafkaException:
        return -1  # the broker may be on its way
    finally:
        consumer.close()


def read_committed(target):
    """All values of each partition up to its end, by a consumer of its own."""
    settings = {"bootstrap.servers": BOOTSTRAP, "group.id": unique("count"), "isolation.level": "read_committed"}
    consumer = ck.Consumer({**settings, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([ck.TopicPartition(target, partition, 0) for partition in range(PARTITIONS)])
    values, ends = {partition: [] for partition in range(PARTITIONS)}, set()
    deadline = time.monotonic() + PATIENCE
    while len(ends) < PARTITIONS:
        assert time.monotonic() < deadline, f"partitions without an end: {set(values) - ends}"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            equal(ck.KafkaError._PARTITION_EOF, message.error().code(), "error of the reader")
            ends.add(message.partition())
        else:
            values[message.partition()].append(int(message.value()))
    consumer.close()
    return values


def exactly_once(language, command):
    source, target, group = unique("source"), unique("target"), unique(f"loop-{language}")
    admin = ca.AdminClient({"bootstrap.servers": BOOTSTRAP})
    for made in admin.create_topics([ca.NewTopic(name, PARTITIONS, 1) for name in (source, target)]).values():
        made.result(30)
    fill(source)
    copiers = [Copier(command, group, source, target, number) for number in range(1 if language in ALONE else 2)]

    def progress(least):
        def check():
            for copier in copiers:
                copier.look_after()
            return copied(group, source) >= least

        eventually(f"{least} records are copied", check, PATIENCE)

    try:
        # Who is killed when, in shares of the way.
        for share, victim in ((0.05, 0), (0.2, "broker"), (0.35, -1), (0.5, "broker"), (0.65, 0), (0.8, "broker")):
            progress(int(RECORDS * share))
            if victim == "broker":
                control("kill9")
                control("start")
            else:
                copiers[victim].kill()
                copiers[victim].start()
        progress(RECORDS)
    finally:
        for copier in copiers:
            copier.kill()
    for partition, values in read_committed(target).items():
        there, expected = sorted(values), list(range(partition, RECORDS, PARTITIONS))
        note = f"partition {partition}: {len(there)} records, {len(set(there))} different, {len(expected)} expected"
        assert there == expected, note
    print(f"{language}: {RECORDS} records, copiers started {[copier.starts for copier in copiers]} times")


def main():
    for language, command in json.loads(os.environ["COPIERS"]).items():
        Suite(language).promise("transaction-loop", lambda: exactly_once(language, command), "transactions")


if __name__ == "__main__":
    main()
