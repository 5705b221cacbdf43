"""Runs every benchmark once at a tiny scale: it has to end well and print its figures, whatever they are.

smoke.py MICRO STARTUP LOAD [ECHO [SHARES HELD [MANY.PY BUILD REACTORS]]]"""
import re
import signal
import subprocess
import sys

from tap import Tap

LIMIT_S = 600  # sanitizers; a run of all takes seconds otherwise
SECONDS = (0.4, 4, 40)  # in which some echoes come, also where others have the processors
NAMES = {'timer_bulk': ['timer_bulk_insert', 'timer_bulk_cancel']}
tap = Tap()


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL)


def goals_names(micro):
    return run(micro, 'list').stdout.split()


def check_micro(micro):
    names = goals_names(micro)
    tap.check('micro_list_names_the_benchmarks', {'spawn_join', 'skynet', 'mem_task', 'fiber_switch'} <= set(names), names)
    for style in ('frame', 'fiber'):
        for name in names:
            executor, workers = ('cores', '2') if name.startswith('cross_') else ('local', '1')
            done = run(micro, '--executor', executor, '--workers', workers, '--reactor', 'epoll', '--style', style, '--scale', '0.001', name)
            wanted = [rf'^bench={line} assembly={executor}\+epoll\+{style}\+{workers} '
                      + (r'bytes_per_task=-?[\d.]+ tasks=\d+$' if line.startswith('mem') else r'ns_per_op=[\d.]+ cpu_ns_per_op=[\d.]+$')
                      for line in NAMES.get(name, [name])]
            good = done.returncode == 0 and not done.stderr and all(re.search(w, done.stdout, re.M) for w in wanted)
            tap.check(f'micro_{style}_{name}_prints_its_line', good, done)
    done = run(micro, '--executor', 'local', 'cross_chan')
    tap.check('micro_between_cores_needs_two', done.returncode == 1 and done.stderr.count('\n') == 1, done)
    for name, argv in {'bench': ['nothing'], 'style': ['--style', 'x'], 'scale': ['--scale', '-1'], 'reactor': ['--reactor', 'steam', 'yield_1'],
                       'option': ['--colour']}.items():
        done = run(micro, *argv)
        tap.check(f'micro_bad_{name}_is_status_2', done.returncode == 2 and done.stderr.count('\n') == 1, done)


def check_load(load, echo):
    server = subprocess.Popen([echo, '--port', '0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[2]
        for name, options in {'one_message': [], 'depth': ['--depth', '16', '--payload', '100']}.items():
            for seconds in SECONDS:
                done = run(load, '--connections', '50', '--seconds', str(seconds), '--warmup', '0.1', '--pid', str(server.pid), *options, address)
                found = dict(re.findall(r'(\w+)=(\S+)', done.stdout))
                if done.returncode != 0 or int(found.get('echoes', 0)) > 0:
                    break
            good = done.returncode == 0 and int(found.get('echoes', 0)) > 0 and found.get('errors') == '0'
            good = good and 0 < float(found['p50_us']) <= float(found['p99_us']) <= float(found['p999_us']) <= float(found['max_us'])
            tap.check(f'load_{name}', good and float(found['cpu_us_per_echo']) > 0, done)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=LIMIT_S)
    tap.check('load_leaves_the_server_well', server.returncode == 0, server.returncode)
    done = run(load, address)
    tap.check('load_without_server_is_one_line_and_status_1', done.returncode == 1 and done.stderr.count('\n') == 1, done)
    for name, argv in {'address': ['somewhere'], 'depth': ['--depth', '0', address], 'too_much': ['--depth', '65536', address]}.items():
        done = run(load, *argv)
        tap.check(f'load_bad_{name}_is_status_2', done.returncode == 2 and done.stderr.count('\n') == 1, done)


def check_many(script, build, reactors):
    for reactor in reactors.split():
        for seconds in SECONDS:
            done = run(sys.executable, script, '--build', build, '--reactor', reactor, '--connections', '300', '--seconds', str(seconds),
                       '--settle', '0.5', '--interval', '0.2')
            if done.returncode != 0 or re.search(r'^\| all; .* 300 \| [1-9]', done.stdout, re.M):
                break
        if done.returncode != 0 and 'many: cannot start' in done.stderr:
            tap.skip(f'many_{reactor}_holds_all_at_once', done.stderr.splitlines()[0])
            continue
        held, direct = [n for n, what in re.findall(r'(\d+) (connections held at once|of them direct)', done.stdout)] or (0, 0)
        good = done.returncode == 0 and held == '300' and (direct == '0' or reactor == 'uring')
        tap.check(f'many_{reactor}_holds_all_at_once', good and re.search(r'^\| all; .* 300 \| [1-9]', done.stdout, re.M), done)


def main():
    micro, startup, parts, load, echo, shares, held, many, build, reactors = (sys.argv[1:] + [''] * 6)[:10]
    check_micro(micro)
    for name, program in (('startup', startup), ('startup_parts', parts)):
        done = run(program)
        tap.check(name + '_starts_and_ends', (done.returncode, done.stdout, done.stderr) == (0, '', ''), done)
    if echo:
        check_load(load, echo)
    if shares and held:
        done = run(shares, '--seconds', '1')
        good = len(re.findall(r'^queue=\d+ .* off_percent=[-+][\d.]+ ', done.stdout, re.M)) == 3
        tap.check('shares_prints_three_queues_and_lateness', done.returncode == 0 and good and done.stdout.count(' p99.9_us=') == 5, done)
        done = run(held, '--seconds', '1')
        tap.check('held_prints_timers_echo_and_a_bare_chain', done.returncode == 0 and done.stdout.count(' p100_ms=') == 3, done)
    if many:
        check_many(many, build, reactors)
    return tap.finish()


sys.exit(main())
