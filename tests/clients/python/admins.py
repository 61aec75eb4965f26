"""The admin client: topics, configurations, groups, what a cluster tells of itself."""

from adapters import Refused
from groups import Member, shared
from reading import made, numbers, read_all, send_numbers, take, values
from suite import equal, eventually, unique


def topics(client):
    topic = made(client, "topics", 3)
    eventually("the topic is listed", lambda: topic in client.topics())
    equal(3, client.partitions(topic), "partitions")
    client.create_partitions(topic, 5)
    eventually("five partitions", lambda: client.partitions(topic) == 5)
    send_numbers(client, topic, 0, 1, partition=4)
    client.delete_topic(topic)
    eventually("the topic is gone", lambda: topic not in client.topics())


def configs(client):
    topic = made(client, "configs", configs={"retention.ms": "3600000"})

    def becomes(key, value):
        """A broker may learn of a change after the controller answered."""
        eventually(f"{key} is {value}", lambda: client.configs(topic)[key] == value)

    becomes("retention.ms", "3600000")
    becomes("max.message.bytes", "1048588")
    client.alter_config(topic, "set", "segment.bytes", "2097152")
    becomes("segment.bytes", "2097152")
    if client.name == "aiokafka":  # it speaks AlterConfigs alone, which forgets what it does not name
        becomes("retention.ms", "604800000")
        return
    client.alter_config(topic, "append", "cleanup.policy", "compact")
    becomes("cleanup.policy", "delete,compact")
    client.alter_config(topic, "subtract", "cleanup.policy", "compact")
    becomes("cleanup.policy", "delete")
    client.alter_config(topic, "delete", "retention.ms", None)
    becomes("retention.ms", "604800000")


def delete_records(client):
    topic = made(client, "delete-records")
    send_numbers(client, topic, 0, 100)
    equal(30, client.delete_records(topic, 0, 30), "low watermark")
    equal(numbers(30, 100), values(read_all(client, topic)), "values left")
    try:
        client.delete_records(topic, 0, 101)
        raise AssertionError("deleting behind the end was not refused")
    except Refused as error:
        equal(1, error.code, "OFFSET_OUT_OF_RANGE")
    equal(100, client.delete_records(topic, 0, -1), "low watermark after deleting all")


def refused(code, call):
    try:
        call()
    except Refused as error:
        equal(code, error.code, "code of the refusal")
        return
    raise AssertionError(f"not refused with {code}")


def groups(client):
    topic, group = made(client, "groups", 2), unique("groups")
    member = Member(client, group, topic, set(), client_id="sealed")
    eventually("the member owns all", lambda: shared(2, member))
    eventually("the group is listed", lambda: group in client.groups())
    eventually("stable", lambda: client.describe_group(group) == ("Stable", ["sealed"], {0, 1}))
    refused(68, lambda: client.delete_group(group))
    member.close()
    eventually("empty", lambda: client.describe_group(group) == ("Empty", [], set()))
    client.delete_group(group)
    assert group not in client.groups(), "the group is gone"
    refused(69, lambda: client.delete_group(group))


def group_offsets(client):
    topic, group = made(client, "group-offsets", 2), unique("group-offsets")
    send_numbers(client, topic, 0, 10)
    client.alter_group_offsets(group, topic, {0: 7, 1: 0})
    equal({0: 7, 1: 0}, client.group_offsets(group, topic), "offsets")
    consumer = client.consumer(group=group)
    consumer.subscribe(topic)
    equal(numbers(7, 10), values(take(consumer, 3)), "values from the altered offset")
    consumer.close()


def cluster(client):
    identity, controller, nodes = client.cluster()
    equal([client.bootstrap], list(nodes.values()), "addresses")
    equal([controller], list(nodes), "controller")
    equal(22, len(identity), "length of the cluster id")


def elect_leaders(client):
    topic = made(client, "elect")
    refused(84, lambda: client.elect_leaders(topic))


def log_dirs(client):
    topic = made(client, "log-dirs")
    send_numbers(client, topic, 0, 100)
    assert client.log_dir_size(topic) > 500, "the replica has a size"


def quorum(client):
    _, controller, _ = client.cluster()
    equal((controller, [controller]), client.quorum(), "leader and voters")


def features(client):
    assert "metadata.version" in client.features(), "metadata.version is finalized"


def producers(client):
    topic = made(client, "producers")
    equal([], client.active_producers(topic), "producers before the first record")
    producer = client.producer(idempotent=True)
    for value in numbers(0, 5):
        producer.send(topic, 0, value).result(30)
    equal([(0, 4)], client.active_producers(topic), "epoch and last sequence")
    producer.close()


def reassignments(client):
    equal({}, client.reassignments(), "reassignments")


PROMISES = {
    "admin-topics": topics,
    "admin-configs": configs,
    "admin-delete-records": delete_records,
    "admin-groups": groups,
    "admin-group-offsets": group_offsets,
    "admin-cluster": cluster,
    "admin-log-dirs": log_dirs,
    "admin-features": features,
    "admin-producers": producers,
    "admin-quorum": quorum,
    "admin-elect-leaders": elect_leaders,
    "admin-reassignments": reassignments,
}
