#!/usr/bin/env python3
"""Prints the files that the tests of some suites need, as targets for ninja.

usage: needed.py BUILD_DIR SUITE...
"""
import json
import os
import subprocess
import sys


def introspect(build, what):
    return json.loads(subprocess.run(['meson', 'introspect', what, build], check=True, stdout=subprocess.PIPE).stdout)


def main():
    build, suites = os.path.realpath(sys.argv[1]), set(sys.argv[2:])
    made = {t['id']: t['filename'] for t in introspect(build, '--targets')}
    files = set()
    for test in introspect(build, '--tests'):
        if suites & {s.split(':')[-1] for s in test['suite']}:
            files |= {name for target in test['depends'] for name in made[target]}
    inside = [os.path.relpath(f, build) for f in files if f.startswith(build + os.sep)]
    print('\n'.join(sorted(inside)))


if __name__ == '__main__':
    main()
