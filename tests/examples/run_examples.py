"""Runs the examples as a user does: what they print, how they end, what they say to a wrong argument.

run_examples.py HELLO ASSEMBLE BLOCKING_FROM_THREAD ECHO HASH SHARES [UV_TOGETHER]
run_examples.py --chosen HELLO BLOCKING_FROM_THREAD ECHO HASH: as the environment says (SLEY_EXECUTOR, SLEY_REACTOR, SLEY_STYLE, ...)"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

from tap import Tap

LIMIT_S = 120  # sanitizers and valgrind are slow; nothing here waits that long otherwise
tap = Tap()


def run(*argv, **env):
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **env})


def one_line(text):
    return text.endswith('\n') and text.count('\n') == 1


class Echo:
    """An echo server on a free port, ended by a signal when the block is left."""

    def __init__(self, program, *options, ends_by=signal.SIGTERM):
        self.argv, self.ends_by = [program, '--port', '0', *options], ends_by
        self.status, self.errors, self.port = None, '', 0

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.said = self.process.stdout.readline()
        found = re.match(r'listening on (\S+):(\d+) \((.*)\)\n', self.said)
        if found:
            self.address, self.port, self.parts = found[1].strip('[]'), int(found[2]), found[3]
        return self

    def connect(self):
        return socket.create_connection((self.address, self.port), timeout=LIMIT_S)

    def __exit__(self, *_):
        self.process.send_signal(self.ends_by)
        try:
            rest, self.errors = self.process.communicate(timeout=LIMIT_S)
            self.said += rest
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            self.errors = 'it did not end'
        self.status = self.process.returncode


def exchange(conn, data):
    """Sends data, then the end; returns all that comes back until the server's end."""
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
    got = b''
    while True:
        piece = conn.recv(65536)
        if not piece:
            return got
        got += piece


def receive(conn, count):
    got = b''
    while len(got) < count:
        piece = conn.recv(count - len(got))
        if not piece:
            break
        got += piece
    return got


def check_hello(hello):
    done = run(hello)
    tap.check('hello_greets', (done.returncode, done.stdout, done.stderr) == (0, 'hello, world\n', ''), done)


def check_blocking(blocking):
    done = run(blocking)
    wanted = ''.join(f'{n} squared is {n * n}\n' for n in range(1, 6))
    tap.check('blocking_from_thread_gets_its_answers', (done.returncode, done.stdout, done.stderr) == (0, wanted, ''), done)


def check_programs(hello, assemble):
    done = run(hello, SLEY_REACTOR='poll')
    tap.check('hello_on_another_reactor', (done.returncode, done.stdout) == (0, 'hello, world\n'), done)
    done = run(hello, SLEY_REACTOR='steam')
    tap.check('hello_on_an_unknown_reactor_lists_what_there_is',
              done.returncode == 2 and one_line(done.stderr) and 'steam' in done.stderr and 'epoll' in done.stderr, done)
    done = run(hello, SLEY_WORKERS='many')
    tap.check('hello_with_bad_workers_says_so', done.returncode == 2 and one_line(done.stderr) and 'many' in done.stderr, done)
    done = run(assemble)
    tap.check('assemble_runs_and_leaves_nothing_behind',
              done.returncode == 0 and 'local' in done.stdout and ', 0 left behind' in done.stdout and not done.stderr, done)


def check_shares(shares):
    done = run(shares)
    wanted = 'web: 1000 shares, ran some time\nbatch: 100 shares, ran some time\n'
    tap.check('assemble_shares_serves_both_queues', (done.returncode, done.stdout, done.stderr) == (0, wanted, ''), done)


def fnv1a(data):
    total = 0xcbf29ce484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001b3 % 2**64
    return total


def check_hash(program):
    contents = [b'', b'a', bytes(range(256)) * 1000]  # the last is more than its buffer
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(i)) for i in range(len(contents))]
        for path, content in zip(paths, contents):
            with open(path, 'wb') as f:
                f.write(content)
        done = run(program, *paths)
        wanted = sorted(f'{fnv1a(content):016x}  {path}' for path, content in zip(paths, contents))
        tap.check('hash_prints_each_sum', done.returncode == 0 and sorted(done.stdout.splitlines()) == wanted, done)
        done = run(program, paths[1], os.path.join(folder, 'missing'))
        tap.check('hash_of_a_missing_file_fails_and_says_so',
                  done.returncode == 1 and 'missing' in done.stderr and paths[1] in done.stdout, done)
        done = run(program)
        tap.check('hash_of_nothing', (done.returncode, done.stdout, done.stderr) == (0, '', ''), done)


