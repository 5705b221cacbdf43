#!/usr/bin/env python3
"""scripts/tap-summary.py on logs made up to go wrong: what must count as a failure does.

usage: verify_summary.py ROOT
"""
import json
import os
import subprocess
import sys
import tempfile

from tap import Tap

SKIPS = 'wheel/slow_* | no valgrind\n# a comment\n'
CASES = {  # name: (stdout, result, returncode, summary, text that must be shown)
    'all_pass': ('1..2\nok 1 - a\nok 2 - b [TASK-01]\n', 'OK', 0, '2 passed, 0 failed, 0 skipped', ''),
    'plan_may_come_last': ('ok 1 - a\n1..1\n', 'OK', 0, '1 passed, 0 failed, 0 skipped', ''),
    'failure_shows_its_lines': ('1..1\n# left 1\nnot ok 1 - a\n', 'ERROR', 1, '0 passed, 1 failed, 0 skipped', '# left 1'),
    'table_is_shown': ('1..1\n# | a | b\nok 1 - a\n', 'OK', 0, '1 passed, 0 failed, 0 skipped', '| a | b\n'),
    'expected_skip': ('1..1\nok 1 - slow_x # SKIP no valgrind\n', 'OK', 0, '0 passed, 0 failed, 1 skipped', 'no valgrind'),
    'unlisted_reason': ('1..1\nok 1 - slow_x # SKIP lazy\n', 'OK', 0, '0 passed, 1 failed, 0 skipped', 'lazy'),
    'unlisted_case': ('1..1\nok 1 - b # SKIP no valgrind\n', 'OK', 0, '0 passed, 1 failed, 0 skipped', 'no valgrind'),
    'too_few_cases': ('1..3\nok 1 - a\n', 'ERROR', 0, '1 passed, 1 failed, 0 skipped', '3 planned'),
    'no_plan': ('', 'ERROR', -11, '0 passed, 1 failed, 0 skipped', ''),
    'bad_status_alone': ('1..1\nok 1 - a\n', 'ERROR', 66, '1 passed, 1 failed, 0 skipped', 'ended with 66'),
    'timeout_alone': ('1..1\nok 1 - a\n', 'TIMEOUT', 0, '1 passed, 1 failed, 0 skipped', 'TIMEOUT'),
}


def summarise(root, folder, tests):
    with open(os.path.join(folder, 'testlog.json'), 'w', encoding='utf-8') as f:
        f.writelines(json.dumps(test) + '\n' for test in tests)
    with open(os.path.join(folder, 'skips'), 'w', encoding='utf-8') as f:
        f.write(SKIPS)
    script = os.path.join(root, 'scripts/tap-summary.py')
    done = subprocess.run([sys.executable, script, '--skips', os.path.join(folder, 'skips'), folder], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        logs = []
        for name, (stdout, result, returncode, last, shown) in CASES.items():
            log = {'name': 'sley:timer / wheel', 'stdout': stdout, 'result': result, 'returncode': returncode,
                   'duration': 0.1}
            logs.append(log)
            status, out = summarise(sys.argv[1], folder, [log])
            failed = ' 0 failed' not in last
            good = out.splitlines()[-1] == last and shown in out and status == (1 if failed else 0)
            tap.check(name, good, f'{status}\n{out}')
        status, out = summarise(sys.argv[1], folder, logs)
        tap.check('all_together', status == 1 and out.endswith('\n7 passed, 7 failed, 1 skipped\n'), out)
        status, out = summarise(sys.argv[1], folder, [])
        tap.check('nothing_ran_is_a_failure', status == 1 and out.endswith('0 passed, 1 failed, 0 skipped\n'), out)
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
