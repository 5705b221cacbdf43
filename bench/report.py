"""What bench/run found: verdicts, the table for people, and the CSV for everything else."""

import csv
import math
import statistics
from dataclasses import dataclass, field

SIDES = ("sley", "fiber", "peer")
COLUMNS = ("record", "line", "part", "metric", "side", "program", "pair", "value", "score", "kind",
           "goal", "verdict")
MET, MISSED, UNKNOWN, REPORTED = "met", "MISSED", "not measured", "reported"


@dataclass
class Line:
    """A row of the goals with its samples: one per side and pair, None where a run failed."""

    goal: object
    samples: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)

    def median(self, side):
        """The middle of a side's samples; None when it has none."""
        values = [v for v in self.samples.get(side, []) if v is not None]
        return statistics.median(values) if values else None

    def scores(self, side):
        """Each pair's score: both of its runs were made one after the other."""
        mine = self.samples.get(side, [])
        theirs = self.samples.get("peer", [None] * len(mine))
        scores = [self.goal.score(a, b) for a, b in zip(mine, theirs) if a is not None]
        return [score for score in scores if score is not None]

    def score(self, side="sley"):
        """The middle of the pairs' scores; None without any."""
        scores = self.scores(side)
        return statistics.median(scores) if scores else None

    @property
    def verdict(self):
        """Whether the goal is met. Only the side named sley is judged."""
        score = self.score()
        if score is None:
            return UNKNOWN
        if math.isinf(self.goal.goal):
            return REPORTED
        return MET if score <= self.goal.goal else MISSED


def _number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _score(line, value):
    """A score as it is spoken of: 0.18, +80 us, 72 B."""
    if value is None:
        return "-"
    if line.goal.kind == "ratio":
        return f"{value:.3f}"
    sign = "+" if line.goal.kind == "delta" and value >= 0 else ""
    return f"{sign}{_number(value)} {line.goal.unit}".strip()


def _spread(line):
    scores = line.scores("sley")
    if len(scores) < 2:
        return "-"
    if line.goal.kind == "ratio":
        return f"{min(scores):.3f}..{max(scores):.3f}"
    return f"{_number(min(scores))}..{_number(max(scores))}"


def _peer_name(line):
    words = line.goal.peer.split()
    return " ".join([words[0]] + [w for w in words[1:2] if w.isdigit()]) if words else ""


HEADINGS = ("line", "unit", "sley", "fiber", "peer", "", "score", "pairs", "goal", "verdict")


def _cells(line):
    limit = "-" if math.isinf(line.goal.goal) else f"<= {_score(line, line.goal.goal)}"
    return (line.goal.name, line.goal.unit, _number(line.median("sley")),
            _number(line.median("fiber")), _number(line.median("peer")), _peer_name(line),
            _score(line, line.score()), _spread(line), limit, line.verdict)


def table(lines):
    """The table as text in columns."""
    rows = [HEADINGS] + [_cells(line) for line in lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    right = {2, 3, 4, 6}
    text = []
    for row in rows:
        cells = [cell.rjust(w) if i in right else cell.ljust(w)
                 for i, (cell, w) in enumerate(zip(row, widths))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def markdown(lines):
    """The same table for a page of documentation."""
    text = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    text += ["| " + " | ".join(_cells(line)) + " |" for line in lines]
    return "\n".join(text) + "\n"


def summary(lines):
    """One sentence: how many lines met their goal."""
    verdicts = [line.verdict for line in lines]
    return (f"{verdicts.count(MET)} met, {verdicts.count(MISSED)} missed, "
            f"{verdicts.count(UNKNOWN)} not measured, {verdicts.count(REPORTED)} without a goal")


def failures(lines):
    """Why sides are missing, each reason once."""
    return sorted({f"{program}: {why}" for line in lines for program, why in line.failures.items()})


def write_csv(path, machine, lines):
    """Every sample, every median, every verdict, and the machine they come from."""
    with open(path, "w", newline="") as out:
        rows = csv.DictWriter(out, COLUMNS, restval="")
        rows.writeheader()
        for name, value in machine.items():
            rows.writerow({"record": "machine", "line": name, "value": value})
        for line in lines:
            goal = line.goal
            same = {"line": goal.name, "part": goal.part, "metric": goal.metric,
                    "kind": goal.kind, "goal": goal.goal}
            for side in SIDES:
                style = "fiber" if side == "fiber" else "frame"
                program = goal.peer if side == "peer" else goal.sley.replace("{style}", style)
                for pair, value in enumerate(line.samples.get(side, [])):
                    if value is not None:
                        rows.writerow({"record": "sample", "side": side, "program": program,
                                       "pair": pair, "value": value, **same})
                if line.median(side) is not None:
                    score = None if side == "peer" else line.score(side)
                    rows.writerow({"record": "median", "side": side, "program": program,
                                   "value": line.median(side),
                                   "score": "" if score is None else score,
                                   "verdict": line.verdict if side == "sley" else "", **same})
