#!/usr/bin/env python3
"""Counts the lines of code of the core, without comments and blanks, and holds it below 3,000; each executor has its own limit.

The core is task (without fiber switches, sanitizer hooks and allocators), timer, executor/local, and reactor/poll with
its epoll port. The interfaces that the last two implement are printed beside it.

What counts: a line that holds more than a brace. Of public headers, what runs: the bodies of inline functions, and macros of
more than one line; their declarations are the contract, not the core. The plain count, every line of every file that is not
blank or comment, is printed too.

usage: core_size.py ROOT
"""
import fnmatch
import glob
import os
import re
import sys

import csource
from tap import Tap

LIMIT = 3000
# room: file names that do not count, and why
CORE = {
    'task': {
        'switch*': 'fiber switches', 'fake_switch*': 'fiber switches',
        'annotate*': 'sanitizer hooks',
        '*_none.c': 'for machines without', '*_bare.c': 'for machines without',
        'shared*': 'for executors with several workers', 'group_impl.h': 'for executors with several workers',
        'lane*': 'for executors with several queues',
        'alloc*': 'allocators', 'slab*': 'allocators', 'stack*': 'the allocator of stacks', 'pages*': 'allocators',
    },
    'timer': {'*_check.h': 'a checker for the tests'},
    'executor/local': {'lanes*': 'for executors with several queues', 'levels*': 'priorities: several queues'},
    'reactor/poll': {'poll2*': 'the poll(2) port', 'shared*': 'for executors with several workers',
                     '*bare*': 'the bare-metal port'},
}
BESIDE = ('base', 'executor', 'reactor')
# limit, and (room, file names) whose lines are counted against it; None: printed, neither the core's nor one executor's
EXECUTORS = {
    'stealing': (1000, [('executor/stealing', '*')]),
    'groups (tasks of several workers)': (None, [('task', 'shared*'), ('task', 'group_impl.h')]),
    'shares': (500, [('executor/shares', '*')]),
    'blocking': (500, [('executor/blocking', '*')]),
}


def sources(root, room):
    for pattern in ('*.c', '*.h', '*.S', 'include/sley/*.h'):
        yield from sorted(glob.glob(os.path.join(root, room, pattern)))


BRACE = re.compile(r'[\s{}\\;,]*')


def runs(text):
    """The lines of a public header that run."""
    code = csource.code_only(text)
    keep = set()
    for _, first, last in csource.functions(code):
        keep.update(range(first, last + 1))
    continued = False
    for number, line in enumerate(code.split('\n'), 1):
        define = line.lstrip().startswith('#define') and line.rstrip().endswith('\\')
        if continued or define:
            keep.add(number)
            continued = line.rstrip().endswith('\\')
    return keep


def core_lines(text, public):
    lines = csource.without_comments(text).split('\n')
    keep = runs(text) if public else None
    return sum(1 for number, line in enumerate(lines, 1)
               if not BRACE.fullmatch(line) and (keep is None or number in keep))


def count(root, room, skipped, tap):
    """(lines of the core, all lines) of a room"""
    core = plain = 0
    for path in sources(root, room):
        name = os.path.basename(path)
        with open(path, encoding='utf-8') as f:
            text = f.read()
        lines, all_lines = core_lines(text, '/include/' in path), csource.code_lines(text)
        why = next((why for pattern, why in skipped.items() if fnmatch.fnmatch(name, pattern)), None)
        if tap:
            tap.note(f'{lines:6d} of {all_lines:4d}  {os.path.relpath(path, root)}'
                     + (f'  (not counted: {why})' if why else ''))
        core += 0 if why else lines
        plain += 0 if why else all_lines
    return core, plain


def executor_lines(root, parts):
    lines = 0
    for room, pattern in parts:
        for path in sources(root, room):
            if fnmatch.fnmatch(os.path.basename(path), pattern):
                with open(path, encoding='utf-8') as f:
                    lines += core_lines(f.read(), '/include/' in path)
    return lines


def main():
    root, tap, core, plain = sys.argv[1], Tap(), 0, 0
    for room, skipped in CORE.items():
        lines, all_lines = count(root, room, skipped, tap)
        core += lines
        plain += all_lines
        tap.note(f'{lines:6d} of {all_lines:4d}  {room}/ together')
    tap.note(f'{core:6d} of {plain:4d}  the core')
    for room in BESIDE:
        tap.note('%6d of %4d' % count(root, room, {}, None) + f'  beside it: {room}/')
    tap.check('core_counts_something', core > 0)
    tap.check('core_is_below_3000_lines', core < LIMIT, f'{core} lines')
    for name, (limit, parts) in EXECUTORS.items():
        lines = executor_lines(root, parts)
        tap.note(f'{lines:6d}          {name}' + (f', of at most {limit}' if limit else ''))
        if limit:
            tap.check(f'executor_{name}_is_at_most_{limit}_lines', lines <= limit, f'{lines} lines')
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
