#!/usr/bin/env python3
"""Compares what each shared library exports with the list that is checked in beside this file, NAME.txt.

usage: check.py [--update] LIBRARY.so...
"""
import os
import re
import subprocess
import sys

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], text=True, check=True, stdout=subprocess.PIPE).stdout
    symbols = [line.split()[-1].split('@')[0] for line in out.splitlines()]
    return sorted({s for s in symbols if not s.startswith('SLEY_')})  # SLEY_0: the version node itself


def read_list(path):
    with open(path, encoding='utf-8') as f:
        return [line.strip() for line in f if line.strip()]


def main():
    update = '--update' in sys.argv
    tap = Tap()
    for library in (a for a in sys.argv[1:] if a != '--update'):
        name = re.match(r'lib(.*)\.so', os.path.basename(library))[1]
        path, now = os.path.join(HERE, name + '.txt'), exported(library)
        if update:
            with open(path, 'w', encoding='utf-8') as f:
                f.write(''.join(s + '\n' for s in now))
        known = read_list(path) if os.path.exists(path) else []
        wrong = [f'new: {s}' for s in now if s not in known] + [f'gone: {s}' for s in known if s not in now]
        help_text = '\nintended? then: ninja update-symbols, and a line in CHANGES'
        tap.check(f'{name}_exports_what_is_listed', not wrong and now, '\n'.join(wrong) + help_text)
        foreign = [s for s in now if not s.startswith('sley_')]
        tap.check(f'{name}_exports_only_sley_names', not foreign, '\n'.join(foreign))
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
