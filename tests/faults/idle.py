"""A server with 1,000 idle connections never leaves its wait. idle.py ECHO STEADY STYLE REACTOR SANITIZER [SECONDS]

On a busy machine it takes it a while to be through with what came before: so there are several looks, of which one has to see nothing."""
import sys
import time

import rig
from tap import Tap

LOOKS = 10


def watch(s, seconds):
    """What moved while nothing happened: two dictionaries of threads."""
    before = s.activity()
    time.sleep(seconds)
    return before, s.activity()


def watch_idle(s, seconds):
    for _ in range(LOOKS):
        before, after = watch(s, seconds)
        if before == after:
            break
    return before, after


def see_busy(s):
    """Can a look see anything at all? What it saw."""
    for _ in range(LOOKS):
        before, after = watch(s, 0.5)
        calls = rig.calls_of(s, 0.5)
        if before != after and (isinstance(calls, str) or sum(calls.values()) > 100):
            return True, calls
    return False, calls


def main(program, steady, style, reactor, sanitizer, seconds='3'):
    tap, seconds = Tap(), float(seconds)
    connections = 1000 if sanitizer == 'none' else 300
    with rig.Server(program, style, reactor) as s, rig.steady(steady, s, connections, 1000) as good:
        good.ask('pause')
        if sanitizer != 'none':
            tap.skip('idle_thread_stays_in_its_wait', 'a sanitizer runs a thread of its own')
        else:
            before, after = watch_idle(s, seconds)
            tap.check('idle_thread_stays_in_its_wait', before == after, (before, after))
            calls = rig.calls_while_idle(s, seconds, LOOKS)
            if isinstance(calls, str):
                tap.skip('idle_makes_no_system_call', calls)
            else:
                tap.check('idle_makes_no_system_call', not calls, calls)
        good.ask('go')
        if sanitizer == 'none':  # that the two above can see anything at all
            tap.check('busy_server_is_seen', *see_busy(s))
        else:
            time.sleep(0.5)
        good.ask('pause')  # answered when all echoes are there
        figures = rig.figures(good.ask('take'))
        tap.check('idle_server_still_answers', figures['echoes'] > 0 and figures['errors'] == 0, figures)
    return tap.finish()


if __name__ == '__main__':
    try:
        sys.exit(main(*sys.argv[1:]))
    except rig.Fault as fault:
        if not rig.not_here(fault):
            raise
        skipped = Tap()
        skipped.skip('idle_server', str(fault))
        sys.exit(skipped.finish())
