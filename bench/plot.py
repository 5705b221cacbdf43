#!/usr/bin/python3
"""bench/plot.py [RESULTS.csv [DIR]]: draws what bench/run measured into DIR (default docs/img).

ratios.svg: each line's ratio to its peer, its goal marked. memory.svg: bytes beside the peer's.
echo.svg: CPU per echo and 99th percentile by number of connections. Needs python3-matplotlib.
What bench/shares has written (--csv) becomes shares.svg: how far off each queue's share is, and how late the one with a latency."""

import csv
import math
import sys
from pathlib import Path

try:
    import matplotlib
except ImportError:
    sys.exit("bench/plot.py: needs matplotlib: apt-get install python3-matplotlib")
matplotlib.use("svg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"sley": "#1b6ca8", "fiber": "#7fb3d5", "peer": "#b0b0b0", "goal": "#c0392b"}
LABELS = {"sley": "sley, frame style", "fiber": "sley, fiber style"}
LEGEND = {"frameon": False, "loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncol": 3}

# the same input gives the same file: no date, no random ids; text stays text
matplotlib.rcParams.update({"svg.hashsalt": "sley", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})


def medians(path):
    """{line: {side: row}} in the order of the file."""
    lines = {}
    with open(path, newline="") as results:
        for row in csv.DictReader(results):
            if row["record"] == "median":
                lines.setdefault(row["line"], {})[row["side"]] = row
    return lines


def save(figure, path):
    """Writes one plot."""
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    print(path)


def peer_name(sides):
    """The peer's program, without its arguments."""
    return sides["peer"]["program"].split()[0] if "peer" in sides else ""


def ratios(lines, path):
    """One bar a line and style: CPU time as a share of the peer's; the mark is the goal."""
    wanted = {name: sides for name, sides in lines.items()
              if "sley" in sides and sides["sley"]["kind"] == "ratio" and sides["sley"]["score"]}
    if not wanted:
        return
    figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.42 * len(wanted)))
    for at, sides in enumerate(wanted.values()):
        for side, offset in (("sley", -0.18), ("fiber", 0.18)):
            if sides.get(side, {}).get("score"):
                score = float(sides[side]["score"])
                axes.barh(at + offset, score, 0.34, color=COLOURS[side],
                          label=None if at else LABELS[side])
                axes.text(score, at + offset, f" {score:.2f}", va="center", fontsize=7)
        goal = float(sides["sley"]["goal"])
        goal = None if math.isinf(goal) else goal  # draws nothing
        axes.plot([goal, goal], [at - 0.4, at + 0.4], color=COLOURS["goal"],
                  label=None if at else "goal")
    names = [f"{name} / {peer_name(sides)}" for name, sides in wanted.items()]
    axes.set_yticks(range(len(wanted)), names)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to the peer in the same run (less is better)")
    axes.legend(**LEGEND)
    save(figure, path)


def memory(lines, path):
    """Bytes per task beside the peer's, and the goal."""
    wanted = {name: sides for name, sides in lines.items()
              if "sley" in sides and sides["sley"]["metric"] == "bytes_per_task"}
    if not wanted:
        return
    figure, axes = pyplot.subplots(figsize=(7, 0.8 + 0.5 * len(wanted)))
    for at, sides in enumerate(wanted.values()):
        for side, offset in (("sley", -0.18), ("peer", 0.18)):
            if side in sides:
                value = float(sides[side]["value"])
                label = "sley" if side == "sley" else "peer"
                axes.barh(at + offset, value, 0.34, color=COLOURS[side],
                          label=None if at else label)
                axes.text(value, at + offset, f" {value:,.0f}", va="center", fontsize=7)
        goal = float(sides["sley"]["goal"])
        axes.plot([goal, goal], [at - 0.4, at + 0.4], color=COLOURS["goal"],
                  label=None if at else "goal")
    axes.set_yticks(range(len(wanted)), [f"{n} / {peer_name(s)}" for n, s in wanted.items()])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("resident bytes each (logarithmic; less is better)")
    axes.legend(**LEGEND)
    save(figure, path)


