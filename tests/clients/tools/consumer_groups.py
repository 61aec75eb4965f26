"""The tool for consumer groups: what it lists and describes, and every way to reset offsets."""

import datetime
import re
import subprocess

from suite import equal, eventually, unique
from tool import command, consume, file, has, made, produce, run


def describe():
    topic, group = made("groups", 2), unique("groups")
    produce(topic, range(50))
    member = subprocess.Popen(
        command("console-consumer", "--topic", topic, "--group", group, "--from-beginning", "--command-property", "client.id=sealed"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        described = ("--describe", "--group", group)
        eventually("the member is described", lambda: " sealed" in run_group(*described))
        has(run_group(*described), rf"^{group}\s+{topic}\s+1\s+.*sealed-\S+\s+/127.0.0.1\s+sealed\s*$")
        has(
            run_group(*described, "--members", "--verbose"),
            rf"^{group}\s+sealed-\S+\s+/127.0.0.1\s+sealed\s+2\s+.*{topic}",
        )
        has(run_group(*described, "--state"), rf"^{group}\s+127.0.0.1:\d+\s+\(\d+\)\s+range\s+Stable\s+1\s*$")
        assert group in run_group("--list").split()
        has(run_group("--list", "--state", "stable"), rf"^{group}\s+Stable\s*$")
        has(run("groups", "--list"), rf"^{group}\s+Classic\s+consumer\s*$")
        has(run_group("--delete", "--group", group), "GroupNotEmptyException: The group is not empty")
    finally:
        member.terminate()
        member.wait()
    eventually("the group is empty", lambda: re.search(r"Empty\s+0\s*$", run_group(*described, "--state"), re.MULTILINE))
    has(run_group("--delete-offsets", "--group", group, "--topic", topic), rf"^{topic}\s+0\s+Successful\s*$")
    has(run_group("--delete", "--group", group), rf"^Deletion of requested consumer groups \('{group}'\) was successful\.$")
    has(run_group("--delete", "--group", group), "GroupIdNotFoundException: The group id does not exist")
    has(run_group(*described), f"GroupIdNotFoundException: Group {group} not found")


def run_group(*words):
    return run("consumer-groups", *words)


def resets():
    topic, group = made("resets"), unique("resets")
    produce(topic, range(100))
    consume(topic, 40, "--group", group)
    here = ("--reset-offsets", "--group", group, "--topic", topic)

    def goes(offset, *words):
        has(run_group(*here, *words, "--execute"), rf"^{group}\s+{topic}\s+0\s+{offset}\s*$")
        has(run_group("--describe", "--group", group), rf"^{group}\s+{topic}\s+0\s+{offset}\s+100\s+{100 - offset}\s")

    has(run_group(*here, "--to-earliest", "--dry-run"), rf"^{group}\s+{topic}\s+0\s+0\s*$")
    has(run_group("--describe", "--group", group), rf"^{group}\s+{topic}\s+0\s+40\s+100\s+60\s")
    goes(0, "--to-earliest")
    goes(100, "--to-latest")
    goes(55, "--to-offset", "55")
    goes(45, "--shift-by", "-10")
    goes(45, "--to-current")
    goes(0, "--to-datetime", "2020-01-01T00:00:00.000")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    goes(100, "--to-datetime", later.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"))
    goes(0, "--by-duration", "PT1H")
    exported = run_group(*here, "--to-offset", "33", "--export", "--dry-run")
    has(exported, f'^"?{topic}"?,0,33$')
    plan = file("offsets.csv", "".join(line + "\n" for line in exported.splitlines() if line.endswith(",33")))
    goes(33, "--from-file", str(plan))
    has(run_group("--reset-offsets", "--group", group, "--all-topics", "--to-offset", "7", "--execute"), rf"^{group}\s+{topic}\s+0\s+7\s*$")
    has(run_group("--reset-offsets", "--group", group, "--topic", f"{topic}:0", "--to-offset", "8", "--execute"), rf"{topic}\s+0\s+8\s*$")
    equal([str(i) for i in range(8, 100)], consume(topic, 92, "--group", group), "lines from where the offsets were set")


PROMISES = {"admin-groups": describe, "admin-group-offsets": resets}
