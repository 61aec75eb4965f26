"""Workers of Kafka Connect, what is asked of them over REST, and the files that their connectors read and write."""

import json
import os
import re
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import topics
from patience import eventually
from program import WORK, Program
from suite import equal

PORT = int(os.environ["PORT"])
TOPIC_KINDS = ("configs", "offsets", "status")
CONVERTER = "org.apache.kafka.connect.json.JsonConverter"
COMMON = {
    "bootstrap.servers": topics.BOOTSTRAP,
    "key.converter": CONVERTER,
    "value.converter": CONVERTER,
    "offset.flush.interval.ms": 1000,
    "plugin.discovery": "service_load",
}
DISTRIBUTED = {
    "scheduled.rebalance.max.delay.ms": 1000,
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 1000,
    **{f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")},
}
LINE = re.compile(r"(\d{7} [a-z]+\.)\n")
WORDS = ("gorge", "water", "snow", "mill", "bridge")


def properties(name: str, settings: dict) -> Path:
    path = WORK / f"{name}.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path


def source(name: str, file: Path, topic: str, **more) -> dict:
    return {"name": name, "connector.class": "FileStreamSource", "tasks.max": 1, "file": file, "topic": topic, **more}


def sink(name: str, file: Path, *names: str, tasks: int = 1) -> dict:
    kind = {"connector.class": "FileStreamSink", "tasks.max": tasks, "file": file, "topics": ",".join(names)}
    # A consumer that is killed must be missed as soon as its worker is.
    return {"name": name, **kind, "consumer.override.session.timeout.ms": 6000}


class File:
    """A file of numbered lines that a source reads while it grows."""

    def __init__(self, name: str, first: int = 0):
        self.path, self.next, self.lines = WORK / name, first, []
        self.path.touch()

    def grow(self, count: int) -> None:
        more = [f"{n:07d} {WORDS[n % len(WORDS)]}." for n in range(self.next, self.next + count)]
        self.next += count
        self.lines += more
        with self.path.open("a") as out:
            out.write("".join(f"{line}\n" for line in more))


def written(path: Path) -> list:
    """The whole lines a sink wrote; where it was killed within a line, the rest of that line is another's beginning."""
    return LINE.findall(path.read_text()) if path.exists() else []


def carried(reader: topics.Reader) -> list:
    """The lines in a topic, as Connect's JSON holds them."""
    return [json.loads(record.value)["payload"] for record in reader.read()]


def none_lost(expected: list, got: list, where: str) -> None:
    seen = set(got)
    equal([], [line for line in expected if line not in seen], f"lines missing in {where}")
    equal([], sorted(seen - set(expected)), f"lines in {where} that nobody wrote")


def once(expected: list, got: list, where: str) -> None:
    none_lost(expected, got, where)
    equal({}, {line: count for line, count in Counter(got).items() if count > 1}, f"lines more than once in {where}")
    equal(expected, got, where)


class Workers:
    """A cluster of two workers, by the name of its group."""

    def __init__(self, name: str, **settings):
        self.name = name
        self.addresses = [f"127.0.0.1:{PORT + n}" for n in range(2)]
        self.programs = []
        for n, address in enumerate(self.addresses):
            words = {
                **COMMON,
                **DISTRIBUTED,
                "group.id": name,
                "config.storage.topic": f"{name}-configs",
                "offset.storage.topic": f"{name}-offsets",
                "status.storage.topic": f"{name}-status",
                "listeners": f"http://{address}",
                "rest.advertised.host.name": "127.0.0.1",
                "connector.client.config.override.policy": "All",
                **{key.replace("_", "."): value for key, value in settings.items()},
            }
            path = properties(f"{name}-{n}", words)
            self.programs.append(Program(f"{name}-{n}", "org.apache.kafka.connect.cli.ConnectDistributed", path))
        for address in self.addresses:
            eventually(f"worker {address} answers", lambda at=address: self._answers(at))

    def _answers(self, address: str) -> bool:
        Program.check_all()
        try:
            self.ask("GET", "/connectors", at=address)
            return True
        except (OSError, AssertionError):
            return False

    def ask(self, method: str, path: str, body=None, at: str | None = None):
        """What the first worker that runs answers; a refusal is an error with its text."""
        address = at or next(a for a, program in zip(self.addresses, self.programs) if program.process.poll() is None)
        data = None if body is None else json.dumps(body, default=str).encode()
        request = urllib.request.Request(f"http://{address}{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            text = urllib.request.urlopen(request, timeout=95).read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else None

    def persist(self, method: str, path: str, body=None):
        """Asks again while the workers are in a rebalance, which they refuse requests in."""
        answers = []

        def accepted() -> bool:
            try:
                answers.append(self.ask(method, path, body))
                return True
            except AssertionError as error:
                if " 409 " not in str(error) and " 500 " not in str(error):
                    raise
                return False

        eventually(f"{method} {path}", accepted)
        return answers[-1]

    def create(self, config: dict) -> None:
        name = config["name"]
        self.persist("PUT", f"/connectors/{name}/config", {key: str(value) for key, value in config.items()})

    def places(self) -> dict:
        """Connector and task -> the worker it runs on; what does not run is left out."""
        found = {}
        for name, told in self.ask("GET", "/connectors?expand=status").items():
            for task in told["status"]["tasks"]:
                assert task["state"] != "FAILED", f"task {name}-{task['id']} failed: {task.get('trace', '')[:600]}"
                if task["state"] == "RUNNING":
                    found[f"{name}-{task['id']}"] = task["worker_id"]
        return found

    def runs(self, tasks: int, workers: set) -> None:
        """Waits until so many tasks run and are spread over exactly these workers."""
        last = {}

        def so() -> bool:
            Program.check_all() if len(workers) == 2 else None
            try:
                last.clear()
                last.update(self.places())
            except (OSError, AssertionError) as error:
                if "failed" in str(error):
                    raise
                return False
            return len(last) == tasks and set(last.values()) == workers

        try:
            eventually("", so)
        except AssertionError as error:
            raise AssertionError(f"{tasks} tasks do not run on {sorted(workers)} but {last}: {error}") from None

    def compacted(self) -> None:
        for kind in TOPIC_KINDS:
            equal("compact", topics.config(f"{self.name}-{kind}")["cleanup.policy"], f"cleanup.policy of {kind}")
        equal(1, len(topics.partitions(f"{self.name}-configs")), "partitions of configs")

    def stop(self) -> None:
        for program in self.programs:
            program.stop()

    def start(self) -> None:
        for program in self.programs:
            program.start()
        for address in self.addresses:
            eventually(f"worker {address} answers", lambda at=address: self._answers(at))
