"""librdkafka, through confluent-kafka."""

import time

import confluent_kafka as ck
from confluent_kafka import admin as ca

from . import Ack, Group, Record, Refused


def _refused(error: ck.KafkaError) -> Refused:
    return Refused(error.code(), error.str())


def _result(future):
    try:
        return future.result(30)
    except ck.KafkaException as error:
        raise _refused(error.args[0]) from None


class Client:
    name = "librdkafka"
    lacks = {
        "admin-log-dirs": "librdkafka has no DescribeLogDirs",
        "admin-quorum": "librdkafka has no DescribeQuorum",
        "admin-producers": "librdkafka has no DescribeProducers",
        "admin-features": "librdkafka has no way to describe features",
        "admin-reassignments": "librdkafka has no partition reassignments",
    }

    null_headers = True
    hides_refusals = False

    def __init__(self, bootstrap: str):
        self.bootstrap = bootstrap
        self.admin = ca.AdminClient({"bootstrap.servers": bootstrap})

    def close(self):
        pass

    def producer(self, **options):
        return Producer(self.bootstrap, **options)

    def consumer(self, **options):
        return Consumer(self.bootstrap, **options)

    def create_topic(self, name, partitions=1, configs=None, replicas=1):
        topic = ca.NewTopic(name, partitions, replicas, config=configs or {})
        _result(self.admin.create_topics([topic], request_timeout=30)[name])

    def delete_topic(self, name):
        _result(self.admin.delete_topics([name], request_timeout=30)[name])

    def create_partitions(self, name, total):
        _result(self.admin.create_partitions([ca.NewPartitions(name, total)], request_timeout=30)[name])

    def topics(self):
        return set(self.admin.list_topics(timeout=30).topics)

    def partitions(self, name):
        return len(self.admin.list_topics(name, timeout=30).topics[name].partitions)

    def configs(self, topic):
        resource = ca.ConfigResource(ca.ConfigResource.Type.TOPIC, topic)
        entries = _result(self.admin.describe_configs([resource], request_timeout=30)[resource])
        return {name: entry.value for name, entry in entries.items()}

    def alter_config(self, topic, op, key, value):
        op = {"set": "SET", "append": "APPEND", "subtract": "SUBTRACT", "delete": "DELETE"}[op]
        entry = ca.ConfigEntry(key, value, incremental_operation=ca.AlterConfigOpType[op])
        resource = ca.ConfigResource(ca.ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        _result(self.admin.incremental_alter_configs([resource], request_timeout=30)[resource])

    def groups(self):
        return {group.group_id for group in _result(self.admin.list_consumer_groups(request_timeout=30)).valid}

    def describe_group(self, group):
        described = _result(self.admin.describe_consumer_groups([group], request_timeout=30)[group])
        assigned = {at.partition for member in described.members for at in member.assignment.topic_partitions}
        return Group(described.state.name.title(), [member.client_id for member in described.members], assigned)

    def delete_group(self, group):
        _result(self.admin.delete_consumer_groups([group], request_timeout=30)[group])

    def group_offsets(self, group, topic):
        asked = self.admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group)], request_timeout=30)
        return {at.partition: at.offset for at in _result(asked[group]).topic_partitions if at.topic == topic}

    def alter_group_offsets(self, group, topic, offsets):
        places = [ck.TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        asked = self.admin.alter_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(group, places)], request_timeout=30)
        for at in _result(asked[group]).topic_partitions:
            if at.error:
                raise _refused(at.error)

    def delete_records(self, topic, partition, offset):
        at = ck.TopicPartition(topic, partition, offset)
        return _result(self.admin.delete_records([at], request_timeout=30)[at]).low_watermark

    def list_offset(self, topic, partition, spec):
        kinds = {"earliest": ca.OffsetSpec.earliest, "latest": ca.OffsetSpec.latest, "max-timestamp": ca.OffsetSpec.max_timestamp}
        at = ck.TopicPartition(topic, partition)
        return _result(self.admin.list_offsets({at: kinds[spec]()}, request_timeout=30)[at]).offset

    def cluster(self):
        described = _result(self.admin.describe_cluster(request_timeout=30))
        return described.cluster_id, described.controller.id, {node.id: f"{node.host}:{node.port}" for node in described.nodes}

    def elect_leaders(self, topic):
        at = ck.TopicPartition(topic, 0)
        error = _result(self.admin.elect_leaders(ck.ElectionType.PREFERRED, [at]))[at]
        if error:
            raise _refused(error)


