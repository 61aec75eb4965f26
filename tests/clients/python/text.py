"""A text file, a line a record, comes out as it went in.

The file is a few hundred MB for librdkafka; the clients written in Python take minutes for that, so they carry its
first part.
"""

import os
import time

from reading import made
from suite import QUICK

PARTITIONS = 4
MEGABYTES = {"librdkafka": 300, "kafka-python": 30, "aiokafka": 30}
CODECS = {"librdkafka": "lz4", "kafka-python": "gzip", "aiokafka": "snappy"}
LIMIT = 200


def lines(client):
    left = MEGABYTES[client.name] * (100_000 if QUICK else 1_000_000)
    with open(os.environ["TEXT"], "rb") as file:
        for line in file:
            left -= len(line)
            if left < 0:
                return
            yield line.removesuffix(b"\n")


def text(client):
    topic = made(client, "text", PARTITIONS)
    producer = client.producer(codec=CODECS[client.name], linger_ms=20)
    producer.send_lines(topic, PARTITIONS, lines(client))
    producer.close()
    consumer = client.consumer()
    consumer.assign(topic, range(PARTITIONS))
    count = sum(1 for _ in lines(client))
    came, numbers, deadline = [[] for _ in range(PARTITIONS)], 0, time.monotonic() + LIMIT
    while numbers < count:
        assert time.monotonic() < deadline, f"only {numbers} of {count} lines came"
        for partition, value in consumer.poll_values():
            came[partition].append(value)
            numbers += 1
    consumer.close()
    for number, line in enumerate(lines(client)):
        got = came[number % PARTITIONS][number // PARTITIONS]
        assert got == line, f"line {number}: sent {line[:60]!r}, got {got[:60]!r}"
    assert numbers == count, f"{numbers} lines came, {count} were sent"


PROMISES = {"text": text}
