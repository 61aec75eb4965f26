"""The promises through Apache Kafka's own command-line tools: each is run as a process and held to what it prints."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import admin  # noqa: E402
import console  # noqa: E402
import consumer_groups  # noqa: E402
import guarded  # noqa: E402
import load  # noqa: E402
import tool  # noqa: E402

from suite import Suite  # noqa: E402


def main() -> None:
    tool.quicken()
    suite = Suite("kafka-tools")
    for module in (console, admin, consumer_groups, load, guarded):
        for name, check in module.PROMISES.items():
            suite.promise(name, check, needs=getattr(module, "NEEDS", {}).get(name))


main()