def check_uv_together(together):
    done = run(together)
    tap.check('uv_together_ticks_and_ends', (done.returncode, done.stdout, done.stderr) == (0, 'tick 1\ntick 2\ntick 3\n', ''), done)


def check_echo(echo, style, reactor, *options):
    name = f'echo_{style}_{reactor}'
    message = bytes(range(256)) * 1000  # more than its buffer, and than a socket's
    with Echo(echo, *options) as server:
        conns = [server.connect() for _ in range(50)]
        answers = []
        for i, conn in enumerate(conns):
            with conn:
                answers.append(exchange(conn, message[:i * 100 + 1]))
        with server.connect() as conn:
            conn.sendall(b'first')
            first = receive(conn, 5)
        with server.connect() as conn:  # one that resets in the middle
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            conn.sendall(b'going')
        with server.connect() as conn:
            conn.sendall(message)
            after = receive(conn, len(message))
        idle = server.connect()  # still there when the signal comes
        idle.sendall(b'x')       # accepted: one that waits to be is reset
        receive(idle, 1)
    tap.check(name + '_sends_back', all(a == message[:i * 100 + 1] for i, a in enumerate(answers)) and first == b'first',
              [len(a) for a in answers])
    tap.check(name + '_survives_a_reset', after == message, len(after))
    with idle:
        gone = idle.recv(1)
    tap.check(name + '_ends_cleanly', server.status == 0 and not server.errors and gone == b'', (server.status, server.errors))
    tap.check(name + '_names_its_parts', f'reactor {reactor}' in server.parts and f'style {style}' in server.parts, server.said)


def check_arguments(echo):
    with Echo(echo, ends_by=signal.SIGINT) as server:
        done = run(echo, '--port', str(server.port))
        tap.check('echo_on_a_port_in_use_says_so',
                  done.returncode == 1 and one_line(done.stderr) and str(server.port) in done.stderr, done)
    tap.check('echo_ends_on_sigint', server.status == 0 and not server.errors, (server.status, server.errors))
    for name, argv in {
            'port_too_large': ['--port', '65536'], 'port_no_number': ['--port', '7x'], 'style': ['--style', 'callback'],
            'address': ['--address', 'localhost'], 'workers': ['--workers', '0'], 'reactor': ['--reactor', 'steam'],
            'executor': ['--executor', 'steam'], 'option': ['--colour'], 'missing_value': ['--port'],
            'word': ['7000']}.items():
        done = run(echo, *argv)
        tap.check(f'echo_bad_{name}_is_one_line_and_status_2',
                  done.returncode == 2 and one_line(done.stderr) and not done.stdout, done)
    done = run(echo, SLEY_STYLE='callback')
    tap.check('echo_bad_style_of_the_environment_is_one_line_and_status_2',
              done.returncode == 2 and one_line(done.stderr) and 'callback' in done.stderr, done)
    done = run(echo, '--help')
    tap.check('echo_help', done.returncode == 0 and '--style' in done.stdout and not done.stderr, done)
    if socket.has_ipv6 and os.path.exists('/proc/net/if_inet6'):
        with Echo(echo, '--address', '::1') as server, server.connect() as conn:
            answer = exchange(conn, b'six')
        tap.check('echo_over_ipv6', answer == b'six' and server.status is not None, answer)


def main_chosen(hello, blocking, echo, hashes):
    check_hello(hello)
    check_blocking(blocking)
    check_hash(hashes)
    check_echo(echo, os.environ['SLEY_STYLE'], os.environ['SLEY_REACTOR'])
    return tap.finish()


def main():
    if sys.argv[1] == '--chosen':
        return main_chosen(*sys.argv[2:])
    hello, assemble, blocking, echo, hashes, shares, *together = sys.argv[1:]
    check_hello(hello)
    check_blocking(blocking)
    check_programs(hello, assemble)
    check_shares(shares)
    check_hash(hashes)
    if together:
        check_uv_together(*together)
    for style in ('frame', 'fiber'):
        for reactor in ('epoll', 'poll') + (('uv',) if together else ()):
            check_echo(echo, style, reactor, '--style', style, '--reactor', reactor)
    check_arguments(echo)
    return tap.finish()


sys.exit(main())
