#!/usr/bin/env python3
"""Checks that the C files are as .clang-format has them.

usage: format.py ROOT"""
import os
import shutil
import subprocess
import sys

from tap import Tap

VERSION = 14  # Debian 12's; others differ in details


def formatter():
    """The program of that version, or None."""
    for name in (f'clang-format-{VERSION}', 'clang-format'):
        if shutil.which(name):
            said = subprocess.run([name, '--version'], capture_output=True, text=True, check=True).stdout
            if f'version {VERSION}.' in said:
                return name
    return None


def sources(root):
    for folder, folders, files in os.walk(root):
        folders[:] = [d for d in folders if not d.startswith('.') and d != 'build'
                      and not os.path.exists(os.path.join(folder, d, 'meson-private'))]
        yield from (os.path.join(folder, f) for f in files if f.endswith(('.c', '.h')))


def differing(program, paths):
    """A line for each place where the program would change something."""
    said = subprocess.run([program, '--dry-run', '--ferror-limit=1', *paths], capture_output=True, text=True, check=True)
    return [line for line in said.stderr.splitlines() if 'clang-format-violations' in line]


def main():
    tap, program = Tap(), formatter()
    if not program:
        tap.skip('files_are_formatted', f'no clang-format {VERSION}')
        return tap.finish()
    paths = sorted(sources(sys.argv[1]))
    found = differing(program, paths)
    tap.check('files_are_formatted', paths and not found, '\n'.join([f'mend it with {program} -i'] + found))
    return tap.finish()


sys.exit(main())
