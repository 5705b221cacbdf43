"""Runs scripts/demo as a reader of the README does: the table, wrong arguments, Ctrl-C. demo.py ROOT BUILD-DIRECTORY"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tap import Tap

LIMIT_S = 600  # the first run builds
tap = Tap()
root, build = sys.argv[1:]
demo = [str(Path(root) / 'scripts/demo'), '--no-install', '--build', build]
environment = {k: v for k, v in os.environ.items() if k not in ('CC', 'CFLAGS', 'LDFLAGS', 'SLEY_REACTOR', 'SLEY_EXECUTOR')}


def run(*argv):
    return subprocess.run([*demo, *argv], capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment,
                          stdin=subprocess.DEVNULL)


def processes():
    """Those that run a program of the demo's build directory."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / 'exe').startswith(os.path.realpath(build) + '/'):
                found.append(entry.name)
        except OSError:
            continue
    return found


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def interrupt(name, sign, *argv):
    """Ends a demo in the middle: nothing that it started is left."""
    process = subprocess.Popen([*demo, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=environment)
    began = wait_for(lambda: len(processes()) >= (1 if '--serve' in argv else 2), 60)
    process.send_signal(sign)
    try:
        status = process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        status = 'it did not end'
    tap.check(name, began and status in (130, 143) and wait_for(lambda: not processes(), 10), (began, status, processes()))


def main():
    if not all(shutil.which(x) for x in ('bash', 'meson', 'ninja')):
        tap.skip('demo', 'needs bash, meson and ninja')
        return tap.finish()
    for style, reactor in (('frame', 'epoll'), ('fiber', 'poll')):
        done = run('--seconds', '1', '--connections', '100', '--style', style, '--reactor', reactor)
        wanted = (f'^assembly .*local.*{reactor}.*{style}$', r'^echoes per second +[1-9]\d+$', r'^latency p50 +[\d.]+ us$',
                  r'^latency p99 +[\d.]+ us$', r'^latency p99.9 +[\d.]+ us$', r'^CPU time per echo +[\d.]+ us$',
                  r'^resident memory +[\d.]+ MiB$', r'^memory per connection +\d+ bytes$')
        tap.check(f'demo_{style}_{reactor}_prints_its_table',
                  done.returncode == 0 and all(re.search(w, done.stdout, re.M) for w in wanted), done)
        tap.check(f'demo_{style}_{reactor}_shows_progress', 'echoes per second' in done.stderr and 'connections opened' in done.stderr,
                  done.stderr)
    done = run('--seconds', '1', '--connections', '100', '--executor', 'stealing', '--workers', '2')
    tap.check('demo_of_two_workers_names_the_whole_assembly',
              re.search(r'^assembly +executor stealing \(2 workers\), reactor epoll, style frame$', done.stdout, re.M), done)
    done = run('--help')
    tap.check('demo_help', done.returncode == 0 and '--serve' in done.stdout and not done.stderr, done)
    for argv in (['--seconds', '0'], ['--connections', 'x'], ['--style', 'callback'], ['--colour'], ['--workers']):
        done = run(*argv)
        tap.check('demo_bad_' + argv[0][2:], done.returncode != 0 and done.stderr.count('\n') == 1 and not done.stdout, done)
    done = run('--reactor', 'steam')
    tap.check('demo_unknown_reactor_lists_what_there_is', done.returncode != 0 and 'epoll' in done.stderr and not done.stdout, done)
    interrupt('demo_interrupted_leaves_nothing_running', signal.SIGINT, '--seconds', '60', '--connections', '100')
    interrupt('demo_serve_ends_with_its_server', signal.SIGTERM, '--serve')
    return tap.finish()


sys.exit(main())
