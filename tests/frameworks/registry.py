"""What schema registries need of a broker: a compacted log of one partition, read to its end, and a group of their own type.

The registries here are java/…/Registry.java, which goes about it as Confluent's does, and, for the versions of the group protocol
that Karapace speaks, members written by hand.
"""

import urllib.request
from functools import partial

import topics
from members import REBALANCE_IN_PROGRESS, Member
from patience import PATIENCE, eventually
from program import Program
from suite import QUICK, control, equal
from workers import PORT

SUBJECTS = 20
WRITES = 200 if QUICK else 1000
INCONSISTENT_GROUP_PROTOCOL = 23
SCHEMA = '{"type":"record","name":"R%d","fields":[{"name":"größe","type":"long","doc":"' + "x" * 200 + '"}]}'


class Registries:
    """Two registries on one log, and what they have acknowledged."""

    def __init__(self, name: str):
        self.topic = f"{name}._schemas"
        self.identities = [str(PORT), str(PORT + 1)]
        main, words = "klamm.frameworks.Registry", (topics.BOOTSTRAP, self.topic, f"{name}-registries")
        self.programs = {at: Program(f"{name}-{at}", main, *words, at) for at in self.identities}
        self.known = {}
        self.written = 0

    def ask(self, at: str, method: str, path: str, body: str | None = None) -> str | None:
        """None where the registry cannot: it is not there, not primary, or its broker is gone."""
        data = None if body is None else body.encode()
        request = urllib.request.Request(f"http://127.0.0.1:{at}/{path}", data, method=method)
        try:
            return urllib.request.urlopen(request, timeout=PATIENCE).read().decode()
        except OSError:
            return None

    def agree(self, running: list | None = None) -> str:
        """The primary, once all that run name the same one of them."""
        running = running or self.identities
        named = []

        def same() -> bool:
            Program.check_all() if len(running) == 2 else None
            named[:] = {self.ask(at, "GET", "primary") for at in running}
            return len(named) == 1 and named[0] in running

        eventually("the registries agree on who writes", same)
        return named[0]

    def write(self, count: int, among: list | None = None) -> None:
        for _ in range(count):
            n, self.written = self.written, self.written + 1
            subject, gone = f"subject-{n % SUBJECTS}", n % 13 == 0
            words = ("DELETE", subject) if gone else ("PUT", subject, SCHEMA % n)

            def accepted() -> bool:
                return any(self.ask(at, *words) is not None for at in among or self.identities)

            eventually(f"write {n} of {subject}", accepted)
            self.known[subject] = None if gone else SCHEMA % n

    def check(self, running: list | None = None) -> None:
        """Every registry reads the same to the end of the log: what was acknowledged."""
        expected = {f"{subject}={schema}" for subject, schema in self.known.items() if schema}
        for at in running or self.identities:
            answers = []

            def answered() -> bool:
                answers[:] = [self.ask(at, "GET", "")]
                return answers[0] is not None

            eventually(f"registry {at} answers", answered)
            equal(expected, set(answers[0].splitlines()), f"schemas that {at} knows")

    def stop(self) -> None:
        for program in self.programs.values():
            program.stop()


