"""docs/performance.md: the table with targets, the plots, how it was measured."""

from dataclasses import dataclass

from .rows import BROKERS, DERIVED, HIGHER, LATENCY, LOWER, MEMORY, ROWS, SPECIAL, THROUGHPUT

HEADINGS = {THROUGHPUT: "Throughput and cost", LATENCY: "Latency", MEMORY: "Memory, partitions, connections, start and stop"}
PLOTS = {
    THROUGHPUT: (("throughput", "Throughput of every load"), ("cpu", "CPU that the broker takes")),
    LATENCY: (("latency", "Latency by percentile"),),
    MEMORY: (("memory", "Anonymous memory against partitions"),),
}


@dataclass
class Verdict:
    """What was asked and what came: lines for a terminal, and how many targets were missed."""

    text: str
    missed: int


@dataclass
class Line:
    """One figure of one row as it stands in the table."""

    family: str
    row: str
    unit: str
    cells: dict
    ratio: float | None
    asked: str
    passed: bool | None


def number(value):
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:,.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if magnitude >= 1 or value == 0 else f"{value:.3f}"


def cell(measured, key):
    if not measured or key not in measured["median"]:
        return "–"
    middle, low, high = (measured[part][key] for part in ("median", "min", "max"))
    return number(middle) if low == high else f"{number(middle)} [{number(low)}–{number(high)}]"