def echo(lines, path):
    """CPU per echo and p99 for each number of connections, sley beside its peer."""
    counts = [name[5:] for name in lines if name.startswith("echo_") and name[5:].isdigit()]
    if not counts:
        return
    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3))
    for axes, suffix, title in ((panels[0], "", "server CPU per echo, us"),
                                (panels[1], "_p99", "99th percentile, us")):
        for number, side in enumerate(("sley", "fiber", "peer")):
            values = [lines.get(f"echo_{count}{suffix}", {}).get(side) for count in counts]
            shown = [(at, float(row["value"])) for at, row in enumerate(values) if row]
            if shown:
                label = LABELS.get(side) or peer_name(lines[f"echo_{counts[0]}"])
                axes.bar([at + (number - 1) * 0.27 for at, _ in shown], [v for _, v in shown],
                         0.25, color=COLOURS[side], label=label)
        axes.set_xticks(range(len(counts)), [f"{int(count):,}" for count in counts])
        axes.set_xlabel("connections")
        axes.set_title(title, fontsize=9)
    panels[1].set_yscale("log")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, **LEGEND)
    save(figure, path)


def shares(rows, path):
    """Left: each queue's CPU time beside what is due to it. Right: how many wakes were served by then."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), gridspec_kw={"width_ratios": [1, 1.6]})
    queues = [row for row in rows if row["record"] == "share"]
    off = [(float(row["value"]) / float(row["reference"]) - 1) * 100 for row in queues]
    left.bar(range(len(queues)), off, 0.5, color=COLOURS["sley"])
    for at, value in enumerate(off):
        left.annotate(f"{value:+.2f}", (at, value), ha="center", va="bottom" if value >= 0 else "top", fontsize=7)
    for limit in (-2, 2):
        left.axhline(limit, color=COLOURS["goal"], linewidth=1)
    left.axhline(0, color="black", linewidth=0.5)
    left.set_ylim(-2.6, 2.6)
    left.set_xticks(range(len(queues)), [row["queue"] for row in queues])
    left.set_xlabel("shares of the queue")
    left.set_title("CPU time, percent off its share", fontsize=9)
    styles = {("wall", "1 ms"): ("sley", "-", "latency 1 ms"), ("own", "1 ms"): ("sley", ":", "... while it had a processor"),
              ("wall", "none"): ("peer", "-", "no latency, slices of 10 ms"), ("own", "none"): ("peer", ":", "... while it had a processor"),
              ("bare", "none"): ("fiber", "-", "a loop that only reads the clock")}
    for (record, queue), (colour, line, label) in styles.items():
        points = [row for row in rows if row["record"] == record and row["queue"] == queue]
        step = max(1, len(points) // 300)
        kept = points[:-20:step] + points[-20:]
        right.plot([max(float(row["value"]) / 1e3, 1e-2) for row in kept],
                   [100 * (1 - float(row["reference"])) + 100 / (len(points) + 1) for row in kept], line, color=COLOURS[colour], label=label)
    right.axvline(2, color=COLOURS["goal"], linewidth=1)
    right.axhline(0.1, color=COLOURS["goal"], linewidth=0.5)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("ms late (the goal: 2 ms at p99.9, red)")
    right.set_title("wakes served later than that, percent", fontsize=9)
    right.legend(frameon=False, fontsize=7)
    save(figure, path)


def main():
    """Draws what the results hold."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bench/out/results.csv"
    where = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs/img"
    try:
        lines = medians(results)
    except OSError as e:
        sys.exit(f"bench/plot.py: {results}: {e.strerror}: run bench/run first")
    where.mkdir(parents=True, exist_ok=True)
    with open(results, newline="") as rows:
        lateness = list(csv.DictReader(rows))
    if lateness and "queue" in lateness[0]:
        shares(lateness, where / "shares.svg")
        return
    ratios(lines, where / "ratios.svg")
    memory(lines, where / "memory.svg")
    echo(lines, where / "echo.svg")


if __name__ == "__main__":
    main()
