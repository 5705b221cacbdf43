#!/usr/bin/env python3
"""Runs the harness's own cases and checks that each ended as it must, and says so in TAP."""
import os
import re
import subprocess
import sys

from tap import Tap

EXPECTED_TEXT = {
    'must_fail_check': '1 > 2',
    'must_fail_check_int': 'left -41, right 42',
    'must_fail_check_uint': 'left 255 = 0xff, right 16 = 0x10',
    'must_fail_check_ptr': 'left 0x10, right 0x0',
    'must_fail_check_rc': 'Broken pipe; expected',
    'must_fail_check_str': 'left:  "left words"',
    'must_fail_check_str_null': 'left:  NULL',
    'must_fail_check_in_thread': 'left 7, right 8',
    'must_fail_crash': '',
    'must_fail_abort': 'died of signal 6',
    'must_fail_timeout': 'did not end within',
    'must_fail_status': 'ended with status 3',
    'must_fail_status_77_without_skip': 'ended with status 77',
    'must_fail_fd_leak': 'descriptors open',
    'must_fail_thread_leak': 'threads alive',
    'must_fail_process_leak': 'left processes running',
    'must_fail_alloc_leak': '1 blocks of harness_alloc',
    'must_fail_double_free': '',  # the address sanitizer may be the one that sees it
    'must_fail_wrong_size': 'block of 24 bytes freed as one of 32',
    'must_fail_overrun': 'written 1 bytes past its end',
    'must_fail_sweep_leak': 'blocks kept after allocation',
    'must_fail_sweep_endless': 'more than 4 allocations',
}


def run(program, *args, **env):
    done = subprocess.run(program + list(args), text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **env})
    return done.returncode, done.stdout


def results(output):
    """name -> (ok, tail of the line, diagnostics before it)"""
    found, before = {}, []
    for line in output.splitlines():
        match = re.match(r'(ok|not ok) \d+ - (\w+)(.*)', line)
        if match:
            found[match[2]] = (match[1] == 'ok', match[3], '\n'.join(before))
            before = []
        else:
            before.append(line)
    return found


def main():
    program = sys.argv[1:]
    report = Tap()
    status, output = run(program, SLEY_TEST_SEED='7')
    found = results(output)
    _, listed = run(program, '--list')
    names = [line.split()[0] for line in listed.splitlines()]
    report.check('every_listed_case_is_reported', sorted(names) == sorted(found) and names, output)
    report.check('a_failed_case_fails_the_program', status == 1, f'status {status}')
    report.check('plan_counts_the_cases', output.startswith(f'1..{len(names)}\n'), output[:80])
    report.check('ids_are_listed', 'must_pass_with_true_checks SELF-01 SELF-02' in listed, listed)
    for name in names:
        ok, tail, before = found.get(name, (None, '', ''))
        if name.startswith('must_fail'):
            good = ok is False and name in EXPECTED_TEXT and EXPECTED_TEXT[name] in before
        elif name.startswith('must_skip'):
            good = ok is True and tail == ' # SKIP the moon is not full'
        else:
            good = ok is True and 'SKIP' not in tail
        report.check(name, good, f'{ok} {tail}\n{before}')
    report.check('ids_are_reported', found['must_pass_with_true_checks'][1] == ' [SELF-01 SELF-02]')
    report.check('notes_are_reported', '# answer 42' in found['must_pass_with_a_note'][2])

    rand = 'must_pass_rand_differs_between_threads_and_repeats'
    first = re.search(r'# first \d+', found[rand][2])[0]
    report.check('seed_repeats_alone', first in run(program, rand, SLEY_TEST_SEED='7')[1])
    report.check('other_seed_differs', first not in run(program, rand, SLEY_TEST_SEED='8')[1])

    status, output = run(program, 'must_pass_w*')
    report.check('globs_select', status == 0 and len(results(output)) == 2, output)
    status, output = run(program, 'no_such_case')
    report.check('unknown_case_is_an_error', status == 2, output)
    status, output = run(program, '--repeat', '5', 'must_fail_check')
    report.check('repeat_stops_at_the_first_failure', '# in run 1 of 5' in output, output)
    status, output = run(program, '--no-fork', 'must_pass_sweep', 'must_skip')
    report.check('no_fork_passes_and_skips', status == 0 and 'moon' in output, output)
    status, output = run(program, '--no-fork', 'must_fail_check')
    report.check('no_fork_stops_where_it_fails', status < 0 or status > 1, f'{status} {output}')
    return report.finish()


if __name__ == '__main__':
    sys.exit(main())
