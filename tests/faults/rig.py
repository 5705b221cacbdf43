"""A server under test, what /proc says about it, and the clients beside it. Shared with bench/faults.py."""
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Fault(Exception):
    """The server, or a client, did not do what it has to."""


def not_here(fault):
    """Did the server say that it cannot have its reactor on this kernel?"""
    return 'reactor uring did not start' in str(fault)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def figures(text):
    return {key: float(value) for key, value in re.findall(r'(\w+)=([\d.]+)', text)}


class Child:
    """A program that is told things by lines and answers by lines."""

    def __init__(self, argv, patience_s=60, cpu=None, nice=0, realtime=False, files=None):
        self.patience_s, self.name, self.buffer = patience_s, Path(argv[0] if len(argv) < 2 else argv[1]).name, b''

        def prepare():
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            if nice:
                try:
                    os.nice(nice)
                except PermissionError:
                    pass  # then it competes on equal terms
            if realtime:
                try:
                    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
                except PermissionError:
                    pass
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=prepare)

    def line(self):
        """The next line it prints."""
        end = time.monotonic() + self.patience_s
        while b'\n' not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Fault(f'{self.name}: no answer in {self.patience_s} s')
            part = os.read(self.process.stdout.fileno(), 4096)
            if not part:
                raise Fault(f'{self.name} ended: {self.stop()[1]}')
            self.buffer += part
        text, self.buffer = self.buffer.split(b'\n', 1)
        return text.decode()

    def tell(self, text):
        try:
            self.process.stdin.write(text.encode() + b'\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Fault(f'{self.name} ended: {self.stop()[1]}') from None

    def ask(self, text):
        self.tell(text)
        return self.line()

    def expect(self, start):
        text = self.line()
        if not text.startswith(start):
            raise Fault(f'{self.name} said "{text}", not "{start}"')
        return [int(x) for x in re.findall(r'\d+', text)]

    def stop(self, sign=None):
        """Ends it: by a signal, or by the end of its input. Returns its status and what it said on standard error."""
        if self.process.returncode is not None and self.process.stderr.closed:
            return self.process.returncode, ''
        if sign:
            self.process.send_signal(sign)
        try:
            errors = self.process.communicate(timeout=self.patience_s)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return 'it did not end', ''
        return self.process.returncode, errors.decode(errors='replace').strip()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None and kind is not None:
            self.process.kill()
        status, errors = self.stop()
        if kind is None and status != 0:
            raise Fault(f'{self.name}: status {status}: {errors}')


class Server(Child):
    """examples/echo on a free port; what /proc has about it."""

    def __init__(self, program, style, reactor, **options):
        super().__init__([program, '--port', '0', '--style', style, '--reactor', reactor], **options)
        self.name, self.pid = f'echo ({style}, {reactor})', self.process.pid
        said = self.line()
        found = re.match(r'listening on \S+:(\d+) ', said)
        if not found:
            raise Fault(f'{self.name} said "{said}"')
        self.port = int(found[1])

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.stop()

    def proc(self, name):
        return Path(f'/proc/{self.pid}/{name}').read_text()

    def alive(self):
        return self.process.poll() is None

    def files(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def cpu_s(self):
        fields = self.proc('stat').rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def memory(self, key):
        """VmRSS or VmHWM (the most it ever was), in MiB."""
        return int(re.search(key + r':\s+(\d+) kB', self.proc('status'))[1]) / 1024

    def forget_peak(self):
        """VmHWM counts from here on."""
        Path(f'/proc/{self.pid}/clear_refs').write_text('5')

    def activity(self):
        """What grows whenever one of its threads leaves a wait: the time each ran, and how often it went to sleep or was moved out."""
        found = {}
        for tid in os.listdir(f'/proc/{self.pid}/task'):
            status = self.proc(f'task/{tid}/status')
            switches = [int(x) for x in re.findall(r'ctxt_switches:\s+(\d+)', status)]
            stat = self.proc(f'task/{tid}/stat').rsplit(')', 1)[1].split()
            found[tid] = (switches, stat[11:13])
        return found


def steady(program, server, connections=1000, rate=5000, **options):
    """The well-behaved clients, each answered once."""
    child = Child([program, '127.0.0.1', str(server.port), str(connections), str(rate)], **options)
    child.name = 'steady'
    try:
        child.expect('ready')
    except Fault:
        child.process.kill()
        raise
    return child


def trouble(server, kind, *numbers, **options):
    """Clients that do not behave: see trouble.py."""
    argv = [sys.executable, str(HERE / 'trouble.py'), kind, str(server.port), *map(str, numbers)]
    child = Child(argv, **options)
    child.name = kind
    try:
        child.expect('ready')
    except Fault:
        child.process.kill()
        raise
    return child


STRACE_TEXT = re.compile(r'^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$', re.M)


class Tracer:
    """strace at a server, from where it has attached on; or `missing`, why not."""

    def __init__(self, server, *options):
        self.process, self.text = None, b''
        try:
            self.process = subprocess.Popen(['strace', '-f', *options, '-p', str(server.pid)], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except FileNotFoundError:
            self.missing = 'no strace'
            return
        os.set_blocking(self.process.stderr.fileno(), False)
        wait_for(lambda: b'attached' in self.read() or self.process.poll() is not None, 60)
        self.missing = None if b'attached' in self.read() else 'strace may not attach'

    def read(self):
        """All that it has said."""
        self.text += self.process.stderr.read() or b''
        return self.text

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            os.set_blocking(self.process.stderr.fileno(), True)
            self.text += self.process.communicate(timeout=60)[1] or b''
        return self.text.decode(errors='replace')


def calls_of(server, seconds):
    """What system calls strace sees: a dictionary of counts, or a text that says why it saw nothing."""
    tracer = Tracer(server, '-c')
    if not tracer.missing:
        time.sleep(seconds)
    text = tracer.stop()
    return tracer.missing or {name: int(count) for count, name in STRACE_TEXT.findall(text) if name != 'total'}


def calls_while_idle(server, seconds, looks):
    """The system calls that strace sees in the last of so many looks, at most, or in the first that sees none: a list, or why there is
    none. Its own attaching interrupts every wait."""
    tracer, calls = Tracer(server), b''
    for _ in range(0 if tracer.missing else looks):
        seen = len(tracer.read())
        time.sleep(seconds)
        calls = tracer.read()[seen:]
        if not calls:
            break
    tracer.stop()
    return tracer.missing or calls.decode(errors='replace').splitlines()
