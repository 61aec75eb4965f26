"""The run as a whole: arguments, brokers, rows, page."""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from . import brokers as servers
from . import measure
from .rows import IDLE, PARTITIONS, ROWS, SPECIAL, START, Settings

HERE = Path(__file__).resolve().parent
# What may lie on the disk at a time: five seconds and a warm-up of the fastest row, of a broker and of the one before.
FREE_GIB = 24


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, seconds, partitions and connections")
    parser.add_argument("--rows", help="only these, by id, with commas between; other results are kept as they are")
    parser.add_argument("--brokers", default="kafka,klamm,floor", help="only these (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page from the results that are there")
    parser.add_argument("--no-build", action="store_true", help="take the release builds as they are")
    parser.add_argument("--klamm", type=Path, help="a klamm binary to measure instead of this tree's")
    parser.add_argument("--klamm-arguments", default="serve --config {config}",
                        help="how it is started; {config}, {port} and {data} are filled in (default: %(default)s)")
    parser.add_argument("--kafka-lib", type=Path, help="a folder with Kafka's jars instead of fetching them")
    parser.add_argument("--port", type=int, default=19700, help="first of twenty ports on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--docs", type=Path, help="where the page and its folder go (default: docs)")
    return parser.parse_args()


def with_matplotlib(work):
    """Goes on in a virtual environment that has matplotlib, if this interpreter does not."""
    if importlib.util.find_spec("matplotlib"):
        return
    home = work / "venv"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        print("installing matplotlib", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        (home / "complete").touch()
    os.execv(python, [str(python), *sys.argv])


def machine():
    """What a reader must know of the machine."""
    def first(path, key):
        with open(path, encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "unknown")

    return {"cores": os.cpu_count(), "cpu": first("/proc/cpuinfo", "model name"), "kernel": platform.release(),
            "memory_gib": round(int(first("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)),
            "java": subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]}


def chosen_rows(names):
    rows = [*ROWS, *SPECIAL]
    if not names:
        return rows
    wanted = names.split(",")
    unknown = set(wanted) - {row.id for row in rows}
    if unknown:
        raise SystemExit(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(row.id for row in rows)}")
    return [row for row in rows if row.id in wanted]


def measure_all(rows, brokers, generator, results, keep):
    """All rows; `keep` is called after each, so that a run that ends early leaves what it has."""
    loads = [row for row in rows if row not in SPECIAL]
    real = [broker for broker in brokers if broker.name != "floor"]
    if loads:
        for broker in brokers:
            broker.format()
            broker.start()
        print("warming up", flush=True)
        measure.warm_up(generator, brokers)
        for row in loads:
            print(row.title, flush=True)
            results[row.id] = measure.compare(generator, row, brokers, results)
            keep()
        for broker in brokers:
            broker.kill()
    for row, run_row in ((IDLE, measure.idle), (START, measure.starts), (PARTITIONS, measure.partitions)):
        if row in rows:
            print(row.title, flush=True)
            results[row.id] = run_row(generator, real)
            keep()


def as_json(state):
    """The results with a line for each row, so that a new run of one row changes one line. Five digits are more than they deserve."""
    def rounded(value):
        if isinstance(value, dict):
            return {key: rounded(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rounded(inner) for inner in value]
        return float(f"{value:.5g}") if isinstance(value, float) else value

    head = json.dumps({key: value for key, value in state.items() if key != "rows"}, indent=1, ensure_ascii=False)
    rows = [f" {json.dumps(id)}: {json.dumps(rounded(row), ensure_ascii=False, separators=(',', ':'))}" for id, row in state["rows"].items()]
    return head[:-2] + ',\n "rows": {\n' + ",\n".join(rows) + "\n }\n}\n"


def run(root, doc):
    args = arguments(doc)
    work = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "versus-kafka"
    work.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(work).free >> 30
    if free < FREE_GIB and not args.report:
        raise SystemExit(f"{work} has {free} GiB free, and a run writes up to {FREE_GIB} GiB at a time: make room, or set CARGO_TARGET_DIR")
    with_matplotlib(work)
    from . import page, plots  # pylint: disable=import-outside-toplevel  (they need matplotlib)

    docs = args.docs or root / "docs"
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "results.json"
    if args.report and not stored.exists():
        raise SystemExit(f"no results in {stored} yet")
    state = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {"rows": {}}
    settings = Settings.quickly() if args.quick else Settings()
    if not args.report:
        rows = chosen_rows(args.rows)
        klamm, floor = servers.build(root) if not args.no_build else servers.built(root)
        lib = args.kafka_lib or servers.fetch_kafka(HERE, work)
        everyone = [servers.Kafka(args.port, work, lib),
                    servers.Klamm(args.port + 5, work, args.klamm or klamm, args.klamm_arguments.split()),
                    servers.Floor(args.port + 10, work, floor)]
        brokers = [broker for broker in everyone if broker.name in args.brokers.split(",")]
        if not args.rows:
            state = {"rows": {}}
        state |= {"machine": machine(), "quick": args.quick, "kafka": servers.KAFKA_VERSION, "date": time.strftime("%Y-%m-%d"),
                  "rounds": settings.rounds, "seconds": settings.seconds, "warmup": settings.warmup}

        def keep():
            stored.write_text(as_json(state), encoding="utf-8")

        try:
            measure_all(rows, brokers, measure.Generator(klamm, settings), state["rows"], keep)
        finally:
            for broker in brokers:
                broker.kill()
    plots.draw_all(state, folder)
    verdict = page.write(state, docs / "performance.md")
    print(verdict.text)
    return 1 if verdict.missed else 0
