#!/usr/bin/env python3
"""docs/cancellation.md says of every call that waits what a cancel makes of it.

usage: tables.py ROOT
"""
import re
import sys
from pathlib import Path

from tap import Tap

root, tap = Path(sys.argv[1]), Tap()
OTHERS = {'sley_local_start'}  # what ends so and is no op


def ops():
    """The calls that have a _start form in a public header."""
    found = set()
    for header in root.glob('**/include/sley/*.h'):
        if not {'build', 'tests'} & set(header.relative_to(root).parts):
            found |= set(re.findall(r'^SLEY_API void (sley_[a-z]\w*)_start\(', header.read_text(encoding='utf-8'), re.M))
    return found - OTHERS


def named(page):
    """All that a page names; "`sley_file_read`, `_stat`" names sley_file_stat, too."""
    words, full = set(), ''
    for word in re.findall(r'`(\w+)`', page):
        if word.startswith('sley_'):
            full = word
            words.add(word)
        elif word.startswith('_') and full:
            parts = full.split('_')
            words |= {'_'.join(parts[:i]) + word for i in range(2, len(parts) + 1)}
    return words


waiting = ops()
tap.check('headers_have_ops', {'sley_stream_read', 'sley_blocking', 'sley_scope_fini'} <= waiting and len(waiting) > 50, sorted(waiting))
left = sorted(waiting - named((root / 'docs/cancellation.md').read_text(encoding='utf-8')))
tap.check('cancellation_names_every_call_that_waits', not left, left)
sys.exit(tap.finish())
