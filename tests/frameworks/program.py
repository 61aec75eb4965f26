"""A program of the frameworks as a process of its own: started, stopped, killed, and started again with the same words."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path

JAVA = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
JAVA += [f"-Dorg.slf4j.simpleLogger.{key}" for key in ("showDateTime=true", "dateTimeFormat=HH:mm:ss.SSS")]
WORK = Path(os.environ["WORK"])
STOP_SECONDS = 60
ANSWER_SECONDS = 60
PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """`name` names its log; whoever starts it a second time goes on with what it left."""

    programs = []

    def __init__(self, name: str, main: str, *words):
        self.log = WORK / f"{name}.log"
        self.command = [*JAVA, "-cp", os.environ["FRAMEWORKS"], main, *map(str, words)]
        self.process = None
        Program.programs.append(self)
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=WORK, preexec_fn=_end_with_parent
            )

    def stop(self) -> None:
        """As a service manager would: SIGTERM, and the program must end by itself."""
        self.check()
        self.process.terminate()
        self.process.wait(STOP_SECONDS)

    def kill9(self) -> None:
        self.check()
        self.process.kill()
        self.process.wait()

    def check(self) -> None:
        assert self.process.poll() is None, f"ended by itself with status {self.process.returncode}, see {self.log}"

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @staticmethod
    def answer(main: str, *words) -> list:
        """The lines that a program prints which ends by itself."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        command = [*JAVA, quiet, "-cp", os.environ["FRAMEWORKS"], main, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, cwd=WORK)
        assert done.returncode == 0, f"{main} ended with status {done.returncode}: {done.stderr[-600:]}"
        return done.stdout.splitlines()

    @classmethod
    def check_all(cls) -> None:
        for program in cls.programs:
            program.check()

    @classmethod
    def kill_all(cls) -> None:
        for program in cls.programs:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        cls.programs.clear()
