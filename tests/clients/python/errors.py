"""What is refused, with Kafka's codes."""

import random

from admins import refused
from reading import made
from suite import equal, unique


def unknown_topic(client):
    none = unique("none")
    refused(3, lambda: client.delete_topic(none))
    refused(3, lambda: client.create_partitions(none, 2))
    if client.name != "kafka-python":  # it describes what is not there as having no configuration
        refused(3, lambda: client.configs(none))
    assert none not in client.topics(), "asking did not create it"


def invalid_topic(client):
    refused(17, lambda: client.create_topic("bad/topic"))
    refused(17, lambda: client.create_topic(".."))
    refused(17, lambda: client.create_topic("x" * 250))


def topic_exists(client):
    topic = made(client, "exists")
    refused(36, lambda: client.create_topic(topic))


def too_large(client):
    topic = made(client, "too-large", configs={"max.message.bytes": "1000"})
    producer = client.producer()
    equal(0, producer.send(topic, 0, bytes(500)).result(30).offset, "offset of a record that fits")
    refused(10, lambda: producer.send(topic, 0, random.Random(7).randbytes(5000)).result(30))
    equal(1, producer.send(topic, 0, bytes(500)).result(30).offset, "offset of the record after the refused one")
    producer.close()


def invalid_partitions(client):
    topic = made(client, "partitions", 3)
    refused(38, lambda: client.create_topic(unique("two"), replicas=2))
    refused(37, lambda: client.create_partitions(topic, 3))
    refused(37, lambda: client.create_partitions(topic, 2))


def invalid_config(client):
    topic = made(client, "config")
    refused(40, lambda: client.alter_config(topic, "set", "retention.minutes", "1"))
    refused(40, lambda: client.alter_config(topic, "set", "retention.ms", "many"))
    refused(40, lambda: client.create_topic(unique("refused"), configs={"segment.bytes": "1"}))


PROMISES = {
    "error-unknown-topic": unknown_topic,
    "error-invalid-topic": invalid_topic,
    "error-topic-exists": topic_exists,
    "error-too-large": too_large,
    "error-invalid-partitions": invalid_partitions,
    "error-invalid-config": invalid_config,
}
