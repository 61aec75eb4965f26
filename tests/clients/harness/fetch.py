"""Fetches and builds the suites: every client by package name and pinned version, through its language's own client.

What is fetched lies in `.cache`, stamped with a digest of the files it was made from, so a second run fetches nothing.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CACHE = HERE / ".cache"
KAFKA = "4.3.1"
OLDER_KAFKA = "2.8.2"
TRIES = 3


def kafka_jars() -> Path:
    """Apache Kafka itself: its tools, and the broker for `--broker kafka`."""
    target = CACHE / "kafka"

    def build():
        _maven(HERE / "tools", f"-Dkafka.version={KAFKA}", f"-DoutputDirectory={target / 'lib'}", "dependency:copy-dependencies")

    _stamped("Kafka's tools", target, [HERE / "tools" / "pom.xml"], build)
    return target / "lib"


def java(version: str) -> str:
    """The Java suite compiled against kafka-clients `version`; returns its class path."""
    target = CACHE / f"java-{version}"
    profile = ["-Pcurrent"] if version == KAFKA else []

    def build():
        _maven(
            HERE / "java",
            *profile,
            f"-Dkafka.version={version}",
            f"-Doutput={target}",
            "compile",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={target / 'lib'}",
        )

    _stamped(f"kafka-clients {version}", target, sorted((HERE / "java").rglob("*.*")), build)
    return f"{target / 'classes'}:{target / 'lib'}/*"


def frameworks() -> str:
    """Kafka's frameworks and the programs of `tests/frameworks` compiled against them; returns their class path."""
    folder, target = HERE.parent / "frameworks" / "java", CACHE / "frameworks"
    words = [f"-Dkafka.version={KAFKA}", f"-Doutput={target}", f"-DoutputDirectory={target / 'lib'}"]

    def build():
        _maven(folder, *words, "compile", "dependency:copy-dependencies")

    _stamped("Kafka's frameworks", target, sorted(folder.rglob("*.*")), build)
    return f"{target / 'classes'}:{target / 'lib'}/*"


def go() -> Path:
    target = CACHE / "go"

    def build():
        _retried(["go", "build", "-o", str(target / "suite"), "."], cwd=HERE / "go")

    _stamped("franz-go and sarama", target, sorted((HERE / "go").glob("*")), build)
    return target / "suite"


def python() -> Path:
    target = CACHE / "python"
    requirements = HERE / "python" / "requirements.txt"

    def build():
        _retried([sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "-r", str(requirements)])

    _stamped("Python's clients", target, [requirements], build)
    return target


def node() -> None:
    folder = HERE / "node"

    def build():
        _retried(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)

    _stamped("Node's clients", folder / "node_modules", [folder / "package.json", folder / "package-lock.json"], build)


def _maven(folder: Path, *words: str) -> None:
    _retried(["mvn", "-B", "-q", "-f", str(folder / "pom.xml"), *words])


def _retried(command: list, cwd: Path = HERE) -> None:
    """Registries fail now and then: the command is tried again, the last failure is raised."""
    for left in reversed(range(TRIES)):
        done = subprocess.run(command, cwd=cwd)
        if done.returncode == 0:
            return
        if left == 0:
            raise RuntimeError(f"{' '.join(command[:4])}… failed with status {done.returncode}")
        print(f"  failed, {left} tries left", flush=True)
        time.sleep(3)


def _stamped(what: str, target: Path, sources: list, build) -> None:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    stamp = target / ".stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    began = time.monotonic()
    print(f"fetching {what} …", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    build()
    stamp.write_text(digest.hexdigest())
    print(f"fetched {what} in {time.monotonic() - began:.1f} s", flush=True)
