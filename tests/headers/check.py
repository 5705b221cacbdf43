#!/usr/bin/env python3
"""Compiles every public header alone, twice in one unit, as C11 and as C++17, with every compiler that is there.

usage: check.py CC INCLUDE_DIR... -- HEADER...      (CC: the build's own compiler)
"""
import os
import shutil
import subprocess
import sys

from tap import Tap

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wundef', '-Werror', '-fsyntax-only']


def compilers(build_cc):
    """(label, command) of the build's C compiler and of any C++ compiler at hand; None where there is none."""
    yield 'c11', build_cc.split() + ['-std=c11', '-x', 'c', '-Wstrict-prototypes', '-Wmissing-prototypes']
    present = [cxx for cxx in ('g++', 'clang++') if shutil.which(cxx)]
    for cxx in present:
        yield f'cxx17_{cxx.replace("++", "xx")}', [cxx, '-std=c++17', '-x', 'c++']
    if not present:
        yield 'cxx17', None


def main():
    cc, arguments = sys.argv[1], sys.argv[2:]
    includes = ['-I' + folder for folder in arguments[:arguments.index('--')]]
    headers = arguments[arguments.index('--') + 1:]
    tap = Tap()
    for label, command in compilers(cc):
        for header in sorted(headers):
            name = header.split('/include/')[1]
            case = f'{label}_{name.replace("/", "_").replace(".", "_")}'
            if command is None:
                tap.skip(case, 'no C++ compiler')
                continue
            unit = f'#include <{name}>\n#include <{name}>\nextern int unit_is_not_empty;\n'
            done = subprocess.run(command + WARNINGS + includes + ['-'], input=unit, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, 'LC_ALL': 'C'})
            tap.check(case, done.returncode == 0, done.stdout)
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
