#!/usr/bin/env python3
"""Holds docs/conformance.md against the tests: which case stands where.

usage: conformance.py [--allow-todo] ROOT   checks, in TAP; lines that say todo fail unless allowed
       conformance.py --update ROOT         writes the tests, found by their ids, and the counts into the page
       conformance.py --self-test           each check on a tree made to break it

Tests carry ids in their declarations: SLEY_TEST(name, "TASK-01 WAKE-02"), or any macro of the same use. The ids stand in
tests/docs/ids.txt too, so that a line of the page cannot get lost.
"""
import os
import re
import sys
import tempfile

import csource
from tap import Tap

ID = r'[A-Z]+-\d{2,}'
IDS = re.compile(rf'{ID}(?: {ID})*')
LINE = re.compile(rf'\| ({ID}) \| (.*) \| (.*) \|')
COUNTS_BEGIN, COUNTS_END = '<!-- counts: written by --update -->', '<!-- end of counts -->'
KINDS = ('test', 'todo', 'why', 'later')
STATES = ('tested', 'in part', 'not here', 'later', 'owed')


class Case:
    """A line of the page. `parts` is its last column: {kind: text}."""

    def __init__(self, section, line_number, match):
        self.section, self.line_number = section, line_number
        self.id, self.text, self.where = match.groups()
        self.parts = {}
        self.faults = [] if self.text.strip() else ['says nothing']
        for part in re.split(r';\s+(?=(?:test|why|later):|todo\b)', self.where):
            kind, _, text = part.partition(':')
            if kind not in KINDS or kind in self.parts or (kind != 'todo') != bool(text.strip()):
                self.faults.append(f'"{part}" is neither test:, why:, later: with a text, nor todo')
            self.parts[kind] = text.strip()

    def state(self):
        if 'todo' in self.parts:
            return 'owed'
        if 'test' in self.parts:
            return 'in part' if 'later' in self.parts else 'tested'
        return 'later' if 'later' in self.parts else 'not here'

    def laters(self):
        return [part.strip() for part in self.parts.get('later', '').split(',') if part.strip()]

    def with_tests(self, tests):
        """The last column as the sources have it."""
        parts = dict(self.parts)
        had = parts.pop('test', None)
        if tests:
            parts.pop('todo', None)
            parts['test'] = ', '.join(tests)
        elif had is not None:
            parts['todo'] = ''
        return '; '.join(kind if kind == 'todo' else f'{kind}: {parts[kind]}' for kind in KINDS if kind in parts)


class Page:
    def __init__(self, text):
        self.lines, self.cases, self.parts = text.split('\n'), [], []
        section, in_parts = '', False
        for n, line in enumerate(self.lines, 1):
            if line.startswith('## '):
                section, in_parts = line[3:], False
            in_parts |= line == COUNTS_END  # the table of parts follows the counts
            match = LINE.fullmatch(line)
            if match:
                self.cases.append(Case(section, n, match))
            part = re.match(r'\| `([\w-]+)` \| ', line)
            if part and in_parts:
                self.parts.append(part[1])

    def updated(self, tests):
        lines = list(self.lines)
        for case in self.cases:
            lines[case.line_number - 1] = f'| {case.id} | {case.text} | {case.with_tests(tests.get(case.id))} |'
        if COUNTS_BEGIN in lines and COUNTS_END in lines:
            first, last = lines.index(COUNTS_BEGIN), lines.index(COUNTS_END)
            lines[first + 1:last] = counts(Page('\n'.join(lines)))
        return '\n'.join(lines)


def counts(page):
    def row(name, cases):
        states = [case.state() for case in cases]
        return f'| {name} | {len(cases)} | ' + ' | '.join(str(states.count(s) or '') for s in STATES) + ' |'

    sections = list(dict.fromkeys(case.section for case in page.cases))
    waiting = {part: sum(part in case.laters() for case in page.cases) for part in page.parts}
    return ['| | cases | ' + ' | '.join(STATES) + ' |', '|---|' + '---|' * (len(STATES) + 1),
            *(row(s, [case for case in page.cases if case.section == s]) for s in sections),
            row('**all**', page.cases), '',
            'Cases that wait for a part, in whole or in part: '
            + ', '.join(f'{part} {count}' for part, count in waiting.items() if count) + '.']


def declared(text):
    """(ids, case name or None) of each string that is a list of ids; the name is the macro's first plain argument."""
    code = csource.without_comments(text)
    for match in re.finditer(r'"((?:[^"\\\n]|\\.)*)"', code):
        if not IDS.fullmatch(match[1]):
            continue
        depth, start = 0, match.start()
        while start > 0 and depth >= 0:
            start -= 1
            depth += {')': 1, '(': -1}.get(code[start], 0)
        call = re.search(r'[A-Z]\w*\s*$', code[:start]) if depth < 0 else None
        names = re.findall(r'(?:^|,)\s*([A-Za-z_][\w#]*)\s*(?=,)', code[start + 1:match.start()]) if call else []
        yield match[1].split(), names[0].replace('#', '') if names else None


