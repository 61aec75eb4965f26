"""What goes in at the console comes out at the console."""

import filecmp
import os
import subprocess

from suite import control, equal
from tool import WORK, command, consume, made, produce, run

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TEXT_SECONDS = 200


def roundtrip(codec):
    topic = made(f"roundtrip-{codec}")
    lines = [f"line {i} of the gorge" for i in range(500)]
    produce(topic, lines, "--compression-codec", codec)
    equal(lines, consume(topic, 500), "lines")


def shapes():
    topic = made("shapes")
    lines = ["a:1,b:2|key|value", "NULL|key|NULL", "a:1|NULL|no key", "NULL|NULL|x" + "y" * 900_000]
    parsing = ["parse.key=true", "parse.headers=true", "key.separator=|", "headers.delimiter=|", "null.marker=NULL"]
    produce(topic, lines, *(word for setting in parsing for word in ("--reader-property", setting)))
    printing = ["print.key=true", "print.headers=true", "key.separator=|", "headers.separator=,", "null.literal=NULL"]
    printed = consume(topic, 4, *(word for setting in printing for word in ("--formatter-property", setting)))
    equal(["a:1,b:2|key|value", "NO_HEADERS|key|NULL", "a:1|NULL|no key", "NO_HEADERS|NULL|x" + "y" * 900_000], printed, "records")


def timestamps():
    topic = made("timestamps", 1, "message.timestamp.type=LogAppendTime")
    produce(topic, ["v"])
    (printed,) = consume(topic, 1, "--formatter-property", "print.timestamp=true")
    assert printed.startswith("LogAppendTime:1") and printed.endswith("\tv"), printed


def acks(level):
    topic = made(f"acks-{level}")
    produce(topic, range(100), "--request-required-acks", level, "--command-property", "enable.idempotence=false")
    equal([str(i) for i in range(100)], consume(topic, 100), "lines")


def committed_offsets():
    topic, group = made("committed"), made("group")
    produce(topic, range(100))
    equal([str(i) for i in range(40)], consume(topic, 40, "--group", group), "first part")
    control("restart")
    equal([str(i) for i in range(40, 100)], consume(topic, 60, "--group", group), "second part")


def from_offset():
    topic = made("from-offset")
    produce(topic, range(50))
    words = ("--topic", topic, "--partition", 0, "--max-messages", 20, "--timeout-ms", 30_000)
    printed = run("console-consumer", *words, "--offset", 30).splitlines()
    equal([str(i) for i in range(30, 50)], [line for line in printed if line.isdigit()], "lines from offset 30")


def text():
    """A text file of hundreds of MB, a line a record, in one partition: what comes out is the same file."""
    source, target, topic = os.environ["TEXT"], WORK / "text.out", made("text")
    with open(source, "rb") as lines:
        count = sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))
        lines.seek(0)
        words = ("--topic", topic, "--compression-codec", "zstd", "--command-property", "linger.ms=20")
        subprocess.run(command("console-producer", *words), stdin=lines, check=True, stdout=subprocess.DEVNULL, timeout=TEXT_SECONDS)
    with target.open("wb") as out:
        words = ("--topic", topic, "--from-beginning", "--max-messages", count, "--timeout-ms", 30_000)
        subprocess.run(command("console-consumer", *words), stdout=out, check=True, timeout=TEXT_SECONDS)
    same = filecmp.cmp(source, target, shallow=False)
    target.unlink()
    assert same, f"what came out of {topic} is not the file that went in"


PROMISES = {
    **{f"roundtrip-{codec}": lambda codec=codec: roundtrip(codec) for codec in CODECS},
    "record-shapes": shapes,
    "timestamps": timestamps,
    **{f"acks-{level}": lambda level=level: acks(level) for level in ("0", "1", "all")},
    "committed-offsets-restart": committed_offsets,
    "seek": from_offset,
    "text": text,
}
