"""One run of one program, bounded in time: starts it, takes its figures, ends what it started.

Every function returns a dictionary of figures by name. A program that prints lines of key=value
after bench=NAME gives each figure twice: as KEY (the first line that has it) and as NAME.KEY.
"""

import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

MICRO_TIMEOUT_S = 180
STARTUP_RUNS = 60
STARTUP_WARMUP = 5
COUNTED_SECONDS = (1, 4)
TURNS = 8
WARMUP_SECONDS = 0.8


class MeasureError(Exception):
    """The program could not be measured; the text says why."""


class Programs:
    """The processes this run has started and not yet ended."""

    def __init__(self):
        self._running = []

    def start(self, argv, cpu=None, **kwargs):
        """Starts argv, on one CPU when given; its errors go to a file that last_words reads."""
        if shutil.which(argv[0]) is None:
            raise MeasureError(f"not there: {argv[0]}")
        errors = tempfile.TemporaryFile()
        pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        process = subprocess.Popen(
            pin + argv, stdin=subprocess.DEVNULL, stderr=errors, text=True, **kwargs)
        process.error_file = errors
        self._running.append(process)
        return process

    def output(self, argv, timeout_s, cpu=None):
        """What argv prints on its standard output; it has to end with status 0 in time."""
        process = self.start(argv, cpu, stdout=subprocess.PIPE)
        try:
            text = process.communicate(timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            raise MeasureError(f"{argv[0]} ran longer than {timeout_s} s") from None
        finally:
            self.stop(process)
        if process.returncode != 0:
            raise MeasureError(f"{argv[0]} ended with {process.returncode}: {last_words(process)}")
        return text

    def stop(self, process, target=None):
        """Ends a process; target is the pid to ask when it is a child of that process."""
        if process.poll() is None:
            try:
                os.kill(target or process.pid, signal.SIGTERM)
                process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
        if process in self._running:
            self._running.remove(process)
            release(process)

    def stop_all(self):
        """Ends what is still running: the run was interrupted."""
        for process in list(self._running):
            for child in children_of(process.pid):
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.kill()
            process.wait()
            release(process)
        self._running.clear()


def release(process):
    """Closes what an ended process wrote to; last_words still knows how it ended."""
    process.said = last_words(process)
    process.error_file.close()
    if process.stdout:
        process.stdout.close()


def last_words(process):
    """The last line a process wrote to its standard error."""
    if process.error_file.closed:
        return process.said
    process.error_file.seek(0)
    lines = process.error_file.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no message"


def children_of(pid):
    """The pids of a process's children; empty when it is gone."""
    try:
        return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def figures(text):
    """The numbers in lines of key=value."""
    found = {}
    for line in text.splitlines():
        pairs = dict(re.findall(r"(\w+)=(\S+)", line))
        for key, value in pairs.items():
            try:
                number = float(value)
            except ValueError:
                continue
            found.setdefault(key, number)
            if "bench" in pairs:
                found[f"{pairs['bench']}.{key}"] = number
    return found


def cpus():
    """The CPUs this process may use, in order."""
    return sorted(os.sched_getaffinity(0))


def micro(programs, argv, pair, pinned=True):
    """A micro benchmark; successive pairs use different CPUs, both sides of one pair the same."""
    usable = cpus()
    cpu = usable[pair % len(usable)] if pinned else None
    found = figures(programs.output(argv, MICRO_TIMEOUT_S, cpu))
    if not found:
        raise MeasureError(f"{argv[0]} printed no figures")
    return found


def startup(argv, pair):
    """Median wall time of a whole process, from its start to when it has been waited for."""
    if shutil.which(argv[0]) is None:
        raise MeasureError(f"not there: {argv[0]}")
    usable = cpus()
    took = []
    os.sched_setaffinity(0, {usable[pair % len(usable)]})  # the children inherit it
    try:
        for _ in range(STARTUP_WARMUP + STARTUP_RUNS):
            begin = time.perf_counter_ns()
            pid = os.posix_spawn(argv[0], argv, os.environ)
            status = os.waitpid(pid, 0)[1]
            took.append((time.perf_counter_ns() - begin) / 1e3)
            if status != 0:
                raise MeasureError(f"{argv[0]} ended with wait status {status}")
    finally:
        os.sched_setaffinity(0, usable)
    return {"startup_us": statistics.median(took[STARTUP_WARMUP:])}


def size(programs, argv):
    """Bytes of the stripped program."""
    with tempfile.TemporaryDirectory() as scratch:
        stripped = Path(scratch) / "stripped"
        if shutil.which(argv[0]) is None:
            raise MeasureError(f"not there: {argv[0]}")
        programs.output(["strip", "-o", str(stripped), argv[0]], 30)
        return {"stripped_bytes": float(stripped.stat().st_size)}


_given_ports = set()


def free_port():
    """A port nobody listens on, another one each time, below the range the load generator's own ports come from."""
    while True:
        port = random.choice([p for p in range(15000, 30000) if p not in _given_ports])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                _given_ports.add(port)
                return port
            except OSError:
                continue


def wait_listening(server, port, seconds=20):
    """Returns once the server accepts a connection."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise MeasureError(f"the server ended at once: {last_words(server)}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise MeasureError(f"the server does not listen after {seconds} s")


class Load:
    """How an echo server is loaded: CONNECTIONS[/PAYLOAD[/DEPTH]] of goals.csv."""

    def __init__(self, generator, text, seconds):
        fields = [int(x) for x in text.split("/")]
        self.generator = generator
        self.connections = fields[0]
        self.payload = fields[1] if len(fields) > 1 else 64
        self.depth = fields[2] if len(fields) > 2 else 1
        self.seconds = seconds

    def run(self, programs, port, cpu, *options, seconds=None):
        """Loads the server at port; an answer that is wrong or missing is a failure."""
        seconds = seconds or self.seconds
        argv = [self.generator, "127.0.0.1", str(port), str(self.connections), str(seconds),
                str(self.payload), str(self.depth), *options]
        found = figures(programs.output(argv, seconds + 80, cpu))
        if found.get("errors") != 0 or not found.get("reqs"):
            raise MeasureError("the server's answers were not all right")
        return found


def echo(programs, commands, load, pinned=True, turns=TURNS):
    """Echo servers under load, each in turn, all of them running: {side: argv and port} in, {side: figures or MeasureError} out.

    Servers on the first CPU, the load generator on the second. What disturbs one turn mostly disturbs its neighbours, too."""
    usable = cpus()
    if pinned and len(usable) < 2:
        raise MeasureError("echo needs two CPUs: one for the server, one for the load")
    servers, found = {}, {side: [] for side in commands}
    try:
        for side, (argv, port) in commands.items():
            try:
                servers[side] = programs.start(argv, usable[0] if pinned else None)
                wait_listening(servers[side], port)
            except MeasureError as e:
                found[side] = e
        for turn in range(turns):
            for side in list(servers)[::-1 if turn % 2 else 1]:
                if isinstance(found[side], MeasureError):
                    continue
                try:
                    found[side].append(load.run(programs, commands[side][1], usable[1] if pinned else None, "--pid",
                                                str(servers[side].pid), "--warmup", str(WARMUP_SECONDS / turns),
                                                seconds=load.seconds / turns))
                except MeasureError as e:
                    found[side] = e
    finally:
        for server in servers.values():
            programs.stop(server)
    return {side: of if isinstance(of, MeasureError) else of_turns(of) for side, of in found.items()}


def of_turns(turns):
    """One run's figures: a time for each echo is that of all echoes, any other one the median of the turns."""
    found = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
    echoes = sum(turn["reqs"] for turn in turns)
    if "srv_cpu_us_per_req" in found and echoes:
        found["srv_cpu_us_per_req"] = sum(turn["srv_cpu_us_per_req"] * turn["reqs"] for turn in turns) / echoes
    return found


def _slope(counted):
    """Events per echo between a short and a long run, so that starting and ending cost nothing."""
    (short_echoes, short_events), (long_echoes, long_events) = counted
    if long_echoes <= short_echoes:
        raise MeasureError("the longer run had no more echoes than the short one")
    return (long_events - short_events) / (long_echoes - short_echoes)


def _counted_run(programs, wrapper, argv, port, load, seconds, server_is_child):
    wrapped = programs.start(wrapper + argv)
    try:
        wait_listening(wrapped, port)
        echoes = load.run(programs, port, None, "--warmup", "0", seconds=seconds)["reqs"]
    finally:
        children = children_of(wrapped.pid) if server_is_child else []
        programs.stop(wrapped, children[0] if children else None)
    return echoes


def instructions(programs, argv, port, load):
    """User-space instructions per echo, as callgrind counts them."""
    counted = []
    with tempfile.TemporaryDirectory() as scratch:
        for seconds in COUNTED_SECONDS:
            out = Path(scratch) / f"callgrind.{seconds}"
            wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
            echoes = _counted_run(programs, wrapper, argv, port, load, seconds, False)
            total = re.search(r"^(?:summary|totals): *(\d+)", out.read_text(), re.M)
            if not total:
                raise MeasureError("callgrind left no count")
            counted.append((echoes, int(total.group(1))))
    return {"instructions_per_echo": _slope(counted)}


def syscalls(programs, argv, port, load):
    """System calls per echo, as strace counts them."""
    counted = []
    with tempfile.TemporaryDirectory() as scratch:
        for seconds in COUNTED_SECONDS:
            out = Path(scratch) / f"strace.{seconds}"
            wrapper = ["strace", "-f", "-c", "-o", str(out)]
            echoes = _counted_run(programs, wrapper, argv, port, load, seconds, True)
            # the columns: % time, seconds, usecs/call, calls, errors (may be empty), syscall
            total = re.search(r"^ *100\.00 +\S+ +\S+ +(\d+) .*total$", out.read_text(), re.M)
            if not total:
                raise MeasureError("strace left no count")
            counted.append((echoes, int(total.group(1))))
    return {"syscalls_per_echo": _slope(counted)}
