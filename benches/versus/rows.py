"""The table: what is measured, in which unit, and what is asked of klamm.

A row is one load. It gives one or more figures; each may have a target, relative to Kafka in the same run or absolute.
"""

from dataclasses import dataclass, field

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Target:
    """`klamm ÷ kafka` (or klamm's own figure, if absolute) must be at least, or at most, `bound`."""

    bound: float
    absolute: bool = False


@dataclass(frozen=True)
class Figure:
    """One number of a row: the generator's key for it, its unit, which way is better, and the target."""

    key: str
    unit: str
    better: str
    target: Target | None = None
    # What stands in the table if it is not the unit alone.
    label: str = ""


@dataclass(frozen=True)
class Row:
    """One load. `command` goes to `klamm bench`; `{rate}` becomes half of Kafka's peak in the row `half_of`."""

    id: str
    title: str
    family: str
    command: str
    figures: tuple[Figure, ...]
    half_of: str = ""
    brokers: tuple[str, ...] = ("kafka", "klamm", "floor")
    # Factor on warm-up and measured seconds.
    longer: float = 1.0
    # Alternatives for `--quick`.
    quick: str = ""


def at_least(times):
    return Target(times)


def at_most(times):
    return Target(times)


def at_most_absolute(bound):
    return Target(bound, absolute=True)


THROUGHPUT, LATENCY, MEMORY = "throughput", "latency", "memory"
BROKERS = ("kafka", "klamm")

ROWS = (
    Row("api-versions", "ApiVersions, 4 connections", THROUGHPUT, "api-versions --connections 4",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(5)),
         Figure("cpu_us_per_request", "CPU µs/request", LOWER, at_most(1 / 5)))),
    Row("api-versions-1", "ApiVersions, 1 connection, depth 5", THROUGHPUT, "api-versions --connections 1 --depth 5",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(5)),
         Figure("cpu_us_per_request", "CPU µs/request", LOWER, at_most(1 / 5)))),
    Row("produce-small", "Produce, one 100 B record a request, 4 connections, 64 partitions", THROUGHPUT,
        "produce --connections 4 --partitions 64",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(8)),
         Figure("cpu_us_per_request", "CPU µs/request", LOWER, at_most(1 / 8)))),
    Row("produce-small-1", "Produce, one 100 B record a request, 1 connection, depth 5", THROUGHPUT,
        "produce --connections 1 --depth 5 --partitions 64",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(4)),
         Figure("cpu_us_per_request", "CPU µs/request", LOWER, at_most(1 / 8)))),
    Row("produce-16k-1", "Produce, 16 × 1 KiB a request, 1 connection", THROUGHPUT,
        "produce --records 16 --record-size 1KiB --connections 1 --partitions 64",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(4)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.3)))),
    Row("produce-16k", "Produce, 16 × 1 KiB a request, 4 connections", THROUGHPUT,
        "produce --records 16 --record-size 1KiB --connections 4 --partitions 64",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(3)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.3)))),
    Row("produce-256k", "Produce, 256 × 1 KiB a request, 4 connections and partitions", THROUGHPUT,
        "produce --records 256 --record-size 1KiB --connections 4 --partitions 4",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(2)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.3)))),
    Row("produce-idempotent", "The same, numbered as an idempotent producer does", THROUGHPUT,
        "produce --records 256 --record-size 1KiB --connections 4 --partitions 4 --idempotent",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(2)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.3))), brokers=BROKERS),
    Row("transactions", "Transactions of 100 × 1 KiB, one after the other, 8 producers", THROUGHPUT, "transactions",
        (Figure("transaction_records_per_second", "records/s", HIGHER, at_least(5)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.3))), brokers=BROKERS),
    Row("fetch-1m", "Fetch from the page cache, 1 MiB a request, 1 connection", THROUGHPUT, "fetch --max-bytes 1MiB",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(1.2)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.7)))),
    Row("fetch-committed", "The same at read_committed", THROUGHPUT, "fetch --max-bytes 1MiB --committed",
        (Figure("mib_per_second", "MiB/s", HIGHER, at_least(1.2)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.7))), brokers=BROKERS),
    Row("fetch-16k", "Fetch from the page cache, 16 KiB a request, 1 connection", THROUGHPUT, "fetch --max-bytes 16KiB",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(2)),
         Figure("cpu_s_per_gib", "CPU s/GiB", LOWER, at_most(0.7)))),
    Row("flush", "On the disk before the answer, one 100 B record a request, 8 connections", THROUGHPUT, "flush --connections 8",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(10)),
         Figure("p99_us", "p99 µs", LOWER)), brokers=BROKERS),
    Row("latency-small", "Latency of one 100 B record a request at half of Kafka's peak", LATENCY,
        "produce --connections 4 --partitions 64 --rate {rate}",
        (Figure("p50_us", "p50 µs", LOWER, at_most(0.4)), Figure("p99_us", "p99 µs", LOWER, at_most(0.5))), half_of="produce-small"),
    Row("latency-16k", "Latency of 16 × 1 KiB a request at half of Kafka's peak", LATENCY,
        "produce --records 16 --record-size 1KiB --connections 4 --partitions 64 --rate {rate}",
        (Figure("p50_us", "p50 µs", LOWER, at_most(0.4)), Figure("p99_us", "p99 µs", LOWER, at_most(0.5))), half_of="produce-16k"),
    Row("latency-transactions", "Commit of a transaction of 100 × 1 KiB at half of Kafka's peak, 8 producers", LATENCY, "transactions --rate {rate}",
        (Figure("commit_p50_us", "p50 µs", LOWER, at_most(1 / 4)), Figure("commit_p99_us", "p99 µs", LOWER, at_most(0.5)),
         Figure("transaction_p50_us", "p50 µs from its first record", LOWER, at_most(1 / 4))), half_of="transactions", brokers=BROKERS),
    Row("end-to-end", "One record end to end, a consumer waiting", LATENCY, "end-to-end",
        (Figure("end_to_end_p50_us", "p50 µs", LOWER, at_most(0.3)), Figure("end_to_end_p99_us", "p99 µs", LOWER, at_most(0.3)))),
    Row("produce-one-partition", "Small produce over one partition, 4 connections", MEMORY, "produce --connections 4 --partitions 1",
        (Figure("cpu_us_per_request", "CPU µs/request", LOWER),), brokers=BROKERS),
    Row("produce-3000", "Small produce over 3,000 partitions, 4 connections", MEMORY, "produce --connections 4 --partitions 3000",
        (Figure("requests_per_second", "requests/s", HIGHER, at_least(1)),
         Figure("cpu_us_per_request", "CPU µs/request", LOWER, at_most(1))), brokers=BROKERS, longer=2.0,
        quick="produce --connections 4 --partitions 500"),
)

