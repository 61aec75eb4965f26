"""Runs promises one after the other and says on standard output how each ended; see harness/suite.py for the form."""

import os
import re
import time
import traceback
import urllib.error
import urllib.request
import uuid

PATIENCE = 60
lives = 0  # how often the broker was started again
QUICK = bool(os.environ.get("QUICK"))


class Suite:
    def __init__(self, client: str):
        self.client = client
        self.match = re.compile(os.environ.get("MATCH", ""))
        self.done = os.environ.get("DONE", "").split(",")
        self.capabilities = os.environ.get("CAPABILITIES", "").split(",")

    def promise(self, name: str, check, needs: str | None = None) -> None:
        if needs and needs not in self.capabilities:
            self.skip(name, f"the broker lacks {needs}")
            return
        if not self._wanted(name):
            return
        self._say("start", name)
        try:
            check()
            self._say("pass", name)
        except Exception as error:
            traceback.print_exc()
            self._say("fail", name, f"{type(error).__name__}: {error} ({_place(error)})")

    def skip(self, name: str, why: str) -> None:
        if self._wanted(name):
            self._say("skip", name, why)

    def _wanted(self, name: str) -> bool:
        return bool(self.match.search(f"{self.client} {name}")) and f"{self.client}/{name}" not in self.done

    def _say(self, verdict: str, name: str, note: str = "") -> None:
        words = [f"::{verdict}", self.client, name] + ([" ".join(note.split())] if note else [])
        print("\t".join(words), flush=True)


def _place(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.dirname(__file__) in frame.filename]
    frames = [frame for frame in frames if not frame.filename.endswith("suite.py")] or frames
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"


def equal(expected, got, what: str) -> None:
    assert expected == got, f"{what}: expected {_brief(expected)}, got {_brief(got)}"


def eventually(what: str, condition, seconds: float = PATIENCE, pause: float = 0.01) -> None:
    """Waits for a condition, looking every few milliseconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)


def unique(stem: str) -> str:
    return f"{stem}-{uuid.uuid4().hex[:8]}"


def control(verb: str, broker: str = "BROKER_CONTROL") -> None:
    """restart, stop, start or kill9; returns when it is done and, if started, the broker answers."""
    global lives
    request = urllib.request.Request(f"{os.environ[broker]}/{verb}", method="POST")
    try:
        urllib.request.urlopen(request).read()
        lives += verb in ("start", "restart")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"broker control {verb}: {error.read().decode()}") from None


def _brief(value) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"
