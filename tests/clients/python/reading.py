"""Reading that waits for what must come."""

import time

from suite import PATIENCE, eventually, unique


def made(client, stem: str, partitions: int = 1, **options) -> str:
    """A new topic that is listed."""
    topic = unique(stem)
    client.create_topic(topic, partitions, **options)
    eventually("the topic is listed", lambda: topic in client.topics() and client.partitions(topic) == partitions)
    return topic


def take(consumer, count: int) -> list:
    """Polls until `count` records came, at least."""
    records, deadline = [], time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        records += consumer.poll()
    return records


def read_all(client, topic: str, partitions: int = 1, **options) -> list:
    """All records of a topic, from its beginnings to where its ends are now; order is kept within a partition.

    Where the ends are is asked of a reader of everything; a reader of committed records alone may see the last of them.
    """
    consumer = client.consumer(**options)
    try:
        consumer.assign(topic, range(partitions))
        ends = [consumer.ends(topic, partition)[1] for partition in range(partitions)]
        begins = [consumer.ends(topic, partition)[0] for partition in range(partitions)]
        reached, records, deadline = begins, [], time.monotonic() + PATIENCE
        while any(at < end for at, end in zip(reached, ends, strict=True)):
            assert time.monotonic() < deadline, f"the ends {ends} were not reached, only {reached}"
            for record in consumer.poll():
                records.append(record)
                reached[record.partition] = record.offset + 1
        return records
    finally:
        consumer.close()


def values(records) -> list:
    return [record.value for record in records]


def numbers(start: int, end: int) -> list:
    return [str(number).encode() for number in range(start, end)]


def send_numbers(client, topic: str, start: int, end: int, partition: int = 0) -> None:
    """Sends b"start" … to one partition, and waits for the acks."""
    producer = client.producer(linger_ms=5)
    answers = [producer.send(topic, partition, value) for value in numbers(start, end)]
    producer.flush()
    for answer in answers:
        answer.result(30)
    producer.close()
