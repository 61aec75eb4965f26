"""What goes in comes out: codecs, shapes of records, time stamps, acks."""

import random
import time

from reading import made, numbers, read_all, take, values
from suite import equal, unique

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BASE = 1_600_000_000_000


def roundtrip(client, codec):
    topic = made(client, f"roundtrip-{codec}", 3)
    producer = client.producer(codec=codec, linger_ms=5)
    sent, answers = [], []
    for i in range(3000):
        key, value = f"key {i}".encode(), f"value {i} {'of the gorge ' * (i % 30)}".encode()
        answers.append(producer.send(topic, i % 3, value, key))
        sent.append((key, value))
    producer.flush()
    places = {answer.result(30)[:2]: record for answer, record in zip(answers, sent, strict=True)}
    producer.close()
    got = read_all(client, topic, 3)
    equal(len(sent), len(got), "records")
    equal(places, {(record.partition, record.offset): (record.key, record.value) for record in got}, "records by place")


def shapes(client):
    topic = made(client, "shapes")
    large = random.Random(7).randbytes(1_000_000)
    headers = [("twice", b"a"), ("twice", b"b"), ("", b"")] + [("null", None)] * client.null_headers
    sent = [
        (None, b"no key", []),
        (b"no value", None, []),
        (b"", b"", []),
        ("Schlüssel 水".encode(), large, []),
        (b"headers", b"four", headers),
    ]
    producer = client.producer()
    for key, value, record_headers in sent:
        producer.send(topic, 0, value, key, record_headers).result(30)
    producer.close()
    equal(sent, [(record.key, record.value, record.headers) for record in read_all(client, topic)], "records")


def timestamps(client):
    given = made(client, "create-time", configs={"retention.ms": "-1"})
    producer = client.producer()
    for i in range(10):
        producer.send(given, 0, b"v", timestamp=BASE + i * 7).result(30)
    expected = [(BASE + i * 7, False) for i in range(10)]
    equal(expected, [(record.timestamp, record.appended) for record in read_all(client, given)], "time stamps given")
    taken = made(client, "append-time", configs={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    producer.send(taken, 0, b"v", timestamp=BASE).result(30)
    after = int(time.time() * 1000)
    producer.close()
    (record,) = read_all(client, taken)
    assert record.appended and before <= record.timestamp <= after, f"{record.timestamp} is the time of the append"


def acks(client, level):
    topic = made(client, f"acks-{level}")
    producer = client.producer(acks=level)
    answers = [producer.send(topic, 0, value) for value in numbers(0, 500)]
    producer.flush()
    if level != "0":
        equal(list(range(500)), [answer.result(30).offset for answer in answers], "offsets answered")
    consumer = client.consumer()
    consumer.assign(topic, [0])
    equal(numbers(0, 500), values(take(consumer, 500)), "values")
    consumer.close()
    producer.close()


def auto_create(client):
    topic = unique("made-by-use")
    producer = client.producer()
    equal(0, producer.send(topic, 0, b"first").result(30).offset, "offset")
    producer.close()
    equal([b"first"], values(read_all(client, topic)), "values")


PROMISES = {
    **{f"roundtrip-{codec}": lambda client, codec=codec: roundtrip(client, codec) for codec in CODECS},
    "record-shapes": shapes,
    "timestamps": timestamps,
    **{f"acks-{level}": lambda client, level=level: acks(client, level) for level in ("0", "1", "all")},
    "auto-create": auto_create,
}