def ratio(measured, key):
    """klamm ÷ kafka: the median of ratios inside rounds where both have as many, else of the medians."""
    ours, theirs = measured.get("klamm"), measured.get("kafka")
    if not ours or not theirs or key not in ours["median"] or not theirs["median"].get(key):
        return None
    pairs = [(a[key], b[key]) for a, b in zip(ours["rounds"], theirs["rounds"]) if key in a and b.get(key)]
    ratios = sorted(a / b for a, b in pairs)
    return (ratios[len(ratios) // 2] + ratios[(len(ratios) - 1) // 2]) / 2


def judge(target, better, ratio_value, own):
    """What was asked, in words, and whether it was reached (`None` if that is not known)."""
    if target is None:
        return "", None
    value = own if target.absolute else ratio_value
    sign = "≥" if better == HIGHER else "≤"
    asked = f"{sign} {target.bound:g}" + ("" if target.absolute else " × Kafka")
    if value is None:
        return asked, None
    return asked, value >= target.bound if better == HIGHER else value <= target.bound


def lines(state):
    out = []
    for row in (*ROWS, *SPECIAL):
        measured = state["rows"].get(row.id)
        if not measured:
            continue
        for figure in row.figures:
            relative = ratio(measured, figure.key)
            own = measured.get("klamm", {}).get("median", {}).get(figure.key)
            asked, passed = judge(figure.target, figure.better, relative, own)
            cells = {broker: cell(measured.get(broker), figure.key) for broker in (*BROKERS, "floor")}
            out.append(Line(row.family, row.title, figure.unit, cells, relative, asked, passed))
    return out + [line for derived in DERIVED if (line := derived_line(state, derived))]


def derived_line(state, derived):
    numerator, denominator = state["rows"].get(derived.numerator), state["rows"].get(derived.denominator)
    if not numerator or not denominator:
        return None
    values = {broker: numerator[broker]["median"][derived.key] / denominator[broker]["median"][derived.key]
              for broker in BROKERS if broker in numerator and broker in denominator}
    asked, passed = judge(derived.target, LOWER, None, values.get("klamm"))
    cells = {broker: number(values[broker]) if broker in values else "–" for broker in (*BROKERS, "floor")}
    return Line(MEMORY, derived.title, "times", cells, None, asked, passed)


def table(family, all_lines):
    out = ["| load | unit | Kafka | klamm | floor | klamm ÷ Kafka | asked | |", "|---|---|--:|--:|--:|--:|---|---|"]
    before = None
    for line in all_lines:
        if line.family != family:
            continue
        mark = {True: "pass", False: "**missed**", None: ""}[line.passed]
        relative = "–" if line.ratio is None else number(line.ratio)
        title = line.row if line.row != before else ""
        out.append(f"| {title} | {line.unit} | {line.cells['kafka']} | {line.cells['klamm']} | {line.cells['floor']} | {relative} | "
                   f"{line.asked} | {mark} |")
        before = line.row
    return "\n".join(out)


def write(state, path):
    all_lines = lines(state)
    m = state["machine"]
    parts = [f"""# Performance

klamm beside Apache Kafka {state["kafka"]} and beside a floor: a server that only frames, checks the CRC, writes, answers, and serves
fetches out of a map of the file ([benches/floor.rs](../benches/floor.rs)). What a broker costs more than the floor, it costs for being a broker.

`benches/versus-kafka` wrote this page and drew the plots; run it again to check them on a machine of your own. The raw results of every
round are in [performance/results.json](performance/results.json).

Measured {state["date"]} on {m["cores"]} cores ({m["cpu"]}), {m["memory_gib"]} GiB, Linux {m["kernel"]}, {m["java"]}. The generator shares
these cores with the broker. Medians of {state["rounds"]} rounds of {state["seconds"]:g} s after {state["warmup"]:g} s of warm-up, with the spread
in brackets; start and partitions have rounds of their own. Ratios are medians of the ratios inside rounds.
"""]
    if state.get("quick"):
        parts.append("> A quick run: fewer rounds, seconds, partitions and connections than the titles say. Good for a look, not for a claim.\n")
    for family, heading in HEADINGS.items():
        if not any(line.family == family for line in all_lines):
            continue
        pictures = [f"![{text}](performance/{name}.svg)" for name, text in PLOTS[family] if (path.parent / "performance" / f"{name}.svg").exists()]
        parts.append(f"## {heading}\n\n{table(family, all_lines)}\n\n" + "\n\n".join(pictures) + "\n")
    parts.append(HOW)
    path.write_text("\n".join(parts), encoding="utf-8")
    return verdict(all_lines)


def verdict(all_lines):
    words = {True: "pass  ", False: "MISSED", None: "      "}
    text = [f"{words[line.passed]} {line.row}: {line.cells['klamm']} {line.unit}"
            f"{'' if line.ratio is None else f', {number(line.ratio)} × Kafka'}{f' (asked {line.asked})' if line.asked else ''}"
            for line in all_lines]
    missed = sum(line.passed is False for line in all_lines)
    text.append(f"{sum(line.passed is True for line in all_lines)} targets reached, {missed} missed")
    return Verdict("\n".join(text), missed)


HOW = """## How it is measured

- The generator is `klamm bench`: it speaks Kafka's protocol itself, sends requests that were encoded once and are patched in place, checks
  the error code of every answer, and takes less of the machine than any of the brokers. `klamm bench --help` works against any broker.
- All brokers run at the same time, on the same disk, with one replica. Each round measures every broker once, in turn, every other round in
  the opposite order; before each figure all dirty pages are written (`sync`); each figure gets a fresh topic, which is deleted afterwards.
- Kafka runs as its own start script runs it: KRaft, broker and controller in one process, 1 GiB heap, G1. It is warmed up before the first figure.
- What an acknowledgement promises is the same on both sides. Where nothing else is said it is the page cache: Kafka's default, and
  `flush=background` on klamm, whose own default for a topic with one replica is the disk. The row that says so measures the disk:
  `flush=on-ack` on klamm, `flush.messages=1` on Kafka.
- At a fixed rate a request's latency counts from the moment it was due, whatever became of those before it, so a stall is paid for by all that
  it held up. As fast as answers allow, it counts from when the request was sent, with five requests under way on each connection.
- CPU is user and system time of the broker's process over the measured window. Anonymous memory is what the process itself holds, without
  pages of files. "Until all answer" means that every partition has a leader in Metadata and answers ListOffsets.
"""
