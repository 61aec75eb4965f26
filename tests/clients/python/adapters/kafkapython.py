"""kafka-python."""

import re

import kafka
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata, TopicPartition

import suite

from . import Ack, Group, Record, Refused


def _refuse(error) -> None:
    """`error` as the client gives it: a class, a code, or words with either; nothing is raised for none."""
    if isinstance(error, str):
        numbered = re.match(r"\[Error (\d+)\]", error)
        code = int(numbered[1]) if numbered else getattr(kafka.errors, error, NoError).errno
    else:
        code = error if isinstance(error, int) else getattr(error, "errno", 0)
    if code:
        raise Refused(code, str(error))


class Asking:
    """Turns the client's errors that have Kafka's code into Refused."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, KafkaError) and getattr(error, "errno", 0):
            raise Refused(error.errno, str(error)) from error
        return False


class Client:
    name = "kafka-python"
    lacks = {}
    null_headers = False
    hides_refusals = False

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self._admin = None

    @property
    def admin(self):
        """Its admin client does not find back to a broker that was away, so there is one for each of the broker's lives."""
        if self._admin is None or self._life != suite.lives:
            self.close()
            self._admin, self._life = kafka.KafkaAdminClient(bootstrap_servers=self.bootstrap), suite.lives
        return self._admin

    def close(self):
        if self._admin:
            self._admin.close()

    def producer(self, **options):
        return Producer(self.bootstrap, **options)

    def consumer(self, **options):
        return Consumer(self.bootstrap, **options)

    def create_topic(self, name, partitions=1, configs=None, replicas=1):
        with Asking():
            self.admin.create_topics(
                {name: {"num_partitions": partitions, "replication_factor": replicas, "configs": configs or {}}}, wait_for_metadata=True
            )

    def delete_topic(self, name):
        with Asking():
            self.admin.delete_topics([name])

    def create_partitions(self, name, total):
        with Asking():
            self.admin.create_partitions({name: total})

    def topics(self):
        return set(self.admin.list_topics())

    def partitions(self, name):
        return len(self.admin.describe_topics([name])[0]["partitions"])

    def configs(self, topic):
        with Asking():
            asked = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, None)], config_filter="all")
        (found,) = (named for kind in asked.values() for named in kind.values())
        return {key: entry["value"] for key, entry in found.items()}

    def alter_config(self, topic, op, key, value):
        with Asking():
            change = ConfigResource(ConfigResourceType.TOPIC, topic, {key: (op.upper(), value)})
            asked = self.admin.alter_configs([change], raise_on_unknown=False, incremental=True)
        for kind in asked.values():
            for answer in kind.values():
                _refuse(answer)

    def groups(self):
        return {group["group_id"] for group in self.admin.list_groups()}

    def describe_group(self, group):
        described = self.admin.describe_groups([group])[group]
        members = described["members"]
        assigned = set()
        for member in members:
            for topic in (member["member_assignment"] or {}).get("assigned_partitions", []):
                assigned.update(topic["partitions"])
        return Group(str(described["group_state"]), [member["client_id"] for member in members], assigned)

    def delete_group(self, group):
        with Asking():
            asked = self.admin.delete_groups([group])
        for error in dict(asked).values():
            _refuse(error)

    def group_offsets(self, group, topic):
        found = self.admin.list_group_offsets({group: None})[group]
        return {at.partition: offset.offset for at, offset in found.items() if at.topic == topic}

    def alter_group_offsets(self, group, topic, offsets):
        asked = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        for error in self.admin.alter_group_offsets(group, asked).values():
            _refuse(error)

    def delete_records(self, topic, partition, offset):
        at = TopicPartition(topic, partition)
        with Asking():
            return self.admin.delete_records({at: offset})[at]["low_watermark"]

    def list_offset(self, topic, partition, spec):
        at = TopicPartition(topic, partition)
        kinds = {"earliest": -2, "latest": -1, "max-timestamp": -3}
        return self.admin.list_partition_offsets({at: kinds[spec]})[at].offset

    def cluster(self):
        described = self.admin.describe_cluster()
        nodes = {node["broker_id"]: f"{node['host']}:{node['port']}" for node in described["brokers"]}
        return described["cluster_id"], described["controller_id"], nodes

    def elect_leaders(self, topic):
        with Asking():
            asked = self.admin.elect_leaders(0, {topic: [0]}, raise_errors=False)
        for result in asked.replica_election_results:
            for partition in result.partition_result:
                _refuse(partition.error_code)

    def log_dir_size(self, topic):
        for broker in self.admin.describe_log_dirs({topic: [0]}):
            for folder in broker["log_dirs"] if "log_dirs" in broker else broker["results"]:
                for found in folder["topics"]:
                    if found["name"] == topic:
                        return found["partitions"][0]["partition_size"]
        return None

    def quorum(self):
        described = self.admin.describe_metadata_quorum()
        topics = described["topics"]
        partition = topics[0]["partitions"][0]
        return partition["leader_id"], [voter["replica_id"] for voter in partition["current_voters"]]

    def features(self):
        return {name for name, feature in self.admin.describe_features().items() if "finalized" in feature}

    def active_producers(self, topic):
        at = TopicPartition(topic, 0)
        state = self.admin.describe_producers([at])[at]
        return [(producer.producer_epoch, producer.last_sequence) for producer in state.active_producers]

    def reassignments(self):
        return self.admin.list_partition_reassignments()


