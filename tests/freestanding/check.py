#!/usr/bin/env python3
"""Compiles the freestanding subset (sources.txt) for a Cortex-M3, looks at what it needs from outside, prints its size.

usage: check.py ROOT ROOM...
"""
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = ['-mcpu=cortex-m3', '-mthumb']
FLAGS = ['-std=gnu11', '-Os', '-ffreestanding', '-ffunction-sections', '-Wall', '-Wextra', '-Wundef', '-Wshadow',
         '-Werror']


def read_list(name):
    with open(os.path.join(HERE, name), encoding='utf-8') as f:
        return [line.strip() for line in f if line.strip() and not line.startswith('#')]


def run(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def main():
    root, rooms = sys.argv[1], sys.argv[2:]
    cc, tap = 'arm-none-eabi-gcc', Tap()
    if not shutil.which(cc):
        tap.skip('subset_compiles', f'no {cc}')
        return tap.finish()
    # Only the compiler's own headers and the two beside this file: a hosted libc cannot creep in.
    own = [run(cc, '-print-file-name=' + name)[1].strip() for name in ('include', 'include-fixed')]
    includes = ['-nostdinc', '-isystem', os.path.join(HERE, 'include')]
    includes += [arg for folder in own for arg in ('-isystem', folder)]
    includes += ['-I' + os.path.join(root, room, 'include') for room in rooms]
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for source in read_list('sources.txt'):
            out = os.path.join(folder, source.replace('/', '_') + '.o')
            ok, text = run(cc, *TARGET, *FLAGS, *includes, '-c', os.path.join(root, source), '-o', out)
            if tap.check('compiles_' + source, ok, text):
                objects.append(out)
        whole = os.path.join(folder, 'subset.o')
        ok, text = run(cc, *TARGET, '-nostdlib', '-r', *objects, '-lgcc', '-o', whole)
        if not tap.check('subset_links', ok and objects, text):
            return tap.finish()
        wanted = [line.split()[-1] for line in run('arm-none-eabi-nm', '-u', whole)[1].splitlines()]
        foreign = [s for s in wanted if not any(fnmatch.fnmatch(s, p) for p in read_list('symbols.txt'))]
        tap.check('subset_needs_only_what_is_listed', not foreign, '\n'.join(foreign))
        tap.note(run('arm-none-eabi-size', '-t', *objects)[1].replace(folder + '/', ''))
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
