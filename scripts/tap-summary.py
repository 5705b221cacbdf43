#!/usr/bin/env python3
"""Sums up the JSON log of a `meson test` by cases, not executables.

usage: tap-summary.py [--verbose] [--skips FILE] LOG_DIR

Prints the details of each failure, each skip with its reason, and the lines "# | ..." of tests that draw a table; the last line is
"N passed, N failed, N skipped". A skip that FILE does not list counts as failed. Exit status 1 if any failed.
"""
import argparse
import fnmatch
import glob
import json
import os
import re
import sys

RESULT = re.compile(r'^(ok|not ok)\b\s*\d*\s*(?:- )?(.*?)(?:\s+#\s*(SKIP)\b\s*(.*))?$', re.I)
PLAN = re.compile(r'^1\.\.(\d+)')


def read_skips(path):
    """'TEST/CASE | REASON', both patterns"""
    patterns = []
    if path:
        with open(path, encoding='utf-8') as f:
            for line in f:
                if line.strip() and not line.startswith('#'):
                    case, _, reason = line.partition('|')
                    patterns.append((case.strip(), reason.strip()))
    return patterns


class Summary:
    def __init__(self, skips, verbose):
        self.passed = self.failed = self.skipped = self.tests = 0
        self.skips, self.verbose, self.table = skips, verbose, []

    def fail(self, what, details=()):
        self.failed += 1
        print(f'FAILED  {what}')
        for line in details:
            print('    ' + line)

    def skip(self, case, reason):
        if any(fnmatch.fnmatch(case, c) and fnmatch.fnmatch(reason, r) for c, r in self.skips):
            self.skipped += 1
            print(f'skipped {case}: {reason}')
        else:
            self.fail(case, [f'skipped, which tests/expected-skips does not allow: {reason}'])

    def add(self, test):
        """One test of the JSON log: its TAP, and whatever went wrong around it."""
        self.tests += 1
        name = test['name'].split(' / ')[-1]
        before, seen, planned, failed = [], 0, None, 0
        for line in test.get('stdout', '').splitlines():
            if line.startswith('# | '):
                self.table.append(line[2:])
                continue
            match = RESULT.match(line)
            if match:
                seen += 1
                case = f'{name}/{match[2]}'
                if (match[3] or '').upper() == 'SKIP':
                    self.skip(case, match[4])
                elif match[1] == 'ok':
                    self.passed += 1
                    if self.verbose:
                        print(f'passed  {case}')
                else:
                    failed += 1
                    self.fail(case, before)
                before = []
            elif PLAN.match(line):
                planned = int(PLAN.match(line)[1])
            else:
                before.append(line)
        errors = test.get('stderr', '').splitlines()[-60:]
        if planned is None or planned != seen:
            self.fail(name, [f"{seen} cases reported, {planned} planned; meson says {test['result']}", *before, *errors])
        elif test.get('returncode', 0) != 0 and not failed:
            self.fail(name, [f"ended with {test['returncode']}", *before, *errors])
        elif test['result'] not in ('OK', 'SKIP', 'FAIL', 'ERROR') and not failed:
            self.fail(name, [f"meson says {test['result']}", *before, *errors])


def tests_in(folder):
    for path in glob.glob(os.path.join(folder, 'testlog*.json')):
        with open(path, encoding='utf-8') as f:
            yield from (json.loads(line) for line in f)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--verbose', action='store_true')
    parser.add_argument('--skips')
    parser.add_argument('folder')
    options = parser.parse_args()
    summary = Summary(read_skips(options.skips), options.verbose)
    for test in tests_in(options.folder):
        summary.add(test)
    for line in summary.table:
        print(line)
    if summary.tests == 0:
        summary.fail('no test ran')
    print(f'{summary.passed} passed, {summary.failed} failed, {summary.skipped} skipped', flush=True)
    return 1 if summary.failed else 0


if __name__ == '__main__':
    sys.exit(main())