def log() -> None:
    """Two start at once, on a log that is not there; each reads what the other wrote. It is compacted, and then read the same."""
    registries = Registries("log")
    equal(min(registries.identities), registries.agree(), "who writes")
    equal("compact", topics.config(registries.topic)["cleanup.policy"], "cleanup.policy")
    equal([0], topics.partitions(registries.topic), "partitions")
    registries.write(WRITES)
    registries.check()
    often = {"segment_ms": "500", "min_cleanable_dirty_ratio": "0.01", "delete_retention_ms": "0"}
    topics.configure(registries.topic, **often)

    def left() -> int:
        # The segment that is written to is never compacted: another record ends it when its time is over.
        registries.write(1)
        reader = topics.Reader(registries.topic)
        try:
            return len(reader.read())
        finally:
            reader.close()

    eventually("the log is compacted", lambda: left() < WRITES // 2)
    registries.check()
    registries.stop()
    control("restart")
    for program in registries.programs.values():
        program.start()
    registries.agree()
    registries.check()
    registries.write(10)
    registries.check()
    registries.stop()


def refusal(kind: str, partitions: int, **config: str) -> None:
    """A log that would lose schemas is told as what it is, and the registry does not start on it."""
    topic = topics.create(f"{kind}._schemas", partitions, **config)
    try:
        Program.answer("klamm.frameworks.Registry", topics.BOOTSTRAP, topic, kind, PORT)
    except AssertionError as error:
        wanted = f"{topic} has {partitions} partitions" if partitions > 1 else f"{topic} has the cleanup.policy "
        assert wanted in str(error), f"ended otherwise than by refusing: {error}"
    else:
        raise AssertionError("the registry started on it")


def election() -> None:
    """The one that writes is killed, and then the broker: another takes its place, and nothing acknowledged is lost."""
    registries = Registries("election")
    first = registries.agree()
    registries.write(WRITES // 5)
    registries.programs[first].kill9()
    others = [at for at in registries.identities if at != first]
    equal(others[0], registries.agree(others), "who writes once the first is gone")
    registries.write(WRITES // 5, others)
    registries.check(others)
    registries.programs[first].start()
    equal(first, registries.agree(), "who writes once the first is back")
    registries.check()
    control("kill9")
    control("start")
    registries.agree()
    registries.write(WRITES // 5)
    registries.check()
    # One that stops in order leaves the group, so the other need not wait for it to be missed.
    registries.programs[first].stop()
    equal(others[0], registries.agree(others), "who writes once the first has left")
    registries.check(others)
    registries.programs[others[0]].stop()


def group(join: int, sync: int) -> None:
    """Type `sr`, protocols by vote, and bytes that are not Kafka's in both directions."""
    name = f"sr-{join}-{sync}"
    first, second, stranger = (Member(topics.BOOTSTRAP, name, join, sync) for _ in range(3))
    metadata = {"v0": b"\x00\xff first \x80", "v1": b""}
    joined = first.join("sr", metadata)
    equal((0, "v0", first.id), (joined.error, joined.protocol, joined.leader), "the first to join")
    equal({first.id: metadata["v0"]}, joined.members, "what the leader is told of itself")
    first.send_sync({first.id: b"alone"})
    equal((0, b"alone"), first.synced(), "assignment of one")
    equal(INCONSISTENT_GROUP_PROTOCOL, stranger.join("consumer", {"v0": b""}).error, "joining as a consumer")
    equal(INCONSISTENT_GROUP_PROTOCOL, stranger.join("sr", {"v9": b""}).error, "joining with a protocol nobody else has")
    second_metadata = {"v1": bytes(range(256)) * 400}
    # Where a member must have a name first, it is told one and comes back with it; nobody else notices.
    second.send_join("sr", second_metadata)
    if join >= 4:
        second.id = second.joined().member
        second.send_join("sr", second_metadata)
    eventually("the first is told to join again", lambda: first.heartbeat() == REBALANCE_IN_PROGRESS)
    again, new = first.join("sr", metadata), second.joined()
    equal((0, 0), (again.error, new.error), "joining together")
    equal(("v1", "v1"), (again.protocol, new.protocol), "the protocol both have")
    equal((again.leader, again.generation), (new.leader, new.generation), "leader and generation")
    leader, follower, told, untold = (first, second, again, new) if again.leader == first.id else (second, first, new, again)
    equal({first.id: b"", second.id: second_metadata["v1"]}, told.members, "what the leader is told of members")
    equal({}, untold.members, "what the follower is told of members")
    assignments = {first.id: bytes(reversed(range(256))) * 300, second.id: b""}
    follower.send_sync({})
    leader.send_sync(assignments)
    equal((0, assignments[leader.id]), leader.synced(), "the leader's assignment")
    equal((0, assignments[follower.id]), follower.synced(), "the follower's assignment")
    found = leader.described()
    equal(("Stable", "sr", "v1"), (found["state"], found["kind"], found["protocol"]), "the group described")
    expected = {first.id: (b"", assignments[first.id]), second.id: (second_metadata["v1"], b"")}
    equal(expected, found["members"], "members described")
    equal(0, follower.leave(), "leaving")
    eventually("the leader is told", lambda: leader.heartbeat() == REBALANCE_IN_PROGRESS)
    equal(0, leader.leave(), "leaving")
    for member in (first, second, stranger):
        member.close()


PROMISES = {
    "schema-log": log,
    "refuses-delete": partial(refusal, "deleted", 1, cleanup_policy="delete"),
    "refuses-compact-delete": partial(refusal, "both", 1, cleanup_policy="compact,delete"),
    "refuses-two-partitions": partial(refusal, "two", 2, cleanup_policy="compact"),
    "election": election,
    **{f"group-join-{join}-sync-{sync}": partial(group, join, sync) for join, sync in ((0, 0), (1, 0), (2, 1), (5, 3))},
}
NEEDS = {}
