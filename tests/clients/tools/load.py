"""The tools that put load on a broker and count what comes of it."""

import json

from suite import equal, unique
from tool import has, made, run


def performance():
    topic = made("perf", 3)
    printed = run("producer-perf", "--topic", topic, "--num-records", 20_000, "--record-size", 200, "--throughput", -1)
    has(printed, r"^20000 records sent, .*99\.9th\.$")
    printed = run("consumer-perf", "--topic", topic, "--num-records", 20_000, "--timeout", 20_000)
    equal("20000", printed.splitlines()[-1].split(", ")[4], "records consumed")


def latency():
    printed = run("e2e-latency", "--topic", made("latency"), "--num-records", 200, "--producer-acks", "all", "--record-size", 100)
    has(printed, r"^Avg latency: \d+\.\d+ ms$", r"^Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+$")


def verifiable():
    topic = made("verifiable")
    printed = run("verifiable-producer", "--topic", topic, "--max-messages", 500, "--acks", -1)
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    told = next(event for event in events if event["name"] == "tool_data")
    equal((500, 500), (told["sent"], told["acked"]), "sent and acknowledged")
    equal(list(range(500)), [event["offset"] for event in events if event["name"] == "producer_send_success"], "offsets")
    words = ("--topic", topic, "--group-id", unique("verifiable"), "--max-messages", 500, "--reset-policy", "earliest")
    printed = run("verifiable-consumer", *words)
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    equal(500, sum(event["count"] for event in events if event["name"] == "records_consumed"), "records consumed")
    committed = [event for event in events if event["name"] == "offsets_committed"]
    equal((True, 500), (committed[-1]["success"], committed[-1]["offsets"][0]["offset"]), "offset committed")


PROMISES = {"performance-tools": performance, "latency-tool": latency, "verifiable-tools": verifiable}
