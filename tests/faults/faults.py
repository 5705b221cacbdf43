"""Faults beside 1,000 well-behaved connections: nothing leaks, sticks, spins or crashes. bench/faults.py has the figures.

faults.py ECHO STEADY STYLE REACTOR SANITIZER"""
import os
import re
import signal
import sys
import time

import rig
from tap import Tap

PROGRAM, STEADY, STYLE, REACTOR, SANITIZER = sys.argv[1:]
PLAIN = SANITIZER == 'none'
CONNECTIONS = 1000 if PLAIN else 300
RATE = 4000 if PLAIN else 1000
PATIENCE_S = 30 if PLAIN else 120
LIMIT_MIB = {'frame': 64, 'fiber': 96}[STYLE]
GROWTH_MIB = 2  # what a second time may keep that the first did not
MANY = 7500 if PLAIN else 1000  # in each of two processes
SPIN_S = 0.1  # of CPU time in a second in which nothing happens but that accept rests
OWN_FILES = 16  # more than the server opens for itself

os.environ['FAULTS_PATIENCE_S'] = str(PATIENCE_S)
tap = Tap()


def server(**options):
    return rig.Server(PROGRAM, STYLE, REACTOR, patience_s=PATIENCE_S, **options)


def trouble(s, kind, *numbers):
    return rig.trouble(s, kind, *numbers, patience_s=PATIENCE_S)


class Beside:
    """A server with well-behaved clients, and what must hold of them after a fault."""

    def __init__(self, s, good):
        self.server, self.good = s, good
        self.good.ask('take')
        self.files = s.files()

    def check(self, name):
        """All echoes are right, all of them came, nothing is left of those that misbehaved."""
        s, good = self.server, self.good
        back = rig.wait_for(lambda: s.files() == self.files, PATIENCE_S)
        paused, figures, going = good.ask('pause'), rig.figures(good.ask('take')), good.ask('go')
        peak = s.memory('VmHWM')
        tap.check(f'{name}_well_behaved_go_on', paused == 'paused' and going == 'going' and figures['errors'] == 0
                  and figures['echoes'] > 0 and figures['oldest_us'] == 0, figures)
        tap.check(f'{name}_descriptors_return', back and s.alive(), f'{self.files} descriptors before, {s.files()} after')
        if PLAIN:
            tap.check(f'{name}_memory_is_bounded', peak < LIMIT_MIB, f'{peak:.1f} MiB, at most {LIMIT_MIB}')
        tap.note(f'{name}: {figures["echoes"]:.0f} echoes beside it, p99 {figures["p99_us"]:.0f} us, '
                 f'memory {s.memory("VmRSS"):.1f} MiB, at most {peak:.1f}')


def finish(s, name):
    """SIGTERM, with whatever is connected: status 0 and not a word, but that a slow machine held it up."""
    status, errors = s.stop(signal.SIGTERM)
    errors = re.sub(r'(?m)^\w+: stall.*\n?(  .*\n?)*', '', errors)
    tap.check(f'{name}_ends_well', status == 0 and not errors, f'status {status}: {errors}')


def resets(beside):
    for turn in range(2):
        with trouble(beside.server, 'resets', 25 if PLAIN else 5) as t:
            t.tell('go')
            t.expect('done')
    beside.check('resets_in_every_state')


def dropped(beside, kind, name):
    """15,000 at once, twice: the second time must not need more than the first. What is kept in between is for the next."""
    peaks = []
    for turn in range(2):
        with trouble(beside.server, kind, MANY, 1) as one, trouble(beside.server, kind, MANY, 2) as two:
            one.tell('go'), two.tell('go')
            if kind == 'hold':
                one.expect('open'), two.expect('open')
                one.tell('drop'), two.tell('drop')
            one.expect('done'), two.expect('done')
        rig.wait_for(lambda: beside.server.files() == beside.files, PATIENCE_S)
        peaks.append(beside.server.memory('VmHWM'))
    beside.check(name)
    if PLAIN:
        tap.check(f'{name}_again_takes_no_more_memory', peaks[1] < peaks[0] + GROWTH_MIB, peaks)


def slow(beside):
    least = 3 if PLAIN else 1
    with trouble(beside.server, 'slow', 50, 1000, least) as t:
        time.sleep(1.1 * least)
        tap.check('one_byte_a_second_comes_back', int(t.ask('leave').split()[1]) >= least)
    beside.check('one_byte_a_second')


def deaf(beside):
    """What the server does not read stays with the sender: the kernel's buffers are full, and the server's memory does not grow."""
    s = beside.server
    with trouble(s, 'deaf', 20, 65536) as t:
        before = s.memory('VmRSS')
        t.tell('go')
        sent, first = t.expect('stuck')
        tap.check('deaf_client_is_held_back', sent < 64 << 20, f'{sent} bytes went')
        grown = s.memory('VmRSS') - before
        if PLAIN:
            tap.check('deaf_client_costs_no_memory', grown < GROWTH_MIB, f'{grown} MiB')
        t.tell('listen')
        tap.check('deaf_client_that_listens_hears_all', t.expect('heard')[0] == first)
        t.tell('leave')
        t.expect('done')
    beside.check('deaf_client')


def exhausted():
    """As many descriptors as the well-behaved need and some more; the crowd needs more than that."""
    with server(files=CONNECTIONS + OWN_FILES + 50) as s, \
            rig.steady(STEADY, s, CONNECTIONS, RATE, patience_s=PATIENCE_S) as good:
        beside = Beside(s, good)
        with trouble(s, 'crowd', 200) as t:
            full = rig.wait_for(lambda: s.files() == CONNECTIONS + OWN_FILES + 50, PATIENCE_S)
            tap.check('descriptors_run_out', full and s.alive(), f'{s.files()} descriptors')
            good.ask('pause')
            time.sleep(0.5)
            cpu = s.cpu_s()
            time.sleep(1)
            cpu = s.cpu_s() - cpu
            tap.check('descriptors_exhausted_does_not_spin', cpu < SPIN_S, f'{cpu} s of CPU time in a second')
            served = int(t.ask('count'))
            tap.check('descriptors_exhausted_makes_clients_wait', 0 < served < 200, served)
            good.ask('go')
            t.tell('leave')
            t.expect('left')
            tap.check('descriptors_free_again_are_used', t.line() == 'all served')
        beside.check('descriptors_exhausted')
        finish(s, 'descriptors_exhausted')


def main():
    with server() as s, rig.steady(STEADY, s, CONNECTIONS, RATE, patience_s=PATIENCE_S) as good:
        beside = Beside(s, good)
        resets(beside)
        dropped(beside, 'hold', 'opened_and_dropped')
        dropped(beside, 'drop', 'dropped_at_once')  # how many are there at once is chance: never more than before
        slow(beside)
        deaf(beside)
        with trouble(s, 'deaf', 3, 65536) as t:
            t.tell('go')
            t.expect('stuck')
            finish(s, 'ended_amid_faults')
    exhausted()
    return tap.finish()


if __name__ == '__main__':
    try:
        sys.exit(main())
    except rig.Fault as fault:
        if rig.not_here(fault):
            tap.skip(f'{STYLE}_{REACTOR}', str(fault))
        else:
            tap.check(f'{STYLE}_{REACTOR}', False, fault)
        sys.exit(tap.finish())
