"""Runs rows with `klamm bench` and keeps what it says."""

import json
import os
import shlex
import signal
import subprocess

from .rows import IDLE, PARTITIONS, START

PREFIX = "bench-partitions"


class Generator:
    """`klamm bench` as a function from a command line to its JSON."""

    def __init__(self, binary, settings):
        self.binary, self.settings = binary, settings

    def __call__(self, workload, *options, rounds=None, longer=1.0, tail=()):
        s = self.settings
        command = [str(self.binary), "bench", *shlex.split(workload), *options, "--rounds", str(rounds or s.rounds),
                   "--seconds", str(s.seconds * longer), "--warmup", str(s.warmup * longer), "--output", "json", *tail]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            how = f"ended with {done.returncode}" if done.returncode > 0 else f"was ended by signal {-done.returncode}"
            raise SystemExit(f"{shlex.join(command)} {how}\n{done.stderr}")
        return json.loads(done.stdout)


def warm_up(generator, brokers):
    """A JVM compiles what is used often: give it that before the first figure."""
    for broker in brokers:
        for workload in ("produce --partitions 4", "produce --records 16 --record-size 1KiB --partitions 4", "fetch", "end-to-end"):
            generator(workload, "--bootstrap-server", broker.address, rounds=1)


def workload_of(row, settings):
    return row.quick if settings.quick and row.quick else row.command


def compare(generator, row, brokers, results):
    """One row over all brokers in alternation; gives each broker's result by name."""
    workload = workload_of(row, generator.settings)
    if row.half_of:
        medians = results[row.half_of]["kafka"]["median"]
        peak = medians.get("requests_per_second") or medians["transaction_requests_per_second"]
        workload = workload.format(rate=max(1, round(peak / 2)))
    chosen = [broker for broker in brokers if broker.name in row.brokers]
    addresses = [f"{broker.name}={broker.address}" for broker in chosen]
    where = ["--compare", *addresses] if len(chosen) > 1 else ["--bootstrap-server", *addresses]
    answer = generator(workload, *where, longer=row.longer)
    return {"title": answer["title"], "labels": answer["labels"], **{broker["name"]: broker for broker in answer["brokers"]}}


def start_once(generator, broker, *options):
    """`bench start` of one broker, once."""
    answer = generator("start", "--bootstrap-server", broker.address, "--log", str(broker.log), *options, rounds=1,
                       tail=("--", *broker.command()))
    return answer["brokers"][0]["rounds"][0]


def summary(rounds):
    """Median and spread of every figure over rounds, in the generator's own form."""
    keys = sorted({key for figures in rounds for key in figures})
    values = {key: sorted(figures[key] for figures in rounds if key in figures) for key in keys}
    middle = {key: (v[len(v) // 2] + v[(len(v) - 1) // 2]) / 2 for key, v in values.items()}
    return {"median": middle, "min": {k: v[0] for k, v in values.items()}, "max": {k: v[-1] for k, v in values.items()}, "rounds": rounds}


def starts(generator, brokers):
    """Starts of empty brokers, in turn. Their directories are made anew each time."""
    rounds = {broker.name: [] for broker in brokers}
    for _ in range(generator.settings.rounds):
        for broker in brokers:
            broker.format()
            rounds[broker.name].append(start_once(generator, broker))
    return {"title": START.title, **{name: summary(figures) for name, figures in rounds.items()}}


def idle(generator, brokers):
    """Idle connections on a broker that has just started: in one that has worked, memory that it took earlier would hide them."""
    rounds = {broker.name: [] for broker in brokers}
    for _ in range(generator.settings.slow_rounds):
        for broker in brokers:
            broker.format()
            broker.start()
            answer = generator(workload_of(IDLE, generator.settings), "--bootstrap-server", broker.address, rounds=1)
            rounds[broker.name].append(answer["brokers"][0]["rounds"][0])
            broker.kill()
    return {"title": IDLE.title, **{name: summary(figures) for name, figures in rounds.items()}}


def many_partitions(generator, broker):
    """One round of one broker: memory as partitions grow, then kill −9, then a clean stop, each with the time until all answer."""
    broker.format()
    broker.adopt(int(start_once(generator, broker, "--end", "leave")["pid"]))
    memory, have = [], 0
    for count in generator.settings.partitions:
        answer = generator("partitions --keep --write --per-topic 1000", "--bootstrap-server", broker.address, "--prefix",
                           f"{PREFIX}-{count}", "--count", str(count - have), rounds=1)
        figures = answer["brokers"][0]["rounds"][0]
        have = count
        memory.append([count, figures["anonymous_mib"], figures["rss_mib"], figures["maps"], figures["descriptors"]])
    broker.kill(signal.SIGKILL)
    os.sync()
    awaited = ("--await", f"{PREFIX}={have}", "--end", "stop")
    killed = start_once(generator, broker, *awaited)
    stopped = start_once(generator, broker, *awaited)
    return {"partitions": have, "anonymous_mib": memory[-1][1], "ready_after_kill_ms": killed["ready_ms"],
            "ready_after_stop_ms": stopped["ready_ms"], "stop_ms": stopped["stop_ms"]}, memory


def partitions(generator, brokers):
    rounds, memory = {broker.name: [] for broker in brokers}, {}
    for _ in range(generator.settings.slow_rounds):
        for broker in brokers:
            figures, grown = many_partitions(generator, broker)
            rounds[broker.name].append(figures)
            memory[broker.name] = grown
    return {"title": PARTITIONS.title, "memory": memory, **{name: summary(figures) for name, figures in rounds.items()}}
