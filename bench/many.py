#!/usr/bin/env python3
"""Very many connections held by one server thread, each echoing once a second; the load comes from several processes.

many.py [--build DIR] [--connections N] [--rings N] [--loads N] [--seconds S] [--settle S] [--reactor NAME]

Prints one table: connections, echoes per second, latencies as the loads have seen them, memory of the server and of the kernel for
each connection. Bounded in time; what was started is ended. Exit status 1: a connection failed, or not all were held at once."""
import argparse
import re
import select
import signal
import subprocess
import sys
import time


def options():
    p = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    p.add_argument('--build', default='build/bench', help='a release build with benchmarks (default: %(default)s)')
    p.add_argument('--connections', type=int, default=50000)
    p.add_argument('--rings', type=int, default=3)
    p.add_argument('--loads', type=int, default=3, help='processes that load (default: %(default)s)')
    p.add_argument('--seconds', type=float, default=8, help='measured (default: %(default)s)')
    p.add_argument('--settle', type=float, default=8, help='from the first message to the measurement (default: %(default)s)')
    p.add_argument('--interval', type=float, default=1, help='seconds between two messages of a connection (default: %(default)s)')
    p.add_argument('--reactor', default='uring', help="the server's (default: %(default)s)")
    return p.parse_args()


def kernel_bytes():
    """Slabs of the whole machine: sockets, their queues' heads, timers, files. Both ends of a connection are in there."""
    with open('/proc/meminfo', encoding='ascii') as f:
        found = dict(re.findall(r'(\w+):\s+(\d+) kB', f.read()))
    return int(found['Slab']) * 1024


def resident_bytes(pid):
    with open(f'/proc/{pid}/statm', encoding='ascii') as f:
        return int(f.read().split()[1]) * 4096


def share(total, parts):
    return [total // parts + (i < total % parts) for i in range(parts)]


def line_by(process, until):
    """A line of its output; empty: it has ended, or the time is over."""
    ready, _, _ = select.select([process.stdout], [], [], max(0.1, until - time.monotonic()))
    return process.stdout.readline() if ready else ''


def tell(loads):
    for p in loads:
        if p.poll() is None:
            p.stdin.write('\n')
            p.stdin.flush()


def run(o, limit_s):
    server = subprocess.Popen([f'{o.build}/bench/many', '--rings', str(o.rings), '--reactor', o.reactor],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    loads = []
    try:
        addresses = [line.split()[-1] for line in (server.stdout.readline() for _ in range(o.rings)) if line.strip()]
        if len(addresses) < o.rings:
            return [], '', [0, 0], [server.wait()]  # it has said why
        before = (kernel_bytes(), resident_bytes(server.pid))
        for i, count in enumerate(share(o.connections, o.loads)):
            loads.append(subprocess.Popen([f'{o.build}/bench/load', '--connections', str(count), '--interval', str(o.interval), '--seconds',
                                           str(o.seconds), '--warmup', str(o.settle), '--together', '--pid', str(server.pid),
                                           addresses[i % o.rings]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        until = time.monotonic() + limit_s
        for p in loads:
            line_by(p, until)  # connected: opening or closing so many beside a measurement would disturb it
        tell(loads)
        figures = [line_by(p, until) for p in loads]
        held = (kernel_bytes(), resident_bytes(server.pid))
        tell(loads)
        texts = [figure + p.communicate(timeout=max(0.1, until - time.monotonic()))[0] for figure, p in zip(figures, loads)]
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=40)[0]
    finally:
        for p in loads + [server]:
            if p.poll() is None:
                p.kill()
                p.wait()
    bad = [p.returncode for p in loads + [server] if p.returncode != 0]
    return texts, said, [(a - b) / o.connections for a, b in zip(held, before)], bad


def main():
    o = options()
    texts, said, (kernel, resident), bad = run(o, limit_s=60 + o.seconds + o.settle)
    rows = [dict(re.findall(r'(\w+)=(\S+)', t)) for t in texts]
    found = dict(re.findall(r'(\w+)=(\d+)', said))
    if bad or not all(rows) or not found:
        sys.stderr.write(f'many: a process failed: {bad}\n{"".join(texts)}{said}')
        return 1
    print('| load | connections | echoes/s | missed | p50 us | p99 us | p99.9 us | max us |\n|---|---|---|---|---|---|---|---|')
    keys = ('p50_us', 'p99_us', 'p999_us', 'max_us')
    for i, r in enumerate(rows):
        print(f'| {i + 1} | {r["connections"]} | {float(r["echoes_per_s"]):.0f} | {r["missed"]} | '
              + ' | '.join(f'{float(r[k]):.0f}' for k in keys) + ' |')
    print(f'| all; latencies: the worst | {sum(int(r["connections"]) for r in rows)} | {sum(float(r["echoes_per_s"]) for r in rows):.0f} | '
          f'{sum(int(r["missed"]) for r in rows)} | '
          + ' | '.join(f'{max(float(r[k]) for r in rows):.0f}' for k in keys) + ' |')
    print(f'\nserver: {found["rings"]} rings, one thread, {found["most"]} connections held at once, {found["direct"]} of them direct; '
          f'resident {resident:.0f} bytes for each, slabs of the kernel (both ends) {kernel:.0f} bytes for each')
    cpu = sum(float(r['cpu_us_per_echo']) * int(r['echoes']) for r in rows) / len(rows) / max(1, sum(int(r['echoes']) for r in rows))
    print(f'server: {cpu:.2f} us of CPU for each echo')
    errors = sum(int(r['errors']) for r in rows)
    return 1 if errors or int(found['most']) != o.connections else 0


if __name__ == '__main__':
    sys.exit(main())
