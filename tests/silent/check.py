#!/usr/bin/env python3
"""No library writes to descriptors 1 and 2: none refers to a function or stream that could, but for a few listed uses.

usage: check.py LIBRARY.so...
"""
import os
import re
import subprocess
import sys

from tap import Tap

LOUD = re.compile(r'^(stdout|stderr|_IO_.*|__fprintf_chk|__printf_chk|__vfprintf_chk|__vprintf_chk|__dprintf_chk|'
                  r'v?f?printf|v?dprintf|puts|fputs|putchar|putc|fputc|fwrite|perror|psignal|v?syslog|error|v?warnx?|'
                  r'v?errx?|__assert_fail|__assert|abort|exit|_exit|_Exit|quick_exit|write|writev|pwrite64?|'
                  r'fopen(64)?|fdopen|freopen)$')

# (library, symbol): what it writes to, never descriptor 1 or 2 of its own accord.
ALLOWED = {
    ('sley-reactor-poll', 'write'): "the wake eventfd, and the caller's descriptor in write operations",
    ('sley-reactor-uring', 'write'): "the wake eventfd",
    ('sley-conformance', 'write'): "a clause's own sockets",
    ('sley-conformance', '_exit'): "the end of the process that it has forked for a clause",
    ('sley-reactor-poll', 'writev'): "the caller's descriptor in write operations",
}


def undefined(library):
    out = subprocess.run(['nm', '-D', '--undefined-only', library], text=True, check=True, stdout=subprocess.PIPE).stdout
    return sorted({line.split()[-1].split('@')[0] for line in out.splitlines()})


def main():
    tap = Tap()
    for library in sys.argv[1:]:
        name = re.match(r'lib(.*)\.so', os.path.basename(library))[1]
        symbols = undefined(library)
        loud = [s for s in symbols if LOUD.match(s) and (name, s) not in ALLOWED]
        tap.check(f'{name}_cannot_print', not loud, f'{name} refers to ' + ', '.join(loud))
    tap.check('the_pattern_knows_the_usual_ways',
              all(LOUD.match(s) for s in ('printf', 'stderr', 'puts', 'write', '__assert_fail', 'vfprintf', 'abort')))
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
