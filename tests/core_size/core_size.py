#!/usr/bin/env python3
"""Counts the lines of code of the core, without comments and blanks, and holds it below 3,000.

The core is task (without fiber switches, sanitizer hooks and allocators), timer, executor/local, and reactor/poll with
its epoll port. The interfaces that the last two implement are printed beside it.

usage: core_size.py ROOT
"""
import fnmatch
import glob
import os
import sys

import csource
from tap import Tap

LIMIT = 3000
# room: file names that do not count, and why
CORE = {
    'task': {
        'switch*': 'fiber switches', 'fake_switch*': 'fiber switches',
        'annotate*': 'sanitizer hooks',
        'alloc*': 'allocators', 'slab*': 'allocators', 'stack*': 'the allocator of stacks',
    },
    'timer': {'*_check.h': 'a checker for the tests'},
    'executor/local': {'park_bare*': 'another port'},
    'reactor/poll': {'poll2*': 'the poll(2) port',
                     '*bare*': 'the bare-metal port'},
}
BESIDE = ('base', 'executor', 'reactor')


def sources(root, room):
    for pattern in ('*.c', '*.h', '*.S', 'include/sley/*.h'):
        yield from sorted(glob.glob(os.path.join(root, room, pattern)))


def count(root, room, skipped, tap):
    total = {'.c': 0, '.h': 0, '.S': 0}
    for path in sources(root, room):
        name = os.path.basename(path)
        with open(path, encoding='utf-8') as f:
            lines = csource.code_lines(f.read())
        why = next((why for pattern, why in skipped.items() if fnmatch.fnmatch(name, pattern)), None)
        if tap:
            tap.note(f'{lines:6d}  {os.path.relpath(path, root)}' + (f'  (not counted: {why})' if why else ''))
        total[name[-2:]] += 0 if why else lines
    return total


def main():
    root, tap, core = sys.argv[1], Tap(), 0
    for room, skipped in CORE.items():
        lines = count(root, room, skipped, tap)
        core += sum(lines.values())
        tap.note(f'{sum(lines.values()):6d}  {room}/ together, {lines[".h"]} of them in headers')
    tap.note(f'{core:6d}  the core')
    for room in BESIDE:
        tap.note(f'{sum(count(root, room, {}, None).values()):6d}  beside it: {room}/')
    tap.check('core_counts_something', core > 0)
    tap.check('core_is_below_3000_lines', core < LIMIT, f'{core} lines')
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
