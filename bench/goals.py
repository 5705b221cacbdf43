"""goals.csv as rows: which line, how it is measured, and what it has to reach."""

import csv
import fnmatch
from dataclasses import dataclass
from pathlib import Path

KINDS = ("ratio", "absolute", "delta")
HOWS = ("micro", "micro-free", "echo", "echo-free", "memory", "instructions", "syscalls", "startup", "size")

UNITS = {
    "cpu_ns_per_op": "ns",
    "ns_per_op": "ns",
    "bytes_per_task": "B",
    "srv_cpu_us_per_req": "us",
    "srv_bytes_per_conn": "B",
    "p99_us": "us",
    "startup_us": "us",
    "stripped_bytes": "B",
    "instructions_per_echo": "instr",
    "syscalls_per_echo": "calls",
}


class GoalsError(Exception):
    """A row that cannot be used; the text names the row and what is wrong with it."""


@dataclass(frozen=True)
class Goal:
    """One row of goals.csv."""

    name: str
    part: str
    issue: str
    what: str
    how: str
    load: str
    sley: str
    peer: str
    metric: str
    kind: str
    goal: float

    @property
    def unit(self):
        """The metric's unit, for people."""
        return UNITS.get(self.metric.split("+")[0].split(".")[-1], "")

    @property
    def measured_by(self):
        """Rows with the same key are looked up in the same runs."""
        return (self.how, self.load, self.sley, self.peer)

    def value(self, fields):
        """The row's figure in what one run printed; None when it is not there."""
        parts = [fields.get(term) for term in self.metric.split("+")]
        return None if None in parts else sum(parts)

    def score(self, sley, peer):
        """What is held against the goal; None when the peer is needed and missing."""
        if self.kind == "absolute":
            return sley
        if peer is None:
            return None
        return sley / peer if self.kind == "ratio" else sley - peer


def _row(fields):
    name = fields.get("name") or "a row without a name"
    if None in fields or None in fields.values():
        raise GoalsError(f"{name}: wrong number of columns")
    if fields["how"] not in HOWS:
        raise GoalsError(f"{name}: how is {fields['how']!r}, not one of {', '.join(HOWS)}")
    if fields["kind"] not in KINDS:
        raise GoalsError(f"{name}: kind is {fields['kind']!r}, not one of {', '.join(KINDS)}")
    if fields["kind"] != "absolute" and not fields["peer"]:
        raise GoalsError(f"{name}: a {fields['kind']} needs a peer")
    try:
        fields["goal"] = float(fields["goal"])
    except ValueError:
        raise GoalsError(f"{name}: goal {fields['goal']!r} is not a number") from None
    return Goal(**fields)


def read(path, only=()):
    """The rows whose names match one of the globs in only (all rows when it is empty)."""
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    rows = [_row(fields) for fields in csv.DictReader(lines)]
    names = [row.name for row in rows]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise GoalsError(f"named twice: {', '.join(sorted(twice))}")
    if not only:
        return rows
    return [row for row in rows if any(fnmatch.fnmatchcase(row.name, glob) for glob in only)]