def malformed(text):
    """SLEY_TESTs whose second argument is a string, but no list of ids."""
    for match in re.finditer(r'\bSLEY_TEST\w*\s*\(\s*(\w+)\s*,\s*"([^"]*)"', csource.without_comments(text)):
        if match[2] and not IDS.fullmatch(match[2]):
            yield match[1], match[2]


class Sources:
    """What tests/ declares, the harness's own cases aside, which have to fail."""

    def __init__(self, root):
        self.tests, self.strays, self.malformed, self.files = {}, [], [], set()
        self.built = ''
        for folder, folders, names in os.walk(os.path.join(root, 'tests')):
            folders[:] = sorted(d for d in folders if d not in ('harness', '__pycache__'))
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name == 'meson.build' or name.endswith(('.c', '.h')):
                    with open(path, encoding='utf-8') as f:
                        self._read(os.path.relpath(path, os.path.join(root, 'tests')), f.read())

    def _read(self, path, text):
        if path.endswith('meson.build'):
            self.built += text
            return
        self.malformed += [f'tests/{path}: {name}: "{ids}" is no list of ids' for name, ids in malformed(text)]
        for ids, name in declared(text):
            if name is None:
                self.strays.append(f'tests/{path}: "{" ".join(ids)}" belongs to no declaration')
                continue
            self.files.add(path)
            for i in ids:
                found = self.tests.setdefault(i, [])
                if f'{path}:{name}' not in found:
                    found.append(f'{path}:{name}')

    def not_built(self):
        return [f'tests/{path} carries ids, but no meson.build below tests/ names it' for path in sorted(self.files)
                if path.endswith('.c') and os.path.basename(path) not in self.built]


def read_ids(text):
    section = ''
    for line in text.splitlines():
        if line.startswith('#'):
            section = line[1:].strip()
        elif line.strip():
            yield section, line.strip()


def problems(page, listed, sources):
    """{name of the check: what is wrong}"""
    have = [(case.section, case.id) for case in page.cases]
    known = {i for _, i in have}
    found = {name: [] for name in ('page_has_the_lines_of_ids_txt', 'lines_are_well_formed', 'parts_to_come_are_named',
                                   'tests_carry_known_ids', 'tests_with_ids_are_built', 'page_is_up_to_date')}
    lines = found['page_has_the_lines_of_ids_txt']
    lines += [f'{i} ({s}): missing in the page' for s, i in listed if (s, i) not in have]
    lines += [f'{i} ({s}): not in tests/docs/ids.txt' for s, i in have if (s, i) not in listed]
    lines += [f'{i}: twice in the page' for i in known if sum(i == j for _, j in have) > 1]
    if not lines and have != listed:
        lines.append('the order differs')
    found['lines_are_well_formed'] += [f'{case.id}: {fault}' for case in page.cases for fault in case.faults]
    named = {part for case in page.cases for part in case.laters()}
    found['parts_to_come_are_named'] += [f'{case.id}: later: {part}: not in the table of parts' for case in page.cases
                                         for part in case.laters() if part not in page.parts]
    found['parts_to_come_are_named'] += [f'{part}: no line waits for it' for part in page.parts if part not in named]
    found['tests_carry_known_ids'] += sources.strays + sources.malformed + [
        f'{i}: no line in the page ({", ".join(tests)})' for i, tests in sources.tests.items() if i not in known]
    found['tests_with_ids_are_built'] += sources.not_built()
    new = page.updated(sources.tests)
    if new != '\n'.join(page.lines):
        changed = [c.id for c, d in zip(page.cases, Page(new).cases) if c.where != d.where]
        found['page_is_up_to_date'] += [f'differ: {" ".join(changed) or "the counts"}',
                                        'run: ninja -C BUILD update-conformance']
    return found


def load(root):
    def text(path):
        with open(os.path.join(root, path), encoding='utf-8') as f:
            return f.read()
    return Page(text('docs/conformance.md')), list(read_ids(text('tests/docs/ids.txt'))), Sources(root)


def check(root, tap, allow_todo):
    page, listed, sources = load(root)
    for name, wrong in problems(page, listed, sources).items():
        tap.check(name, not wrong, '\n'.join(wrong))
    owed = [case for case in page.cases if 'todo' in case.parts and case.id not in sources.tests]
    states = [case.state() for case in Page(page.updated(sources.tests)).cases]
    tap.note(f'{len(states)} cases: ' + ', '.join(f'{states.count(s)} {s}' for s in STATES))
    text = '\n'.join(f'{case.id}: {case.text}' for case in owed)
    if allow_todo and owed:
        tap.note(f'without a test ({len(owed)}):\n{text}')
    tap.check('nothing_is_owed', allow_todo or not owed, text)


