#!/usr/bin/env python3
"""Tests of the runner itself: reading goals, scoring, and ending what it started.

python3 bench/test_bench.py; needs no build of sley or of the peers."""

import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import goals
import measure
import report

HEADER = "name,part,issue,what,how,load,sley,peer,metric,kind,goal\n"


def read_goals(*rows, only=()):
    """Goals from rows of text."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        f.write("# a comment\n" + HEADER + "\n".join(rows) + "\n")
        f.flush()
        return goals.read(f.name, only)


def line(kind, goal, metric="x"):
    """A line to score, with a peer."""
    row, = read_goals(f"a,tasks,i,w,micro,,s {{style}},p,{metric},{kind},{goal}")
    return report.Line(row)


class Goals(unittest.TestCase):
    """goals.csv."""

    def test_checked_in_goals_are_readable(self):
        rows = goals.read(HERE / "goals.csv")
        self.assertGreater(len(rows), 20)
        for row in rows:
            self.assertNotEqual(row.unit, "", row.name)

    def test_only_selects_by_glob(self):
        rows = goals.read(HERE / "goals.csv", ["echo_1*_p99", "yield_1"])
        self.assertEqual([r.name for r in rows],
                         ["yield_1", "echo_1000_p99", "echo_10000_p99"])

    def test_bad_rows_are_named(self):
        for row, what in (("a,t,i,w,micro,,s,p,m,ratio,fast", "not a number"),
                          ("a,t,i,w,micro,,s,p,m,share,1", "kind"),
                          ("a,t,i,w,guess,,s,p,m,ratio,1", "how"),
                          ("a,t,i,w,micro,,s,,m,ratio,1", "needs a peer"),
                          ("a,t,i,w,micro,,s,p,m,ratio,1,extra", "columns"),
                          ("a,t,i,w,micro,,s,p,m,ratio", "columns")):
            with self.assertRaisesRegex(goals.GoalsError, f"^a: .*{what}", msg=row):
                read_goals(row)

    def test_same_name_twice_is_an_error(self):
        row = "a,t,i,w,micro,,s,p,m,ratio,1"
        with self.assertRaisesRegex(goals.GoalsError, "twice"):
            read_goals(row, row)


class Scores(unittest.TestCase):
    """Medians, scores, verdicts."""

    def test_ratio_is_median_of_pairs_not_ratio_of_medians(self):
        scored = line("ratio", 0.5)
        scored.samples = {"sley": [1.0, 2.0, 9.0], "peer": [10.0, 4.0, 10.0]}
        self.assertEqual(scored.score(), 0.5)  # of 0.1, 0.5, 0.9; the medians' ratio is 0.2
        self.assertEqual(scored.verdict, report.MET)

    def test_just_above_the_goal_is_missed(self):
        scored = line("absolute", 5.5)
        scored.samples = {"sley": [5.6]}
        self.assertEqual(scored.verdict, report.MISSED)

    def test_without_a_goal_a_line_is_reported(self):
        scored = line("ratio", "inf")
        scored.samples = {"sley": [3.0], "peer": [1.0]}
        self.assertEqual((scored.score(), scored.verdict), (3, report.REPORTED))
        self.assertIn("1 without a goal", report.summary([scored]))

    def test_delta_subtracts_the_peer(self):
        scored = line("delta", 80)
        scored.samples = {"sley": [600.0], "peer": [520.0]}
        self.assertEqual((scored.score(), scored.verdict), (80, report.MET))

    def test_without_the_peer_a_ratio_is_not_measured(self):
        scored = line("ratio", 1)
        scored.samples = {"sley": [1.0]}
        self.assertEqual(scored.verdict, report.UNKNOWN)

    def test_sum_of_two_lines_needs_both(self):
        row = line("ratio", 1, "a.ns_per_op+b.ns_per_op").goal
        found = measure.figures("bench=a ns_per_op=1.5\nbench=b ns_per_op=2\n")
        self.assertEqual(row.value(found), 3.5)
        self.assertIsNone(row.value(measure.figures("bench=a ns_per_op=1.5")))


class Runs(unittest.TestCase):
    """Programs are bounded in time and none is left behind."""

    def setUp(self):
        self.programs = measure.Programs()
        self.addCleanup(self.programs.stop_all)

    def test_too_long_a_run_is_ended(self):
        begin = time.monotonic()
        with self.assertRaisesRegex(measure.MeasureError, "longer than"):
            self.programs.output(["/bin/sleep", "30"], 0.2)
        self.assertLess(time.monotonic() - begin, 10)

    def test_failing_program_shows_its_last_words(self):
        with self.assertRaisesRegex(measure.MeasureError, "ended with 3: port in use"):
            self.programs.output(["/bin/sh", "-c", "echo port in use >&2; exit 3"], 5)

    def test_server_that_ends_at_once_is_reported(self):
        server = self.programs.start(["/bin/sh", "-c", "echo no such option >&2; exit 1"])
        with self.assertRaisesRegex(measure.MeasureError, "at once: no such option"):
            measure.wait_listening(server, measure.free_port(), 5)

    def test_missing_program_is_reported(self):
        with self.assertRaisesRegex(measure.MeasureError, "not there"):
            self.programs.start(["/nonexistent/micro"])

    def test_stop_all_ends_a_program_and_its_child(self):
        parent = self.programs.start(["/bin/sh", "-c", "sleep 60 & wait"])
        end = time.monotonic() + 60
        while not measure.children_of(parent.pid) and time.monotonic() < end:
            time.sleep(0.01)
        child, = measure.children_of(parent.pid)
        self.programs.stop_all()
        self.assertIsNotNone(parent.poll())

        def is_over():
            try:
                return Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] == "Z"  # its new parent has not waited for it yet
            except OSError:
                return True

        end = time.monotonic() + 60
        while not is_over() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertTrue(is_over())


LISTENER = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: s.accept()[0].close()"


class Turns(unittest.TestCase):
    """Servers are loaded in turn, one after the other."""

    def test_turns_are_weighed_by_their_echoes(self):
        found = measure.of_turns([{"reqs": 1, "srv_cpu_us_per_req": 9.0, "p99_us": 1},
                                  {"reqs": 8, "srv_cpu_us_per_req": 0.0, "p99_us": 5},
                                  {"reqs": 0, "srv_cpu_us_per_req": 7.0, "p99_us": 9}])
        self.assertEqual((found["srv_cpu_us_per_req"], found["p99_us"]), (1.0, 5))

    def test_each_server_has_its_turn_and_one_that_ends_fails_alone(self):
        programs = measure.Programs()
        self.addCleanup(programs.stop_all)
        with tempfile.TemporaryDirectory() as scratch:
            generator = Path(scratch) / "load"
            generator.write_text(f"#!/bin/sh\necho $2 >>{scratch}/order\necho reqs=2 errors=0 p99_us=$2\n")
            generator.chmod(0o755)
            ports = {"a": measure.free_port(), "b": measure.free_port()}
            commands = {side: ([sys.executable, "-c", LISTENER, str(port)], port) for side, port in ports.items()}
            commands["c"] = (["/bin/sh", "-c", "exit 1"], measure.free_port())
            found = measure.echo(programs, commands, measure.Load(str(generator), "1", 1), pinned=False, turns=4)
            self.assertEqual([found[side]["p99_us"] for side in ports], list(ports.values()))
            self.assertIsInstance(found["c"], measure.MeasureError)
            order = [int(port) for port in (Path(scratch) / "order").read_text().split()]
            self.assertEqual(order, [ports[side] for side in "abbaabba"])


class WholeRun(unittest.TestCase):
    """bench/run with shell scripts in the place of sley and a peer."""

    def run_it(self, sley_ns, *options):
        """Exit status and output of a run in which the peer takes 100 ns."""
        with tempfile.TemporaryDirectory() as scratch:
            scratch = Path(scratch)
            for name, ns in (("sley", sley_ns), ("peer", 100)):
                program = scratch / name
                program.write_text(f"#!/bin/sh\necho bench=a cpu_ns_per_op={ns}\n")
                program.chmod(0o755)
            table = scratch / "goals.csv"
            table.write_text(HEADER + "a,tasks,i,w,micro,,sley,peer,cpu_ns_per_op,ratio,0.2\n")
            done = subprocess.run(
                [HERE / "run", "--no-build", "--sley-build", scratch, "--peers", scratch,
                 "--goals", table, "--out", scratch / "out", "--pairs", "3", *options],
                capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stdout, (scratch / "out/results.csv").read_text()

    def test_met_goal_passes_the_check(self):
        status, text, results = self.run_it(19, "--check")
        self.assertEqual(status, 0, text)
        self.assertIn("1 met, 0 missed", text)
        self.assertEqual(results.count("\nsample,"), 6)

    def test_missed_goal_fails_only_the_check(self):
        self.assertEqual(self.run_it(21)[0], 0)
        status, text, _ = self.run_it(21, "--check")
        self.assertEqual(status, 1)
        self.assertIn("MISSED", text)


if __name__ == "__main__":
    unittest.main()
