"""One plot for each family: throughput, CPU, latency, memory against partitions."""

import textwrap

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "klamm",  # the same results give the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
})

import matplotlib.pyplot as plt  # noqa: E402  (the backend must be chosen first)
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter  # noqa: E402

from .rows import PARTITIONS, ROWS  # noqa: E402

COLOURS = {"kafka": "#8a8f98", "klamm": "#0b6e99", "floor": "#d9b44a"}
NAMES = {"kafka": "Apache Kafka", "klamm": "klamm", "floor": "floor"}
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


def save(figure, folder, name):
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def short(value):
    """1.2 M, 34 k, 5.6: as much as a bar has room for."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def dots(axes, state, key, unit):
    """One line for each row that has the figure, one dot a broker with whiskers over the spread of rounds. The scale is logarithmic:
    the loads differ by orders of magnitude, and equal distances are equal ratios."""
    rows = [row for row in ROWS if row.id in state["rows"] and any(figure.key == key for figure in row.figures)]
    for index, row in enumerate(rows):
        measured = {broker: one["median"] | {"low": one["min"].get(key), "high": one["max"].get(key)}
                    for broker, one in state["rows"][row.id].items() if broker in COLOURS and key in one["median"]}
        middles = [one[key] for one in measured.values()]
        axes.plot([min(middles), max(middles)], [index, index], color="#cccccc", zorder=1)
        for broker, one in measured.items():
            axes.errorbar(one[key], index, xerr=[[one[key] - one["low"]], [one["high"] - one[key]]], fmt="o", markersize=7,
                          color=COLOURS[broker], elinewidth=1, capsize=2, zorder=2)
            above = 7 if broker == "klamm" else -14
            axes.annotate(short(one[key]), (one[key], index), xytext=(0, above), textcoords="offset points", ha="center", fontsize=8,
                          color=COLOURS[broker])
    axes.set_yticks(range(len(rows)), [textwrap.fill(row.title, 44) for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlabel(unit)
    axes.margins(x=0.08)


def legend(figure, brokers):
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for broker, colour in COLOURS.items() if broker in brokers]
    figure.legend(handles, [NAMES[broker] for broker in COLOURS if broker in brokers], loc="outside upper center", ncols=3)


def brokers_of(state, ids):
    return {broker for id in ids for broker in state["rows"].get(id, {})}


def draw_dots(state, folder, name, panels):
    ids = {key: [row.id for row in ROWS if row.id in state["rows"] and any(f.key == key for f in row.figures)] for key, _ in panels}
    panels = [(key, unit) for key, unit in panels if ids[key]]
    if not panels:
        return
    figure, axes = plt.subplots(len(panels), 1, figsize=(10, 1 + sum(0.5 + 0.55 * len(ids[key]) for key, _ in panels)), squeeze=False,
                                gridspec_kw={"height_ratios": [len(ids[key]) for key, _ in panels]})
    for panel, (key, unit) in zip(axes[:, 0], panels):
        dots(panel, state, key, unit)
    legend(figure, brokers_of(state, sum(ids.values(), [])))
    save(figure, folder, name)


def draw_latency(state, folder):
    """Percentiles on an axis that gives each further nine the same width, latency on a logarithmic one."""
    wanted = (("latency-small", ""), ("latency-16k", ""), ("end-to-end", "end to end"), ("flush", ""))
    rows = {row.id: row for row in ROWS}
    panels = [(rows[id], name) for id, name in wanted if id in state["rows"]]
    if not panels:
        return
    figure, axes = plt.subplots(-(-len(panels) // 2), 2, figsize=(10, 0.6 + 3.2 * -(-len(panels) // 2)), squeeze=False)
    for panel, (row, name) in zip(axes.flat, panels):
        for broker, colour in COLOURS.items():
            series = [s for s in state["rows"][row.id].get(broker, {}).get("latencies", ()) if s["name"] == name]
            points = [(1 / (1 - q), us) for s in series for q, us in s["quantiles_us"] if q < 1]
            panel.plot(*zip(*points), color=colour, linewidth=1.8) if points else None
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlim(1, 1e5)
        panel.xaxis.set_major_locator(FixedLocator([1 / (1 - q) for q in QUANTILES]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * (1 - 1 / x):.6g} %"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda us, _: f"{us / 1000:g} ms" if us >= 1000 else f"{us:g} µs"))
        panel.set_title(textwrap.fill(row.title, 52), fontsize=9)
    for panel in list(axes.flat)[len(panels):]:
        panel.set_visible(False)
    legend(figure, brokers_of(state, [row.id for row, _ in panels]))
    save(figure, folder, "latency")


def draw_memory(state, folder):
    memory = state["rows"].get(PARTITIONS.id, {}).get("memory")
    if not memory:
        return
    figure, axes = plt.subplots(figsize=(7, 4))
    for broker, points in memory.items():
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", color=COLOURS[broker])
        axes.annotate(f"{points[-1][1]:.0f} MiB", (points[-1][0], points[-1][1]), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_xlabel("partitions, one record in each")
    axes.set_ylabel("anonymous memory, MiB")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    legend(figure, memory)
    save(figure, folder, "memory")


def draw_all(state, folder):
    draw_dots(state, folder, "throughput", (("requests_per_second", "requests/s"), ("mib_per_second", "MiB/s")))
    draw_dots(state, folder, "cpu", (("cpu_us_per_request", "CPU µs a request"), ("cpu_s_per_gib", "CPU s a GiB")))
    draw_latency(state, folder)
    draw_memory(state, folder)