class Producer:
    def __init__(self, bootstrap, acks="all", codec="none", idempotent=False, linger_ms=0, transactional_id=None):
        config = {
            "bootstrap.servers": bootstrap,
            "acks": acks,
            "compression.type": codec,
            "linger.ms": linger_ms,
            "enable.idempotence": idempotent or transactional_id is not None,
            "message.timeout.ms": 90_000,
            "message.max.bytes": 2_000_000,
            "queue.buffering.max.messages": 200_000,
        }
        if transactional_id:
            config |= {"transactional.id": transactional_id, "transaction.timeout.ms": 60_000, "message.timeout.ms": 60_000}
        self.producer = ck.Producer(config)
        self.closed = False

    def send(self, topic, partition, value, key=None, headers=(), timestamp=None):
        answer = _Answer(self.producer)
        self.producer.produce(topic, value, key, partition, on_delivery=answer.delivered, timestamp=timestamp or 0, headers=list(headers))
        self.producer.poll(0)
        return answer

    def send_lines(self, topic, partitions, lines) -> None:
        failures = []

        def delivered(error, _):
            if error:
                failures.append(error)

        for number, line in enumerate(lines):
            try:
                self.producer.produce(topic, line, partition=number % partitions, on_delivery=delivered)
            except BufferError:
                self.producer.poll(0.5)
                self.producer.produce(topic, line, partition=number % partitions, on_delivery=delivered)
            if number % 1000 == 0:
                self.producer.poll(0)
        self.flush()
        if failures:
            raise _refused(failures[0])

    def flush(self):
        left = self.producer.flush(90)
        assert left == 0, f"{left} records were neither delivered nor refused"

    def poll(self):
        self.producer.poll(0.01)

    def close(self):
        self.flush()

    def init_transactions(self):
        self.producer.init_transactions(60)

    def begin(self):
        self.producer.begin_transaction()

    def commit(self):
        self.producer.commit_transaction(60)

    def abort(self):
        self.producer.abort_transaction(60)

    def send_offsets(self, consumer, topic, offsets):
        places = [ck.TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        self.producer.send_offsets_to_transaction(places, consumer.consumer.consumer_group_metadata(), 60)


class _Answer:
    """What became of one record; librdkafka tells only while it is polled."""

    def __init__(self, producer):
        self.producer, self.error, self.ack = producer, None, None

    def delivered(self, error, message):
        if error:
            self.error = error
        else:
            offset = message.offset()
            self.ack = Ack(message.partition(), -1 if offset is None or offset < 0 else offset, message.timestamp()[1])

    def done(self):
        return bool(self.error or self.ack)

    def result(self, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.done():
            assert time.monotonic() < deadline, f"a record was neither delivered nor refused within {seconds} s"
            self.producer.poll(0.05)
        if self.error:
            raise _refused(self.error)
        return self.ack


class Consumer:
    def __init__(self, bootstrap, group=None, start="earliest", instance=None, isolation="read_uncommitted", client_id="klamm"):
        config = {
            "bootstrap.servers": bootstrap,
            "group.id": group or "none",
            "client.id": client_id,
            "auto.offset.reset": start,
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "heartbeat.interval.ms": 300,
            "session.timeout.ms": 10_000,
            "fetch.wait.max.ms": 100,
            "allow.auto.create.topics": False,
        }
        if instance:
            config["group.instance.id"] = instance
        self.consumer = ck.Consumer(config)
        self.start = ck.OFFSET_END if start == "latest" else ck.OFFSET_BEGINNING
        self.topic = None

    def assign(self, topic, partitions):
        """From the beginning or the end, as `start` says; without a place librdkafka would ask for committed ones."""
        self.topic = topic
        self.consumer.assign([ck.TopicPartition(topic, partition, self.start) for partition in partitions])

    def subscribe(self, topic):
        self.topic = topic
        self.consumer.subscribe([topic])

    def poll(self, seconds=0.2, limit=5000):
        records = []
        for message in self.consumer.consume(limit, seconds):
            if message.error():
                raise _refused(message.error())
            kind, timestamp = message.timestamp()
            appended = kind == ck.TIMESTAMP_LOG_APPEND_TIME
            headers = message.headers() or []
            place = (message.partition(), message.offset(), timestamp, appended)
            records.append(Record(*place, message.key(), message.value(), headers))
        return records

    def poll_values(self):
        """Pairs of partition and value, as quick as the client can."""
        messages = self.consumer.consume(10_000, 0.2)
        for message in messages:
            if message.error():
                raise _refused(message.error())
        return [(message.partition(), message.value()) for message in messages]

    def seek(self, partition, offset):
        """Seeks; librdkafka can only once the partition is being fetched, which an assignment at the offset makes sure of."""
        self.consumer.assign([ck.TopicPartition(self.topic, partition, offset)])

    def seek_to_end(self, partition):
        self.consumer.assign([ck.TopicPartition(self.topic, partition, ck.OFFSET_END)])

    def position(self, partition):
        """Where the consumer stands; librdkafka knows it only once something was read."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            offset = self.consumer.position([ck.TopicPartition(self.topic, partition)])[0].offset
            if offset >= 0:
                return offset
            self.consumer.consume(1, 0.05)
        return None

    def commit(self, offsets, metadata=""):
        places = [ck.TopicPartition(self.topic, partition, offset, metadata) for partition, offset in offsets.items()]
        self.consumer.commit(offsets=places, asynchronous=False)

    def committed(self, topic, partition):
        try:
            at = self.consumer.committed([ck.TopicPartition(topic, partition)], 30)[0]
        except ck.KafkaException as error:
            raise _refused(error.args[0]) from None
        return None if at.offset < 0 else (at.offset, at.metadata or "")

    def offset_for_time(self, topic, partition, timestamp):
        at = self.consumer.offsets_for_times([ck.TopicPartition(topic, partition, timestamp)], 30)[0]
        return None if at.offset < 0 else at.offset

    def ends(self, topic, partition):
        return self.consumer.get_watermark_offsets(ck.TopicPartition(topic, partition), 30)

    def owned(self):
        return {at.partition for at in self.consumer.assignment()}

    def close(self):
        self.consumer.close()
