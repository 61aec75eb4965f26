"""aiokafka: a loop on a thread of its own runs its coroutines, and the promises wait for them."""

import asyncio
import inspect
import threading
import time

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from . import Ack, Record, Refused

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def run(awaitable, seconds=90):
    """The answer of a coroutine; the client's errors that have Kafka's code become Refused."""

    async def answer():
        return await awaitable if inspect.isawaitable(awaitable) else awaitable

    try:
        return asyncio.run_coroutine_threadsafe(answer(), _loop).result(seconds)
    except KafkaError as error:
        if getattr(error, "errno", 0):
            raise Refused(error.errno, str(error)) from error
        raise


async def _made(make):
    """Objects of aiokafka must be made where the loop runs."""
    made = make()
    await made.start()
    return made


def _refuse(errors) -> None:
    for _, code, *message in errors:
        if code:
            raise Refused(code, (message or [""])[0])


class Client:
    name = "aiokafka"
    lacks = {
        "admin-groups": "aiokafka cannot delete groups",
        "admin-group-offsets": "aiokafka cannot alter a group's offsets",
        "admin-log-dirs": "aiokafka has no DescribeLogDirs",
        "admin-quorum": "aiokafka has no DescribeQuorum",
        "admin-producers": "aiokafka has no DescribeProducers",
        "admin-features": "aiokafka has no way to describe features",
        "admin-elect-leaders": "aiokafka has no ElectLeaders",
        "admin-reassignments": "aiokafka has no partition reassignments",
        "max-timestamp": "aiokafka asks ListOffsets for earliest, latest and times alone",
    }

    null_headers = True
    hides_refusals = True  # of a coordinator that is not ready yet: it then says that nothing is committed

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self._admin = None

    @property
    def admin(self):
        if self._admin is None:
            self._admin = run(_made(lambda: AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)))
        return self._admin

    def close(self):
        if self._admin:
            run(self._admin.close())

    def producer(self, **options):
        return Producer(self.bootstrap, **options)

    def consumer(self, **options):
        return Consumer(self.bootstrap, self.admin, **options)

    def create_topic(self, name, partitions=1, configs=None, replicas=1):
        topic = NewTopic(name, partitions, replicas, topic_configs=configs or {})
        _refuse(run(self.admin.create_topics([topic])).topic_errors)

    def delete_topic(self, name):
        _refuse(run(self.admin.delete_topics([name])).topic_error_codes)

    def create_partitions(self, name, total):
        _refuse(run(self.admin.create_partitions({name: NewPartitions(total)})).topic_errors)

    def topics(self):
        return set(run(self.admin.list_topics()))

    def partitions(self, name):
        return len(run(self.admin.describe_topics([name]))[0]["partitions"])

    def configs(self, topic):
        answer = run(self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0]
        code, message, *_, entries = answer.resources[0]
        _refuse([(topic, code, message)])
        return {entry[0]: entry[1] for entry in entries}

    def alter_config(self, topic, op, key, value):
        change = ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})
        code, message, *_ = run(self.admin.alter_configs([change]))[0].resources[0]
        _refuse([(topic, code, message)])

    def delete_records(self, topic, partition, offset):
        at = TopicPartition(topic, partition)
        return run(self.admin.delete_records({at: RecordsToDelete(offset)}))[at]

    def cluster(self):
        described = run(self.admin.describe_cluster())
        nodes = {node["node_id"]: f"{node['host']}:{node['port']}" for node in described["brokers"]}
        return described["cluster_id"], described["controller_id"], nodes

    def list_offset(self, topic, partition, spec):
        consumer = self.consumer()
        try:
            return consumer.ends(topic, partition)[spec == "latest"]
        finally:
            consumer.close()


