"""What the promises ask of a client, in words that all clients have.

An adapter's `Client` has a `name`, the promises it `lacks` and why, and makes producers and consumers; all three speak
in `Record`, `Ack` and `Refused`.
"""

from typing import NamedTuple


class Ack(NamedTuple):
    partition: int
    offset: int  # -1 when the producer asked for no ack
    timestamp: int  # ms


class Record(NamedTuple):
    partition: int
    offset: int
    timestamp: int  # ms
    appended: bool  # the broker's clock, not the producer's
    key: bytes | None
    value: bytes | None
    headers: list


class Refused(Exception):
    """The broker said no: `code` is Kafka's error code."""

    def __init__(self, code: int, message: str = ""):
        super().__init__(f"error {code}: {message}")
        self.code = code
        self.message = message


class Group(NamedTuple):
    state: str
    clients: list  # the client ids of the members
    assigned: set  # partitions, of all members
