#!/usr/bin/env python3
"""What faults cost the well-behaved: 1,000 connections at an even pace, their p99 undisturbed and beside each fault, the server's
memory before, at most and after, and what an idle server does in ten seconds. The clients are those of tests/faults.

bench/faults.py [--build DIR] [--only GLOB] [--repeat N] [--out FILE]; the build: meson setup --buildtype=release."""
import argparse
import csv
import fnmatch
import os
import signal
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/faults'))
sys.dont_write_bytecode = True
import rig

CONNECTIONS, RATE = 1000, 5000
MANY = 7500  # in each of two processes
OWN_FILES = 16
WINDOW_S = 3  # at least so long
SETTLE_S, IDLE_S = 2, 10
LIMIT_MIB = {'frame': 64, 'fiber': 96}
LIMIT_RATIO = 2
CPUS = sorted(os.sched_getaffinity(0))
# The server and those who measure each have a processor before whatever else runs there, where this user may (SCHED_FIFO):
# what is asked is how the server treats the well-behaved, not how a processor is shared with those who make trouble.
SERVER = {'cpu': CPUS[0], 'realtime': True}
MEASURING = {'cpu': CPUS[-1], 'realtime': True}
TROUBLE = {'cpu': CPUS[-1], 'nice': 15}


def exhausted(s):
    with rig.trouble(s, 'crowd', 200, **TROUBLE) as t:
        time.sleep(WINDOW_S)
        t.ask('leave')
        t.expect('all served')


def resets(s):
    with rig.trouble(s, 'resets', 60, 5, **TROUBLE) as t:
        t.tell('go')
        t.expect('done')


def dropped(s, kind='drop'):
    with rig.trouble(s, kind, MANY, 1, **TROUBLE) as one, rig.trouble(s, kind, MANY, 2, **TROUBLE) as two:
        one.tell('go'), two.tell('go')
        if kind == 'hold':
            one.expect('open'), two.expect('open')
            one.tell('drop'), two.tell('drop')
        one.expect('done'), two.expect('done')


def held(s):
    dropped(s, 'hold')


def slow(s):
    with rig.trouble(s, 'slow', 50, 1000, **TROUBLE) as t:
        time.sleep(WINDOW_S)
        t.ask('leave')


def deaf(s):
    with rig.trouble(s, 'deaf', 1, 1 << 20, **TROUBLE) as t:
        t.tell('go')
        t.expect('stuck')
        time.sleep(WINDOW_S)
        t.tell('leave')
        t.expect('done')


FAULTS = {'none': lambda s: time.sleep(WINDOW_S), 'exhausted': exhausted, 'resets': resets, 'dropped_15000': dropped,
          'held_15000': held, 'byte_a_second': slow, 'never_reads': deaf}


def window(s, good, fault):
    """The figures of the well-behaved while the fault is there, and until the server is rid of it."""
    files = s.files()
    good.ask('take')
    begin = time.monotonic()
    fault(s)
    rid = rig.wait_for(lambda: s.files() == files, 60)
    seconds = time.monotonic() - begin
    time.sleep(max(0, WINDOW_S - seconds))
    return {**rig.figures(good.ask('take')), 'seconds': seconds, 'files_left': 0 if rid else s.files() - files}


def measure(programs, style, reactor, name):
    """One fault, beside a fresh server: undisturbed, disturbed."""
    files = {'files': CONNECTIONS + OWN_FILES + 50} if name == 'exhausted' else {}
    with rig.Server(programs['echo'], style, reactor, **SERVER, **files) as s, \
            rig.steady(programs['steady'], s, CONNECTIONS, RATE, **MEASURING) as good:
        time.sleep(0.5)
        alone = window(s, good, FAULTS['none'])
        before = s.memory('VmRSS')
        s.forget_peak()
        beside = window(s, good, FAULTS[name])
        row = {'assembly': f'{style}+{reactor}', 'fault': name, 'p50_us': alone['p50_us'], 'p50_beside_us': beside['p50_us'],
               'p99_us': alone['p99_us'], 'p99_beside_us': beside['p99_us'], 'ratio': beside['p99_us'] / max(alone['p99_us'], 0.1),
               'max_beside_us': beside['max_us'], 'seconds': beside['seconds'], 'echoes': beside['echoes'],
               'errors': beside['errors'], 'files_left': beside['files_left'], 'mib_before': before, 'mib_peak': s.memory('VmHWM'),
               'mib_after': s.memory('VmRSS')}
        status, errors = s.stop(signal.SIGTERM)
        row['status'] = status if not errors else f'{status} {errors}'
        return row


