"""Topics by way of librdkafka, which shares no code with the frameworks: made, filled, read to their end, asked about."""

import os
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from patience import PATIENCE, eventually

BOOTSTRAP = os.environ["BOOTSTRAP"]


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: str | bytes | None
    value: str | bytes | None
    time: int
    headers: tuple


@cache
def admin(bootstrap: str = BOOTSTRAP) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500})


def _persistent(ask):
    """What is asked while a broker comes back may be answered with an error that passes."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except KafkaException:
            if monotonic() > deadline:
                raise


def create(topic: str, partitions: int = 1, bootstrap: str = BOOTSTRAP, **config: str) -> str:
    words = {key.replace("_", "."): value for key, value in config.items()}
    future = admin(bootstrap).create_topics([NewTopic(topic, partitions, 1, config=words)])[topic]
    future.result(30)
    return topic


def names(bootstrap: str = BOOTSTRAP) -> set:
    return set(admin(bootstrap).list_topics(timeout=30).topics)


def partitions(topic: str, bootstrap: str = BOOTSTRAP) -> list:
    return sorted(_persistent(lambda: admin(bootstrap).list_topics(topic, timeout=30)).topics[topic].partitions)


def config(topic: str, bootstrap: str = BOOTSTRAP) -> dict:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin(bootstrap).describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in entries.items()}


def configure(topic: str, bootstrap: str = BOOTSTRAP, **config: str) -> None:
    change = AlterConfigOpType.SET
    entries = [ConfigEntry(key.replace("_", "."), value, incremental_operation=change) for key, value in config.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin(bootstrap).incremental_alter_configs([resource])[resource].result(30)


def widen(topic: str, partitions: int, bootstrap: str = BOOTSTRAP) -> None:
    admin(bootstrap).create_partitions([NewPartitions(topic, partitions)])[topic].result(30)


def write(topic: str, records, bootstrap: str = BOOTSTRAP) -> None:
    """Writes (key, value, time, headers…) once each, and returns when all are acknowledged."""
    # Records that are joined must lie in the partition where Java's producer would have put them.
    settings = {"enable.idempotence": True, "linger.ms": 5, "partitioner": "murmur2_random"}
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    failures = []

    def delivered(error, _):
        if error:
            failures.append(error)

    for key, value, time, *rest in records:
        options = {"partition": rest[0]} if rest else {}
        if len(rest) > 1:
            options["headers"] = rest[1]
        while True:
            try:
                producer.produce(topic, key=key, value=value, timestamp=time, on_delivery=delivered, **options)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0 and not failures, f"not written to {topic}: {failures[:3]}"


def offsets(topic: str, bootstrap: str = BOOTSTRAP, committed: bool = True) -> dict:
    """The end of each partition: for a reader of what is committed (the last stable offset), or of everything."""
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED

    def ask():
        wanted = {TopicPartition(topic, part): OffsetSpec.latest() for part in partitions(topic, bootstrap)}
        answers = admin(bootstrap).list_offsets(wanted, isolation_level=level, request_timeout=30)
        return {place.partition: future.result(30).offset for place, future in answers.items()}

    return _persistent(ask)


def committed(group: str, bootstrap: str = BOOTSTRAP) -> dict:
    """What a group has committed, by topic and partition."""

    def ask():
        return admin(bootstrap).list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(30)

    answer = _persistent(ask)
    return {(place.topic, place.partition): place.offset for place in answer.topic_partitions if place.offset >= 0}


def settled(*topics: str, bootstrap: str = BOOTSTRAP) -> None:
    """No transaction is left open on these topics, or ever will be: what was open at a kill has timed out."""
    for topic in topics:

        def closed(topic: str = topic) -> bool:
            return offsets(topic, bootstrap) == offsets(topic, bootstrap, committed=False)

        eventually(f"no transaction open on {topic}", closed)


class Reader:
    """Reads what is committed in all partitions of a topic, from the first record on, each time to the end as it is then."""

    def __init__(self, topic: str, bootstrap: str = BOOTSTRAP, text: bool = True):
        self.topic, self.records = topic, []
        self.make = _record if text else _plain
        self.bootstrap = bootstrap
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        self.reached = {part: 0 for part in partitions(topic, bootstrap)}
        self.consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in self.reached])

    def read(self) -> list:
        """Everything up to the last stable offsets of now, and what was read before."""
        ends = offsets(self.topic, self.bootstrap)
        while any(self.reached[part] < end for part, end in ends.items()):
            for message in self.consumer.consume(1000, timeout=0.2):
                if message.error() is None:
                    self.records.append(self.make(message))
                    self.reached[message.partition()] = message.offset() + 1
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    self.reached[message.partition()] = message.offset()
                elif message.error().code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
                    raise KafkaException(message.error())
        return self.records

    def close(self) -> None:
        self.consumer.close()


def _plain(message) -> Record:
    place = message.partition(), message.offset()
    return Record(*place, message.key(), message.value(), message.timestamp()[1], tuple(message.headers() or ()))


def _record(message) -> Record:
    plain = _plain(message)
    return replace(plain, key=_text(plain.key), value=_text(plain.value))


def _text(word: bytes | None) -> str | None:
    return None if word is None else word.decode()
