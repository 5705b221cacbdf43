"""The foundation under every executor, reactor and style that is built, chosen by environment variables alone. One case a cell; a table.

matrix.py RUN_EXAMPLES HELLO BLOCKING_FROM_THREAD HASH ECHO REACTORS -- SUITE PROGRAM...

What runs in a cell: the test programs that take executor and reactor from the environment (tests/harness/chosen.h), test_styles.c in
the cell's style, and the examples. Tests with a fixed style (their bodies are fibers) are in the cells of fibers. A combination that
the runtime refuses is shown with its sentence. SLEY_MATRIX="local epoll" runs only cells with all of these words."""
import concurrent.futures
import os
import re
import subprocess
import sys
from pathlib import Path

from tap import Tap

EXECUTORS = {'local': 1, 'shares': 1, 'cores': 2, 'stealing': 2}
DRIVEN = ('local', 'shares')  # the caller's thread runs them: the suite of task and the examples on a clock of their own can
STYLES = ('fiber', 'frame')
LIMIT_S = 300 * int(os.environ.get('SLEY_TEST_TIMEOUT', '1'))
RESULT = re.compile(r'^(ok|not ok)\b\s*\d*\s*(?:- )?(.*?)(?:\s+#\s*(SKIP)\b\s*(.*))?$')
tap = Tap()


class Cell:
    """The programs of one combination, and what they said."""

    def __init__(self, executor, reactor, style, programs, examples):
        self.name = f'{executor} {reactor} {style}'
        self.environment = {**os.environ, 'SLEY_EXECUTOR': executor, 'SLEY_REACTOR': reactor, 'SLEY_STYLE': style, 'SLEY_TEST_BRIEF': '1',
                            'SLEY_WORKERS': str(EXECUTORS[executor])}
        self.programs = [[p] for suite, p in programs if suite == 'styles' or style == 'fiber' and (
            suite in ('io', 'runtime') or executor in DRIVEN)] + [[sys.executable, *examples]]
        self.echo = examples[-2]
        self.must = reactor == 'epoll' or (reactor != 'uring' and executor != 'stealing')  # what no kernel, and no design, may refuse
        self.passed, self.failed, self.details, self.refused = 0, 0, [], ''

    def run_program(self, argv):
        try:
            done = subprocess.run(argv, capture_output=True, text=True, errors='replace', timeout=LIMIT_S, check=False,
                                  stdin=subprocess.DEVNULL, env=self.environment)
            out, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired:
            out, status = '', f'not ended after {LIMIT_S} s'
        what, before, failed = Path(argv[-1] if len(argv) == 1 else argv[1]).name, [], 0
        for line in out.splitlines():
            match = RESULT.match(line)
            if not match:
                before = [*before[-20:], line]
                continue
            if match[1] == 'not ok':
                failed += 1
                self.details += [f'{what} {match[2]}', *before]
            elif not match[3]:
                self.passed += 1  # a case that is for another reactor skips itself
            before = []
        if status != 0 and not failed:
            failed += 1
            self.details += [f'{what}: status {status}', *before]
        self.failed += failed

    def run(self):
        # who is asked first: a combination that cannot be ends here, with a sentence
        with subprocess.Popen([self.echo, '--port', '0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=self.environment) as probe:
            said = probe.stdout.readline()
            probe.terminate()
            why = probe.communicate(timeout=LIMIT_S)[1]
        if not said and probe.returncode == 2:
            self.refused = why.strip().removeprefix('echo: cannot start: ')
            if self.must:
                self.failed, self.details = 1, [self.refused]
            return self
        for argv in self.programs:
            self.run_program(argv)
        return self

    def text(self):
        if self.refused and not self.must:
            return 'refused'
        return f'{self.passed} passed' + (f', {self.failed} failed' if self.failed else '')


def table(cells, reactors):
    width = 18
    yield '| executor '.ljust(width + 6) + '| style '.ljust(8) + ''.join(f'| {r} '.ljust(width) for r in reactors)
    for executor, workers in EXECUTORS.items():
        for style in STYLES:
            row = [cells.get(f'{executor} {r} {style}') for r in reactors]
            if any(row):
                label = executor + (f', {workers} workers' if workers > 1 else '')
                yield f'| {label} '.ljust(width + 6) + f'| {style} '.ljust(8) + ''.join(
                    f'| {c.text() if c else "-"} '.ljust(width) for c in row)
    for sentence in sorted({c.refused for c in cells.values() if c.refused}):
        yield f'| refused: {sentence}'


def main():
    split = sys.argv.index('--')
    run_examples, hello, blocking, hashes, echo, reactors = sys.argv[1:split]
    words = sys.argv[split + 1:]
    programs = list(zip(words[::2], words[1::2]))
    examples = [run_examples, '--chosen', hello, blocking, echo, hashes]
    reactors = reactors.split(',')
    wanted = os.environ.get('SLEY_MATRIX', '').split()
    todo = [Cell(e, r, s, programs, examples) for e in EXECUTORS for r in reactors for s in STYLES
            if all(w in (e, r, s) for w in wanted)]
    cells = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for cell in pool.map(Cell.run, todo):
            cells[cell.name] = cell
            tap.check(cell.name.replace(' ', '_'), not cell.failed, '\n'.join(cell.details))
    for line in table(cells, reactors):
        print('# ' + line)
    return tap.finish()


sys.exit(main())