def verdict(row):
    style = row['assembly'].split('+', maxsplit=1)[0]
    bad = [text for failed, text in (
        (row['ratio'] > LIMIT_RATIO, 'p99'), (row['mib_peak'] >= LIMIT_MIB[style], 'memory'), (row['errors'] != 0, 'errors'),
        (row['files_left'] != 0, 'descriptors'), (row['status'] != 0, 'end')) if failed]
    return ' '.join(bad) or 'ok'


def idle(programs, style, reactor):
    """What a server with idle connections does: nothing, or a text that says what."""
    with rig.Server(programs['echo'], style, reactor) as s, rig.steady(programs['steady'], s, CONNECTIONS, 1000) as good:
        good.ask('pause')
        time.sleep(SETTLE_S)
        before = s.activity()
        time.sleep(IDLE_S)
        moved = 'nothing' if s.activity() == before else f'{before} became {s.activity()}'
        return moved, rig.calls_of(s, IDLE_S)


def median(rows):
    return {key: statistics.median(r[key] for r in rows) if isinstance(rows[0][key], float) else rows[0][key] for key in rows[0]} \
        | {'mib_peak': max(r['mib_peak'] for r in rows), 'status': next((r['status'] for r in rows if r['status'] != 0), 0)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--build', type=Path, default=ROOT / 'build/bench', help='a release build with tests and examples')
    parser.add_argument('--only', default='*', help='faults by pattern, of ' + ', '.join([*FAULTS, 'idle']))
    parser.add_argument('--assembly', default='*', help='as frame+epoll, by pattern')
    parser.add_argument('--repeat', type=int, default=1, help='the median of so many is told')
    parser.add_argument('--out', type=Path, default=ROOT / 'bench/out/faults.csv')
    args = parser.parse_args()
    programs = {'echo': str(args.build / 'examples/echo'), 'steady': str(args.build / 'tests/faults/steady')}
    for path in programs.values():
        if not os.access(path, os.X_OK):
            sys.exit(f'faults: not there: {path}')
    assemblies = [(s, r) for s in LIMIT_MIB for r in ('epoll', 'poll') if fnmatch.fnmatch(f'{s}+{r}', args.assembly)]
    rows, failed = [], False
    print(f'{"assembly":12} {"fault":14} {"p50 us":>7} {"beside":>7} {"p99 us":>8} {"beside":>9} {"ratio":>7} {"max us":>9} {"s":>5} '
          f'{"MiB":>5} {"most":>5} {"after":>5}  verdict', flush=True)
    for style, reactor in assemblies:
        for name in fnmatch.filter(FAULTS, args.only):
            row = median([measure(programs, style, reactor, name) for _ in range(args.repeat)])
            row['verdict'] = verdict(row)
            failed |= row['verdict'] != 'ok'
            rows.append(row)
            print(f'{row["assembly"]:12} {name:14} {row["p50_us"]:7.0f} {row["p50_beside_us"]:7.0f} {row["p99_us"]:8.0f} '
                  f'{row["p99_beside_us"]:9.0f} {row["ratio"]:7.2f} {row["max_beside_us"]:9.0f} {row["seconds"]:5.1f} '
                  f'{row["mib_before"]:5.1f} {row["mib_peak"]:5.1f} {row["mib_after"]:5.1f}  {row["verdict"]}', flush=True)
    if rows:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with args.out.open('w', newline='') as f:
            writer = csv.DictWriter(f, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    for style, reactor in assemblies if fnmatch.fnmatch('idle', args.only) else []:
        moved, calls = idle(programs, style, reactor)
        failed |= moved != 'nothing' or (isinstance(calls, dict) and sum(calls.values()) > 2)
        print(f'idle {style}+{reactor}: {IDLE_S} s, {CONNECTIONS} connections: /proc saw {moved}; strace saw {calls or "nothing"}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except rig.Fault as fault:
        sys.exit(f'faults: {fault}')
