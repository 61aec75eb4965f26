"""Waiting for what comes about in programs that share the machine with whoever waits."""

import suite

# Seconds: a transaction left open by a kill is ended after 10 to 60, and Kafka's admin client waits for 60.
PATIENCE = 180
PAUSE = 0.1


def eventually(what: str, condition) -> None:
    suite.eventually(what, condition, PATIENCE, PAUSE)
