"""The three servers under measurement: how each is made, formatted, started, killed.

All run on this machine with the same data disk. Kafka gets the options of its own start script: KRaft combined, 1 GiB heap,
G1. klamm gets no options but its ports and its directory.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

KAFKA_VERSION = "4.3.1"
# bin/kafka-run-class.sh and bin/kafka-server-start.sh of the distribution.
KAFKA_JVM = ["-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
             "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"]
STOP_SECONDS = 120

# What a figure has written is gone before the next one: several gigabytes a second fill a disk.
DELETE_DELAY_MS = 1000


class Broker:
    """A server with a name, a port, a directory of its own and a process that may run."""

    def __init__(self, name, port, work):
        self.name, self.port, self.work = name, port, work
        self.data = work / f"{name}-data"
        self.log = work / f"{name}.log"
        self.pid = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        """The command line that starts it."""
        raise NotImplementedError

    def format(self):
        """Makes its directory as new."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)

    def start(self):
        """Starts it and waits until it listens."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.pid = process.pid
        wait_for(lambda: listens(self.pid, self.port), f"{self.name} to listen on {self.port}; see {self.log}")

    def adopt(self, pid):
        """Takes over a process that somebody else started."""
        self.pid = pid

    def kill(self, how=signal.SIGTERM):
        """Ends its process and waits until it is gone."""
        if self.pid is None:
            return
        try:
            os.kill(self.pid, how)
        except ProcessLookupError:
            pass
        wait_for(lambda: is_gone(self.pid), f"{self.name} (process {self.pid}) to end")
        self.pid = None


class Kafka(Broker):
    def __init__(self, port, work, lib):
        super().__init__("kafka", port, work)
        self.lib = lib
        self.properties = work / "kafka.properties"

    def java(self, *arguments):
        return ["java", *KAFKA_JVM, "-cp", f"{self.lib}/*", *arguments]

    def command(self):
        return self.java("kafka.Kafka", str(self.properties))

    def format(self):
        super().format()
        controller = self.port + 1
        self.properties.write_text(f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={self.data}
log.segment.delete.delay.ms={DELETE_DELAY_MS}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
""")
        subprocess.run(self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(self.properties)),
                       check=True, stdout=subprocess.DEVNULL)


class Klamm(Broker):
    def __init__(self, port, work, binary, arguments):
        super().__init__("klamm", port, work)
        self.binary, self.arguments = binary, arguments
        self.config = work / "klamm.toml"

    def command(self):
        fill = {"config": str(self.config), "port": str(self.port), "data": str(self.data)}
        return [str(self.binary), *(argument.format(**fill) for argument in self.arguments)]

    def format(self):
        super().format()
        self.config.write_text(f"""\
listeners = "PLAINTEXT://127.0.0.1:{self.port}"
log.dirs = ["{self.data}"]
log.segment.delete.delay.ms = {DELETE_DELAY_MS}
# What topics of the load do not say themselves, the log of transactions above all, is as durable as Kafka's.
log.flush.policy = "background"
""")


class Floor(Broker):
    def __init__(self, port, work, binary):
        super().__init__("floor", port, work)
        self.binary = binary

    def command(self):
        return [str(self.binary), self.address, str(self.data)]


def fetch_kafka(here, cache):
    """The folder with Kafka's jars, fetched by coordinates once."""
    lib = cache / f"kafka-{KAFKA_VERSION}"
    if not (lib / "complete").exists():
        print(f"fetching Kafka {KAFKA_VERSION}", flush=True)
        shutil.rmtree(lib, ignore_errors=True)
        subprocess.run(["mvn", "-q", "-B", "-f", str(here / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={lib}"],
                       check=True)
        (lib / "complete").touch()
    return lib


def built(root):
    """Where release builds of the broker and the floor lie."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"
    return target / "klamm", target / "examples" / "floor"


def build(root):
    """Builds both."""
    subprocess.run(["cargo", "build", "--release", "--bin", "klamm", "--example", "floor"], cwd=root, check=True)
    return built(root)


def listens(pid, port):
    """Whether a socket of this machine listens on the port. Ends the wait if the process has ended."""
    if is_gone(pid):
        raise SystemExit(f"process {pid} ended before it listened on port {port}")
    suffix = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(suffix) and fields[3] == "0A":
                    return True
    return False


def is_gone(pid):
    """Whether a process is over; its own children are reaped on the way."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition, what):
    deadline = time.monotonic() + STOP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {STOP_SECONDS} s in vain for {what}")
        time.sleep(0.02)
