"""Members of a group share its partitions, and nothing is lost while they come and go."""

import threading

from adapters import Refused
from reading import made, numbers
from suite import equal, eventually, unique

PARTITIONS = 6

# A commit that meets a rebalance is refused, and what was read since comes again: by Kafka's code, or as clients word it.
REBALANCING = (22, 25, 27)
REBALANCING_WORDS = ("CommitFailed", "REBALANCE", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER", "is not assigned")


class Member:
    """A consumer on a thread of its own that commits what it handed over."""

    def __init__(self, client, group, topic, seen, **options):
        self.owned, self.changes, self.failed = set(), 0, None
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(client, group, topic, seen, options), daemon=True)
        self._thread.start()

    def _run(self, client, group, topic, seen, options):
        try:
            consumer = client.consumer(group=group, **options)
            consumer.subscribe(topic)
            while not self._leave.is_set():
                records = consumer.poll(0.05)
                owned = consumer.owned()
                if owned != self.owned:
                    self.owned, self.changes = owned, self.changes + 1
                seen.update(record.value for record in records)
                if records:
                    self._commit(consumer, {record.partition: record.offset + 1 for record in records})
            consumer.close()
        except Exception as error:
            self.failed = error

    @staticmethod
    def _commit(consumer, offsets):
        try:
            consumer.commit(offsets)
        except Refused as error:
            if error.code not in REBALANCING:
                raise
        except Exception as error:
            if not any(word in f"{type(error).__name__} {error}" for word in REBALANCING_WORDS):
                raise

    def close(self):
        self._leave.set()
        self._thread.join(60)
        if self.failed:
            raise self.failed


def shared(partitions, *members) -> bool:
    """Every partition belongs to exactly one of the members, and each has its even part."""
    for member in members:
        if member.failed:
            raise member.failed
    owned = [set(member.owned) for member in members]
    return all(len(one) == partitions // len(members) for one in owned) and set().union(*owned) == set(range(partitions))


def rebalance(client):
    topic, group = made(client, "group", PARTITIONS), unique("group")
    seen, sent, enough, failure = set(), [], threading.Event(), []

    def load():
        try:
            producer = client.producer(linger_ms=1)
            while not enough.is_set():
                for _ in range(100):
                    producer.send(topic, len(sent) % PARTITIONS, str(len(sent)).encode())
                    sent.append(len(sent))
                producer.flush()
                eventually("the members keep up", lambda: enough.is_set() or len(sent) - len(seen) < 3000)
            producer.close()
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    try:
        first = Member(client, group, topic, seen)
        eventually("one member owns all", lambda: shared(PARTITIONS, first))
        second = Member(client, group, topic, seen)
        eventually("two members share", lambda: shared(PARTITIONS, first, second))
        third = Member(client, group, topic, seen)
        eventually("three members share", lambda: shared(PARTITIONS, first, second, third))
        first.close()
        eventually("the two that stay share", lambda: shared(PARTITIONS, second, third))
        second.close()
        eventually("the last owns all", lambda: shared(PARTITIONS, third))
        enough.set()
        thread.join(60)
        eventually("every record was seen", lambda: len(seen) >= len(sent))
        third.close()
    finally:
        enough.set()
        thread.join(60)
    if failure:
        raise failure[0]
    equal(set(numbers(0, len(sent))), seen, "records seen")


def static_member(client):
    topic, group, seen = made(client, "static", 4), unique("static"), set()
    one = Member(client, group, topic, seen, instance="one")
    eventually("one member owns all", lambda: shared(4, one))
    two = Member(client, group, topic, seen, instance="two")
    eventually("both share", lambda: shared(4, one, two))
    before, changes = set(two.owned), one.changes
    two.close()
    again = Member(client, group, topic, seen, instance="two")
    eventually("the member that came back has what it had", lambda: again.owned == before)
    producer = client.producer()
    for partition in range(4):
        producer.send(topic, partition, f"after {partition}".encode()).result(30)
    producer.close()
    eventually("both read on", lambda: len(seen) == 4)
    equal(changes, one.changes, "changes the other member saw")
    one.close()
    again.close()


PROMISES = {"group-rebalance": rebalance, "static-member": static_member}
