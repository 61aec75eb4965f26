"""The promises of one suite, named by the first argument; each leaves no process of its own behind."""

import faulthandler
import importlib
import os
import signal
import sys
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients" / "python"))

from program import Program  # noqa: E402
from suite import Suite  # noqa: E402


def kept(check) -> None:
    try:
        check()
    finally:
        Program.kill_all()


def main() -> None:
    faulthandler.register(signal.SIGQUIT)  # a promise that hangs tells where it stands
    module = importlib.import_module(sys.argv[1])
    suite = Suite(sys.argv[1])
    for name, check in module.PROMISES.items():
        suite.promise(name, partial(kept, check), needs=module.NEEDS.get(name))
    sys.stdout.flush()
    os._exit(0)  # threads of a client that hangs must not hold the end up


main()
