"""Kafka Connect: file source -> topic -> file sink, in a worker alone and in two that share the tasks.

Workers that are stopped in order carry each line once. Killed, they may carry some lines again but lose none; a source under
exactly-once support writes each line once, whatever is killed.
"""

from collections import Counter

import topics
from patience import eventually
from program import WORK, Program
from suite import QUICK, control, equal
from workers import COMMON, PORT, File, Workers, carried, none_lost, once, properties, sink, source, written

LINES = 2_000 if QUICK else 20_000


class Alone:
    """A worker alone, with one source and one sink."""

    def __init__(self, name: str):
        self.name, self.file, self.out = name, File(f"{name}.in"), WORK / f"{name}.out"
        self.offsets = WORK / f"{name}.offsets"
        settings = {**COMMON, "offset.storage.file.filename": self.offsets, "listeners": f"http://127.0.0.1:{PORT}"}
        topics.create(name)
        self.program = Program(
            name,
            "org.apache.kafka.connect.cli.ConnectStandalone",
            properties(f"{name}-worker", settings),
            properties(f"{name}-source", source(f"{name}-source", self.file.path, name)),
            properties(f"{name}-sink", sink(f"{name}-sink", self.out, name)),
        )

    def reaches(self, lines: int) -> None:
        def so() -> bool:
            self.program.check()
            return len(set(written(self.out))) >= lines

        eventually(f"{lines} lines in the sink", so)

    def quiet(self) -> None:
        """Both connectors have written down how far they are, which is the end."""
        position = b'"position":%d}' % self.file.path.stat().st_size
        eventually("the source's offset is kept", lambda: self.offsets.exists() and position in self.offsets.read_bytes())
        end = topics.offsets(self.name)[0]
        eventually("the sink's offset is committed", lambda: topics.committed(f"connect-{self.name}-sink").get((self.name, 0)) == end)