class Producer:
    def __init__(self, bootstrap, acks="all", codec="none", idempotent=False, linger_ms=0, transactional_id=None):
        options = {"transactional_id": transactional_id, "transaction_timeout_ms": 60_000} if transactional_id else {}
        self.producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks if acks == "all" else int(acks),
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent or transactional_id is not None,
            linger_ms=linger_ms,
            delivery_timeout_ms=90_000,
            max_block_ms=90_000,
            max_request_size=2_000_000,
            **options,
        )

    def send(self, topic, partition, value, key=None, headers=(), timestamp=None):
        return _Answer(self.producer.send(topic, value, key, list(headers), partition, timestamp))

    def send_lines(self, topic, partitions, lines):
        last = None
        for number, line in enumerate(lines):
            last = self.producer.send(topic, line, partition=number % partitions)
        self.flush()
        assert last.succeeded(), f"the last line was refused: {last.exception}"

    def flush(self):
        self.producer.flush(90)

    def poll(self):
        pass

    def close(self):
        self.producer.close(30)

    def init_transactions(self):
        self.producer.init_transactions()

    def begin(self):
        self.producer.begin_transaction()

    def commit(self):
        self.producer.commit_transaction()

    def abort(self):
        self.producer.abort_transaction()

    def send_offsets(self, consumer, topic, offsets):
        places = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        self.producer.send_offsets_to_transaction(places, consumer.consumer.group_metadata())


class _Answer:
    """kafka-python's future in the words of concurrent.futures."""

    def __init__(self, future):
        self.future = future

    def done(self):
        return self.future.is_done

    def result(self, seconds=30):
        with Asking():
            at = self.future.get(seconds)
        return Ack(at.partition, at.offset, at.timestamp)


class Consumer:
    def __init__(self, bootstrap, group=None, start="earliest", instance=None, isolation="read_uncommitted", client_id="klamm"):
        self.consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id=instance,
            client_id=client_id,
            auto_offset_reset=start,
            enable_auto_commit=False,
            isolation_level=isolation,
            heartbeat_interval_ms=300,
            session_timeout_ms=10_000,
            max_partition_fetch_bytes=2_000_000,
            allow_auto_create_topics=False,
        )
        self.topic = None

    def assign(self, topic, partitions):
        self.topic = topic
        self.consumer.assign([TopicPartition(topic, partition) for partition in partitions])

    def subscribe(self, topic):
        """The partitions are known before it joins. If it hears of them later, as the leader of its group, it joins again; and if
        the poll at hand ends before the coordinator's answer, it forgets that it did: it neither takes what it was assigned nor
        sends heartbeats (3.0.12: `need_rejoin` compares snapshots that the join under way has made equal)."""
        self.topic = topic
        self.consumer.subscribe([topic])
        assert self.consumer.partitions_for_topic(topic), f"no partitions of {topic}"

    def _messages(self, seconds, limit):
        with Asking():
            for messages in self.consumer.poll(int(seconds * 1000), max_records=limit).values():
                yield from messages

    def poll(self, seconds=0.2, limit=5000):
        return [
            Record(m.partition, m.offset, m.timestamp, m.timestamp_type == 1, m.key, m.value, list(m.headers))
            for m in self._messages(seconds, limit)
        ]

    def poll_values(self):
        return [(message.partition, message.value) for message in self._messages(0.2, 10_000)]

    def seek(self, partition, offset):
        self.consumer.seek(TopicPartition(self.topic, partition), offset)

    def seek_to_end(self, partition):
        self.consumer.seek_to_end(TopicPartition(self.topic, partition))

    def position(self, partition):
        return self.consumer.position(TopicPartition(self.topic, partition))

    def commit(self, offsets, metadata=""):
        places = {TopicPartition(self.topic, partition): OffsetAndMetadata(offset, metadata, -1) for partition, offset in offsets.items()}
        with Asking():
            self.consumer.commit(places)

    def committed(self, topic, partition):
        at = self.consumer.committed(TopicPartition(topic, partition), metadata=True)
        return None if at is None else (at.offset, at.metadata)

    def offset_for_time(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        found = self.consumer.offsets_for_times({at: timestamp})[at]
        return None if found is None else found.offset

    def ends(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.consumer.beginning_offsets([at])[at], self.consumer.end_offsets([at])[at]

    def owned(self):
        return {at.partition for at in self.consumer.assignment()}

    def close(self):
        self.consumer.close()