# Rows that need a broker's process to start and stop; `measure.py` knows how.
START = Row("start", "Start of an empty broker", MEMORY, "", (
    Figure("first_answer_ms", "ms to the first answer", LOWER, at_most_absolute(50)),
    Figure("rss_mib", "idle RSS MiB", LOWER, at_most_absolute(16)),
    Figure("stop_ms", "ms to stop", LOWER, at_most(1))), brokers=BROKERS)
PARTITIONS = Row("partitions", "10,000 partitions", MEMORY, "", (
    Figure("anonymous_mib", "anonymous MiB", LOWER, at_most_absolute(100)),
    Figure("ready_after_kill_ms", "ms until all answer after kill −9", LOWER, at_most_absolute(2000)),
    Figure("ready_after_stop_ms", "ms until all answer after a clean stop", LOWER, at_most_absolute(500)),
    Figure("stop_ms", "ms to stop", LOWER, at_most_absolute(1000))), brokers=BROKERS)
IDLE = Row("idle", "10,000 connections that say nothing", MEMORY, "idle --connections 10000",
    (Figure("anonymous_kib_per_connection", "KiB/connection", LOWER, at_most_absolute(8)),
     Figure("among_idle_p99_us", "p99 µs of another", LOWER, at_most(1)),
     Figure("alone_p99_us", "p99 µs of another, before", LOWER)), brokers=BROKERS, quick="idle --connections 1000")
SPECIAL = (IDLE, START, PARTITIONS)


@dataclass(frozen=True)
class Derived:
    """A figure made of two rows of the same broker: `numerator ÷ denominator`."""

    title: str
    key: str
    numerator: str
    denominator: str
    target: Target | None = None


DERIVED = (
    Derived("CPU of a small produce over 3,000 partitions ÷ over one", "cpu_us_per_request", "produce-3000", "produce-one-partition",
            Target(1.2, absolute=True)),
    Derived("CPU of idempotent production ÷ of any other", "cpu_s_per_gib", "produce-idempotent", "produce-256k", Target(1.03, absolute=True)),
    Derived("CPU of a fetch at read_committed ÷ at read_uncommitted", "cpu_s_per_gib", "fetch-committed", "fetch-1m",
            Target(1.02, absolute=True)),
)


@dataclass
class Settings:
    """How much of everything."""

    rounds: int = 5
    seconds: float = 5.0
    warmup: float = 3.0
    partitions: tuple[int, ...] = (1, 1_000, 3_000, 10_000)
    slow_rounds: int = 3
    quick: bool = field(default=False)

    @staticmethod
    def quickly():
        return Settings(rounds=2, seconds=2.0, warmup=1.0, partitions=(1, 200, 1_000), slow_rounds=1, quick=True)