def standalone_restart() -> None:
    worker = Alone("standalone-restart")
    worker.file.grow(LINES)
    worker.reaches(LINES // 10)
    worker.program.stop()
    worker.file.grow(LINES)
    worker.program.start()
    worker.reaches(2 * LINES)
    worker.quiet()
    worker.program.kill9()
    worker.file.grow(LINES)
    worker.program.start()
    worker.reaches(3 * LINES)
    worker.quiet()
    worker.program.stop()
    once(worker.file.lines, carried(topics.Reader(worker.name)), "the topic")
    once(worker.file.lines, written(worker.out), "the sink")


def standalone_kill9() -> None:
    worker = Alone("standalone-kill9")
    worker.file.grow(LINES)
    worker.reaches(LINES // 10)
    worker.program.kill9()
    worker.file.grow(LINES)
    worker.program.start()
    worker.reaches(LINES + LINES // 10)
    control("kill9")
    worker.file.grow(LINES)
    control("start")
    worker.reaches(3 * LINES)
    worker.program.stop()
    none_lost(worker.file.lines, carried(topics.Reader(worker.name)), "the topic")
    none_lost(worker.file.lines, written(worker.out), "the sink")


class Shared:
    """Two workers with two sources and a sink of two tasks."""

    TASKS = 4

    def __init__(self, name: str):
        self.workers = Workers(name)
        self.both = set(self.workers.addresses)
        self.out = WORK / f"{name}.out"
        self.names = [f"{name}-{n}" for n in range(2)]
        self.files = [File(f"{topic}.in", first=n * 5_000_000) for n, topic in enumerate(self.names)]
        for topic, file in zip(self.names, self.files):
            topics.create(topic)
            self.workers.create(source(topic, file.path, topic))
        self.workers.create(sink(f"{name}-sink", self.out, *self.names, tasks=2))
        self.readers = [topics.Reader(topic) for topic in self.names]
        self.workers.runs(self.TASKS, self.both)

    def grow(self, count: int) -> None:
        for file in self.files:
            file.grow(count)

    def lines(self) -> list:
        return [line for file in self.files for line in file.lines]

    def delivers(self) -> None:
        wanted = set(self.lines())
        eventually("every line in the sink", lambda: wanted <= set(written(self.out)))

    def counts(self) -> Counter:
        return Counter(line for reader in self.readers for line in carried(reader))

    def check(self) -> None:
        none_lost(self.lines(), [line for reader in self.readers for line in carried(reader)], "the topics")
        none_lost(self.lines(), written(self.out), "the sink")


def distributed_worker_kill9() -> None:
    shared = Shared("worker-kill9")
    shared.workers.compacted()
    shared.grow(LINES)
    eventually("lines in the sink", lambda: len(written(shared.out)) > LINES // 10)
    shared.workers.programs[0].kill9()
    shared.grow(LINES)
    shared.workers.runs(shared.TASKS, {shared.workers.addresses[1]})
    shared.delivers()
    shared.workers.programs[0].start()
    shared.workers.runs(shared.TASKS, shared.both)
    shared.grow(LINES)
    shared.delivers()
    shared.workers.stop()
    shared.check()


def distributed_restart() -> None:
    """All stop in order, the broker too: connectors, tasks and offsets are what they were. Then the offsets are reset."""
    shared = Shared("all-restart")
    shared.grow(LINES)
    shared.delivers()
    first = shared.names[0]
    config = shared.workers.ask("GET", f"/connectors/{first}/config")
    shared.workers.stop()
    control("restart")
    shared.grow(LINES)
    shared.workers.start()
    equal(config, shared.workers.persist("GET", f"/connectors/{first}/config"), "configuration after the restart")
    shared.workers.runs(shared.TASKS, shared.both)
    shared.delivers()
    equal({}, {line: n for line, n in shared.counts().items() if n > 1}, "lines read again after stops in order")
    size = shared.files[0].path.stat().st_size
    eventually("the offset is told", lambda: _position(shared, first) == size)
    shared.workers.persist("PUT", f"/connectors/{first}/stop")
    eventually("stopped", lambda: shared.workers.ask("GET", f"/connectors/{first}/status")["connector"]["state"] == "STOPPED")
    shared.workers.persist("DELETE", f"/connectors/{first}/offsets")
    equal(None, _position(shared, first), "offset after its reset")
    shared.workers.persist("PUT", f"/connectors/{first}/resume")
    again = set(shared.files[0].lines)

    def again_all() -> bool:
        counts = shared.counts()
        return all(counts[line] == 2 for line in again)

    eventually("lines are read again", again_all)
    shared.workers.persist("DELETE", f"/connectors/{first}")
    shared.workers.runs(shared.TASKS - 1, shared.both)
    shared.workers.stop()
    shared.check()


def _position(shared: Shared, connector: str) -> int | None:
    offsets = shared.workers.persist("GET", f"/connectors/{connector}/offsets")["offsets"]
    return offsets[0]["offset"]["position"] if offsets else None


def distributed_broker_kill9() -> None:
    shared = Shared("broker-kill9")
    for _ in range(2):
        shared.grow(LINES)
        so_far = len(set(written(shared.out)))
        eventually("lines in the sink", lambda: len(set(written(shared.out))) > so_far + LINES // 10)
        control("kill9")
        shared.grow(LINES)
        control("start")
        shared.delivers()
    shared.workers.runs(shared.TASKS, shared.both)
    shared.workers.stop()
    shared.check()


def exactly_once_source() -> None:
    workers = Workers("exactly-once", exactly_once_source_support="enabled")
    file = File("exactly-once.in")
    topics.create("exactly-once")
    workers.create(source("exactly-once", file.path, "exactly-once", **{"exactly.once.support": "required"}))
    reader = topics.Reader("exactly-once")
    workers.compacted()

    def reaches(lines: int) -> None:
        eventually(f"{lines} lines", lambda: len(reader.read()) >= lines)

    file.grow(LINES)
    reaches(LINES // 10)
    killed = workers.programs[workers.addresses.index(workers.places()["exactly-once-0"])]
    killed.kill9()
    file.grow(LINES)
    reaches(LINES + LINES // 10)
    killed.start()
    control("kill9")
    file.grow(LINES)
    control("start")
    reaches(3 * LINES)
    workers.stop()
    topics.settled("exactly-once", "exactly-once-offsets", "exactly-once-configs")
    once(file.lines, carried(reader), "the topic")
    # Markers have offsets too: without any, it was no transaction that made it so.
    assert topics.offsets("exactly-once")[0] > len(file.lines), "the topic was not written in transactions"


PROMISES = {
    "standalone-restart": standalone_restart,
    "standalone-kill9": standalone_kill9,
    "distributed-worker-kill9": distributed_worker_kill9,
    "distributed-restart": distributed_restart,
    "distributed-broker-kill9": distributed_broker_kill9,
    "exactly-once-source": exactly_once_source,
}
NEEDS = {"exactly-once-source": "transactions"}
