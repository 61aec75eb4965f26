"""Runs one suite, a process that says on its standard output, a line each, what it starts and how it ended:

    ::start<TAB>client<TAB>promise
    ::pass<TAB>client<TAB>promise
    ::fail<TAB>client<TAB>promise<TAB>what went wrong
    ::skip<TAB>client<TAB>promise<TAB>why

Anything else it prints goes to its log. A promise that does not end in time, or a suite that dies, fails that promise
alone: the suite is started again and told in DONE what is decided already.
"""

import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path

from report import Report, Result

PROMISE_SECONDS = 240


class Suite:
    def __init__(
        self,
        name: str,
        command: list,
        environment: dict,
        log: Path,
        broker,
        report: Report,
        seconds: int = PROMISE_SECONDS,
    ):
        self.name, self.command, self.environment = name, command, environment
        self.log, self.broker, self.report, self.seconds = log, broker, report, seconds
        self.done = []
        self.began = time.monotonic()

    def run(self) -> None:
        while not self._run_once():
            pass

    def _run_once(self) -> bool:
        """True when the suite came to its own end."""
        decided = len(self.done)
        environment = {**os.environ, **self.environment, "DONE": ",".join(self.done)}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command, env=environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
            try:
                current, why = self._follow(process, log)
            finally:
                _end(process)
        if current:
            self._decide("fail", *current, why)
            # Between promises nothing is learned by starting it again.
            return current == (self.name, "suite")
        if process.returncode != 0 and len(self.done) == decided:
            self.report.add(Result(self.name, "suite", "fail", 0.0, f"ended with status {process.returncode}, see {self.log}"))
            return True
        if process.returncode == 0 and not self.done and not self.environment.get("MATCH"):
            self.report.add(Result(self.name, "suite", "fail", 0.0, f"ended well without a promise, see {self.log}"))
        return process.returncode == 0

    def _follow(self, process, log):
        """Reads what the suite says until it ends or hangs; the promise that was open then, and why it ended."""
        lines = queue.Queue()
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        current = None
        while True:
            try:
                line = lines.get(timeout=self.seconds)
            except queue.Empty:
                process.send_signal(signal.SIGQUIT)  # Java and Go tell where they stand
                _drain(lines, log)
                return current or (self.name, "suite"), f"not decided within {self.seconds} s"
            if line is None:
                return current, f"the suite died with status {process.wait()}, see {self.log}"
            log.write(line.encode())
            if not line.startswith("::"):
                continue
            log.flush()
            verdict, client, promise, *note = line[2:].rstrip("\n").split("\t")
            if verdict == "start":
                current, self.began = (client, promise), time.monotonic()
            else:
                self._decide(verdict, client, promise, " ".join(note))
                current = None

    def _decide(self, verdict: str, client: str, promise: str, note: str) -> None:
        seconds = 0.0 if verdict == "skip" else time.monotonic() - self.began
        if self.broker.running and not self.broker.alive:
            verdict, note = "fail", f"the broker died with status {self.broker.process.returncode}; {note}"
        self.done.append(f"{client}/{promise}")
        self.report.add(Result(client, promise, verdict, seconds, note))
        self.broker.start()


def _pump(stream, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line.decode(errors="replace"))
    lines.put(None)


def _drain(lines: queue.Queue, log) -> None:
    """What is still said, until there is silence."""
    try:
        while (line := lines.get(timeout=2)) is not None:
            log.write(line.encode())
    except queue.Empty:
        pass


def _end(process) -> None:
    """Ends the suite and whatever it started: it has a process group of its own."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