class Producer:
    def __init__(self, bootstrap, acks="all", codec="none", idempotent=False, linger_ms=0, transactional_id=None):
        self.producer = run(
            _made(
                lambda: aiokafka.AIOKafkaProducer(
                    bootstrap_servers=bootstrap,
                    acks=acks if acks == "all" else int(acks),
                    compression_type=None if codec == "none" else codec,
                    enable_idempotence=idempotent or transactional_id is not None,
                    transactional_id=transactional_id,
                    linger_ms=linger_ms,
                    max_request_size=2_000_000,
                )
            )
        )

    def send(self, topic, partition, value, key=None, headers=(), timestamp=None):
        async def send():
            return await self.producer.send(topic, value, key, partition, timestamp, list(headers))

        return _Answer(run(send()))

    def send_lines(self, topic, partitions, lines):
        async def send():
            last = None
            for number, line in enumerate(lines):
                last = await self.producer.send(topic, line, partition=number % partitions)
            await self.producer.flush()
            await last

        run(send(), 240)

    def flush(self):
        run(self.producer.flush())

    def poll(self):
        pass

    def close(self):
        run(self.producer.stop())

    def init_transactions(self):
        pass  # start did it

    def begin(self):
        run(self.producer.begin_transaction())

    def commit(self):
        run(self.producer.commit_transaction())

    def abort(self):
        run(self.producer.abort_transaction())

    def send_offsets(self, consumer, topic, offsets):
        places = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        run(self.producer.send_offsets_to_transaction(places, consumer.group))


class _Answer:
    """aiokafka's future in the words of concurrent.futures."""

    def __init__(self, future):
        self.future = future

    def done(self):
        return self.future.done()

    def result(self, seconds=90):
        at = run(asyncio.wait_for(asyncio.shield(self.future), seconds), seconds + 1)
        return Ack(at.partition, at.offset, at.timestamp) if at else Ack(-1, -1, -1)


class Consumer:
    def __init__(self, bootstrap, admin, group=None, start="earliest", instance=None, isolation="read_uncommitted", client_id="klamm"):
        self.group, self.admin = group, admin
        self.consumer = run(
            _made(
                lambda: aiokafka.AIOKafkaConsumer(
                    bootstrap_servers=bootstrap,
                    group_id=group,
                    group_instance_id=instance,
                    client_id=client_id,
                    auto_offset_reset=start,
                    enable_auto_commit=False,
                    isolation_level=isolation,
                    heartbeat_interval_ms=300,
                    session_timeout_ms=10_000,
                    fetch_max_wait_ms=100,
                    max_partition_fetch_bytes=2_000_000,
                )
            )
        )
        self.topic = None

    def _call(self, method, *arguments):
        """Some of the methods are plain, yet touch what belongs to the loop."""

        async def call():
            answer = getattr(self.consumer, method)(*arguments)
            return await answer if inspect.isawaitable(answer) else answer

        return run(call())

    def assign(self, topic, partitions):
        self.topic = topic
        self._call("assign", [TopicPartition(topic, partition) for partition in partitions])

    def subscribe(self, topic):
        self.topic = topic
        self._call("subscribe", [topic])

    def _messages(self, seconds, limit):
        async def get():
            return await self.consumer.getmany(timeout_ms=int(seconds * 1000), max_records=limit)

        for messages in run(get()).values():
            yield from messages

    def poll(self, seconds=0.2, limit=5000):
        return [
            Record(m.partition, m.offset, m.timestamp, m.timestamp_type == 1, m.key, m.value, list(m.headers))
            for m in self._messages(seconds, limit)
        ]

    def poll_values(self):
        return [(message.partition, message.value) for message in self._messages(0.2, 10_000)]

    def seek(self, partition, offset):
        self._call("seek", TopicPartition(self.topic, partition), offset)

    def seek_to_end(self, partition):
        self._call("seek_to_end", TopicPartition(self.topic, partition))

    def position(self, partition):
        return self._call("position", TopicPartition(self.topic, partition))

    def commit(self, offsets, metadata=""):
        places = {TopicPartition(self.topic, partition): OffsetAndMetadata(offset, metadata) for partition, offset in offsets.items()}
        self._call("commit", places)

    def committed(self, topic, partition):
        """The consumer tells the offset, the admin client its metadata too."""
        at = TopicPartition(topic, partition)
        offset = self._call("committed", at)
        if offset is None:
            return None
        found, deadline = {}, time.monotonic() + 30
        while at not in found:  # the admin client drops what a coordinator refuses that is not ready yet
            assert time.monotonic() < deadline, "the admin client does not list the offset"
            found = run(self.admin.list_consumer_group_offsets(self.group, partitions=[at]))
        return offset, found[at].metadata

    def offset_for_time(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        found = self._call("offsets_for_times", {at: timestamp})[at]
        return None if found is None else found.offset

    def ends(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self._call("beginning_offsets", [at])[at], self._call("end_offsets", [at])[at]

    def owned(self):
        return {at.partition for at in self._call("assignment")}

    def close(self):
        self._call("stop")
