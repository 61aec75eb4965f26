"""Members of a group on the wire itself, in the versions that a client chooses which is older than the broker.

Versions 0 to 5 of JoinGroup and 0 to 3 of SyncGroup; everything a member tells or is told is bytes.
"""

import socket
import struct
from dataclasses import dataclass

from patience import eventually

DESCRIBE_GROUPS, FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC = 15, 10, 11, 12, 13, 14
REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED = 27, 79
SESSION_MS, REBALANCE_MS = 10_000, 10_000


def text(word: str | None) -> bytes:
    return struct.pack(">h", -1) if word is None else struct.pack(">h", len(word.encode())) + word.encode()


def data(octets: bytes) -> bytes:
    return struct.pack(">i", len(octets)) + octets


def array(parts: list) -> bytes:
    return struct.pack(">i", len(parts)) + b"".join(parts)


class Answer:
    def __init__(self, octets: bytes):
        self.octets, self.at = octets, 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.octets), "the answer is too short"
        return self.octets[self.at - size : self.at]

    def int16(self) -> int:
        return struct.unpack(">h", self.take(2))[0]

    def int32(self) -> int:
        return struct.unpack(">i", self.take(4))[0]

    def text(self) -> str | None:
        size = self.int16()
        return None if size < 0 else self.take(size).decode()

    def data(self) -> bytes:
        return self.take(self.int32())

    def ended(self) -> None:
        assert self.at == len(self.octets), f"{len(self.octets) - self.at} bytes more than the answer's version has"


@dataclass
class Joined:
    error: int
    generation: int
    protocol: str
    leader: str
    member: str
    members: dict


class Member:
    """One connection and what it knows of its membership."""

    def __init__(self, bootstrap: str, group: str, join: int, sync: int):
        host, port = bootstrap.split(":")
        self.connection = socket.create_connection((host, int(port)), timeout=30)
        self.group, self.join_version, self.sync_version = group, join, sync
        self.id, self.generation = "", -1
        eventually("the group has a coordinator", self._coordinated)

    def _coordinated(self) -> bool:
        return self._ask(FIND_COORDINATOR, 0, text(self.group)).int16() == 0

    def join(self, kind: str, protocols: dict) -> Joined:
        self.send_join(kind, protocols)
        joined = self.joined()
        if joined.error == MEMBER_ID_REQUIRED:
            self.id = joined.member
            self.send_join(kind, protocols)
            joined = self.joined()
        return joined

    def send_join(self, kind: str, protocols: dict) -> None:
        body = text(self.group) + struct.pack(">i", SESSION_MS)
        if self.join_version >= 1:
            body += struct.pack(">i", REBALANCE_MS)
        body += text(self.id)
        if self.join_version >= 5:
            body += text(None)
        body += text(kind) + array([text(name) + data(metadata) for name, metadata in protocols.items()])
        self._send(JOIN, self.join_version, body)

    def joined(self) -> Joined:
        answer = self._receive()
        if self.join_version >= 2:
            answer.int32()
        joined = Joined(answer.int16(), answer.int32(), answer.text(), answer.text(), answer.text(), {})
        for _ in range(answer.int32()):
            member = answer.text()
            if self.join_version >= 5:
                answer.text()
            joined.members[member] = answer.data()
        answer.ended()
        if joined.error == 0:
            self.id, self.generation = joined.member, joined.generation
        return joined

    def send_sync(self, assignments: dict) -> None:
        body = text(self.group) + struct.pack(">i", self.generation) + text(self.id)
        if self.sync_version >= 3:
            body += text(None)
        self._send(SYNC, self.sync_version, body + array([text(member) + data(part) for member, part in assignments.items()]))

    def synced(self) -> tuple:
        answer = self._receive()
        if self.sync_version >= 1:
            answer.int32()
        error, assignment = answer.int16(), answer.data()
        answer.ended()
        return error, assignment

    def heartbeat(self) -> int:
        return self._ask(HEARTBEAT, 0, text(self.group) + struct.pack(">i", self.generation) + text(self.id)).int16()

    def leave(self) -> int:
        return self._ask(LEAVE, 0, text(self.group) + text(self.id)).int16()

    def described(self) -> dict:
        answer = self._ask(DESCRIBE_GROUPS, 0, array([text(self.group)]))
        assert answer.int32() == 1 and answer.int16() == 0, "the group is not described"
        answer.text()
        found = {"state": answer.text(), "kind": answer.text(), "protocol": answer.text(), "members": {}}
        for _ in range(answer.int32()):
            member = answer.text()
            answer.text(), answer.text()
            found["members"][member] = (answer.data(), answer.data())
        answer.ended()
        return found

    def close(self) -> None:
        self.connection.close()

    def _ask(self, key: int, version: int, body: bytes) -> Answer:
        self._send(key, version, body)
        return self._receive()

    def _send(self, key: int, version: int, body: bytes) -> None:
        message = struct.pack(">hhi", key, version, 7) + text("member") + body
        self.connection.sendall(data(message))

    def _receive(self) -> Answer:
        size = struct.unpack(">i", self._exactly(4))[0]
        answer = Answer(self._exactly(size))
        assert answer.int32() == 7, "the answer to another request"
        return answer

    def _exactly(self, size: int) -> bytes:
        octets = b""
        while len(octets) < size:
            part = self.connection.recv(size - len(octets))
            assert part, "the broker closed the connection"
            octets += part
        return octets