def update(root):
    page, _, sources = load(root)
    new = page.updated(sources.tests)
    with open(os.path.join(root, 'docs/conformance.md'), 'w', encoding='utf-8') as f:
        f.write(new)
    for before, after in zip(page.cases, Page(new).cases):
        if 'test' in after.parts and 'test' not in before.parts and 'todo' not in before.parts:
            print(f'{after.id} has tests now and still says: ' + after.where.split('; ', 1)[-1])
    cases = Page(new).cases
    print(', '.join(f'{sum(c.state() == s for c in cases)} {s}' for s in STATES))


GOOD = {
    'tests/docs/ids.txt': '# One\nAB-01\nAB-02\n\n# Two\nCD-01\nCD-02\n',
    'docs/conformance.md': f'{COUNTS_BEGIN}\n{COUNTS_END}\n| `ring` | x |\n| `fork` | x |\n## One\n| AB-01 | x | todo |\n'
                           '| AB-02 | x; later: y | test: x:gone; later: ring |\n## Two\n'
                           '| CD-01 | x | why: no; such thing |\n| CD-02 | x | later: ring, fork |\n',
    'tests/a/test_a.c': '/* "AB-99" */\nSLEY_TEST(one, "AB-01 AB-02") {}\nOTHER(first_##a, 3,\n    "AB-02", f(1)) {}\n'
                        'SLEY_TEST(none, "") {}\n',
    'tests/a/meson.build': "files('test_a.c')",
    'tests/harness/test_h.c': 'SLEY_TEST(self, "SELF-01") {}\n',
}
BREAKS = {  # what is replaced, and the check that must notice
    ('docs/conformance.md', '| CD-02 ', '| CD 02 '): 'page_has_the_lines_of_ids_txt',
    ('docs/conformance.md', '## Two\n', ''): 'page_has_the_lines_of_ids_txt',
    ('docs/conformance.md', '## Two\n', '| AB-02 | x | later: ring |\n## Two\n'): 'page_has_the_lines_of_ids_txt',
    ('tests/docs/ids.txt', 'AB-01\nAB-02', 'AB-02\nAB-01'): 'page_has_the_lines_of_ids_txt',
    ('docs/conformance.md', 'why: no; such thing', 'soon'): 'lines_are_well_formed',
    ('docs/conformance.md', 'why: no; such thing', 'why:'): 'lines_are_well_formed',
    ('docs/conformance.md', 'later: ring, fork', 'later: ring, moon'): 'parts_to_come_are_named',
    ('docs/conformance.md', 'later: ring, fork', 'later: ring'): 'parts_to_come_are_named',
    ('tests/a/test_a.c', '"AB-02", f', '"AB-03", f'): 'tests_carry_known_ids',
    ('tests/a/test_a.c', '"AB-01 AB-02"', '"AB-01, AB-02"'): 'tests_carry_known_ids',
    ('tests/a/test_a.c', 'SLEY_TEST(none, "")', 'const char *s = "AB-01"'): 'tests_carry_known_ids',
    ('tests/a/meson.build', 'test_a.c', 'test_b.c'): 'tests_with_ids_are_built',
    ('tests/a/test_a.c', 'SLEY_TEST(one,', 'SLEY_TEST(two,'): 'page_is_up_to_date',
    ('docs/conformance.md', '| 4 | 1 |', '| 4 | 2 |'): 'page_is_up_to_date',
}


def self_test(tap):
    def noticed(files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                    f.write(text)
            page, listed, sources = load(root)
            return {name for name, wrong in problems(page, listed, sources).items() if wrong}, page, sources

    wrong, page, sources = noticed(GOOD)
    tap.check('page_before_the_update_is_noticed', wrong == {'page_is_up_to_date'}, wrong)
    files = {**GOOD, 'docs/conformance.md': page.updated(sources.tests)}
    wrong, page, _ = noticed(files)
    tap.check('update_makes_the_page_right', not wrong, wrong)
    first, second = page.cases[0], page.cases[1]
    tap.check('update_replaces_todo', first.where == 'test: a/test_a.c:one', first.where)
    tap.check('update_keeps_later', second.where == 'test: a/test_a.c:one, a/test_a.c:first_a; later: ring', second.where)
    tap.check('test_that_has_gone_is_owed', second.with_tests(None) == 'todo; later: ring', second.with_tests(None))
    tap.check('states_are_told_apart', [c.state() for c in page.cases] == ['tested', 'in part', 'not here', 'later'])
    for (path, old, new), name in BREAKS.items():
        broken = {**files, path: files[path].replace(old, new)}
        wrong, _, _ = noticed(broken)
        tap.check(f'{name}_notices_{re.sub(chr(92) + "W+", "_", new) or "nothing"}',
                  broken != files and name in wrong, (broken != files, wrong))


def main():
    options = [a for a in sys.argv[1:] if a.startswith('--')]
    roots = [a for a in sys.argv[1:] if not a.startswith('--')]
    if set(options) - {'--update', '--allow-todo', '--self-test'} or len(roots) != ('--self-test' not in options):
        raise SystemExit(__doc__)
    if '--update' in options:
        return update(roots[0])
    tap = Tap()
    if '--self-test' in options:
        self_test(tap)
    else:
        check(roots[0], tap, '--allow-todo' in options)
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
