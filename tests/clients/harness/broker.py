"""The broker under test: started, stopped, killed and started again, on the same port and data.

Whether it answers is asked on the wire: ApiVersions, then Metadata until a live broker is listed.
"""

import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

START_SECONDS = 90
STOP_SECONDS = 60

# Groups need not wait for members to gather. All else is as it comes.
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0,
    "log.cleaner.backoff.ms": 1000,
}
# One host: no topic of the broker's own can have three replicas. Members of the newer groups hear of a change as soon as those of
# the classic ones, whose heartbeat the client sets.
KAFKA_SETTINGS = {
    "group.consumer.heartbeat.interval.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 500,
    "offsets.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.replication.factor": 1,
}


class Broker:
    """A broker process. `running` is what the tests asked for, `alive` what is so."""

    def __init__(self, home: Path, port: int):
        self.home = home
        self.port = port
        self.data = home / "data"
        self.log = home / "broker.log"
        self.process = None
        self.running = False
        home.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        if self.alive:
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home)
        self.running = True
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if not self.alive:
                raise RuntimeError(f"the broker ended with status {self.process.returncode} while starting, see {self.log}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker did not answer within {START_SECONDS} s, see {self.log}")
            time.sleep(0.02)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.running = False
        if not self.alive:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the broker did not stop within {STOP_SECONDS} s of SIGTERM") from None

    def kill(self) -> None:
        """Ends the broker without waiting on its manners."""
        self.running = False
        if self.alive:
            self.process.kill()
            self.process.wait()

    def control(self, verb: str) -> None:
        """What a test may ask: stop, kill9, start, restart. Returns when it is done and, if started, the broker answers."""
        if verb in ("stop", "restart"):
            self.stop()
        elif verb == "kill9":
            self.stop(signal.SIGKILL)
        if verb in ("start", "restart"):
            self.start()

    def command(self) -> list:
        raise NotImplementedError


class Klamm(Broker):
    def __init__(self, home: Path, port: int, binary: Path):
        super().__init__(home, port)
        self.binary = binary

    def command(self) -> list:
        settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
        return [str(self.binary), "serve", "--listen", self.bootstrap, "--data", str(self.data), *settings]


class Kafka(Broker):
    """Apache Kafka from its published jars: broker and controller in one process."""

    def __init__(self, home: Path, port: int, jars: Path):
        super().__init__(home, port)
        self.jars = jars
        self.properties = home / "server.properties"
        shutil.rmtree(self.data)
        self.properties.write_text(self._properties())
        format_ = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(self.properties)]
        subprocess.run(self._java("-Xmx128m") + format_, check=True, stdout=subprocess.DEVNULL)

    def _java(self, *flags: str) -> list:
        return ["java", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *flags, "-cp", f"{self.jars}/*"]

    def _properties(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.port + 1}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.port + 1}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.data,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            **SETTINGS,
            **KAFKA_SETTINGS,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def command(self) -> list:
        return self._java("-Xms256m", "-Xmx512m") + ["kafka.Kafka", str(self.properties)]


def answers(port: int) -> bool:
    """True once the broker on `port` lists a live broker in its metadata."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.settimeout(5)
            _ask(connection, api_key=18, version=0, body=b"")
            brokers = struct.unpack_from(">i", _ask(connection, api_key=3, version=1, body=struct.pack(">i", 0)))[0]
            return brokers > 0
    except OSError:
        return False


def _ask(connection: socket.socket, api_key: int, version: int, body: bytes) -> bytes:
    client = b"ready"
    header = struct.pack(">hhih", api_key, version, 1, len(client)) + client
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    size = struct.unpack(">i", _read(connection, 4))[0]
    return _read(connection, size)[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return parts
