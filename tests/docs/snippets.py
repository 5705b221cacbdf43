#!/usr/bin/env python3
"""Holds the Markdown pages to the tree: C compiles, links lead somewhere, paths, commands and names exist.

usage: snippets.py ROOT -- COMPILER...          checks, in TAP
       snippets.py --self-test -- COMPILER...   each check on pages made to break it

A block is C by its info string:

    ```c         top-level C, or a whole file; without an #include of its own it gets <sley/sley.h>
    ```c body    statements, put into a fiber's function, with `int rc` at hand
    ```c frame   statements of a frame `f`, put between SLEY_BEGIN and SLEY_END, with `int rc` at hand

What a block uses and a reader needs not see stands in a comment right above it: <!-- with: struct sley_tcp conn; -->. It
becomes declarations before top-level C, variables of a body, fields of a frame; lines that begin with # go to the top.
"""
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

from tap import Tap

WARNINGS = ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-Wno-unused-function',
            '-Wno-unused-parameter', '-Wno-unused-variable', '-Wno-unused-but-set-variable']
SKIPPED_PAGES = ('CHANGES',)  # history may name what is gone
EXTENSIONS = 'c|h|S|py|md|txt|build|map|sh|csv|svg|pc'
COMMAND_FOLDERS = ('scripts', '.ci')
SOURCES = ('.c', '.h', '.S', '.py', '.sh', '.build', '.map', '.txt')


class Block:
    def __init__(self, line, info, lines, hidden=''):
        self.line, self.info, self.lines, self.hidden = line, info, lines, hidden


class Page:
    """A page in parts: code blocks, inline code, prose with neither."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.blocks, self.inline, self.prose = [], [], []
        lines, n, hidden = text.split('\n'), 0, ''
        while n < len(lines):
            line, first = lines[n], n
            fence = re.match(r'```+', line)
            if line.startswith('<!--'):
                while '-->' not in lines[n] and n + 1 < len(lines):
                    n += 1
                comment = '\n'.join(lines[first:n + 1])
                with_ = re.match(r'<!-- with:(.*)-->', comment, re.S)
                hidden = with_[1] if with_ else ''
                n += 1
                continue
            if fence:
                n += 1
                while n < len(lines) and not lines[n].startswith(fence[0]):
                    n += 1
                self.blocks.append(Block(first + 2, line[len(fence[0]):].strip(), lines[first + 1:n], hidden))
            elif line.startswith('    ') and (first == 0 or not lines[first - 1].strip()) and not self._in_list(lines, first):
                while n + 1 < len(lines) and (lines[n + 1].startswith('    ') or not lines[n + 1].strip()):
                    n += 1
                self.blocks.append(Block(first + 1, 'indented', [x[4:] for x in lines[first:n + 1]]))
            else:
                self._prose(first + 1, line)
            hidden = '' if line.strip() else hidden
            n += 1

    @staticmethod
    def _in_list(lines, n):
        while n > 0 and (not lines[n].strip() or lines[n].startswith(' ')):
            n -= 1
        return re.match(r'[-*] |\d+\. ', lines[n]) is not None

    def _prose(self, number, line):
        self.inline += [(number, code) for code in re.findall(r'`([^`]+)`', line)]
        self.prose.append((number, re.sub(r'`[^`]+`', lambda m: 'x' * len(m[0]), line)))

    def headings(self):
        """Anchors as they are made on the usual sites."""
        for line in self.text.split('\n'):
            match = re.match(r'#+ (.*)', line)
            if match:
                yield re.sub(r'[^\w\- ]', '', match[1].strip().lower()).replace(' ', '-')


class Tree:
    def __init__(self, root):
        self.root, self.pages, self.files, self.words = root, [], [], set()
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(d for d in folders if d not in ('build', '__pycache__', '.git')
                                and not os.path.exists(os.path.join(folder, d, 'meson-private')))
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                self.files.append(path)
                if name.endswith('.md') and not name.startswith(SKIPPED_PAGES):
                    self.pages.append(Page(path, self.read(path)))
                elif name.endswith(SOURCES) or path.startswith(COMMAND_FOLDERS):
                    self.words.update(re.findall(r'\b(?:sley|SLEY)_\w+', self.read(path)))
        self.folders = {os.path.dirname(f) for f in self.files}
        self.folders |= {'/'.join(f.split('/')[:n]) for f in self.folders for n in range(1, f.count('/') + 1)}
        self.tops = {f.split('/')[0] for f in self.folders if f}
        self.includes = sorted(f for f in self.folders if f.endswith('/include') and not f.startswith('tests/'))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as f:
            return f.read()

    def exists(self, path):
        return path in self.files or path in self.folders


# ---- C ----------------------------------------------------------------------------------------------------------------

def program(path, block):
    """The block as a translation unit whose diagnostics name the page."""
    hidden = block.hidden.split('\n')
    top = [line for line in hidden if line.lstrip().startswith('#')]
    hidden = [line for line in hidden if line not in top]
    body = [f'#line {block.line} "{path}"', *block.lines, '#line 1 "wrapper"']
    include = [] if any(re.match(r'\s*#\s*include', line) for line in block.lines) else ['#include <sley/sley.h>']
    if block.info == 'c':
        return '\n'.join(include + top + hidden + body) + '\n'
    if block.info == 'c body':
        return '\n'.join(include + top + [
            'static int snippet(void *nothing)', '{', '    (void)nothing;', '    int rc = 0;', '    (void)rc;', '    {',
            *hidden, '{', *body, '    }', '    }', '    return 0;', '}', 'SLEY_FIBER(snippet, void)']) + '\n'
    return '\n'.join(include + top + [
        'struct snippet {', '    struct sley_frame frame;', *hidden, '};',
        'static enum sley_step snippet(struct snippet *f)', '{', '    int rc = 0;', '    (void)rc;', '    SLEY_BEGIN(f);',
        *body, '    SLEY_END(f);', '}', 'SLEY_FRAME(snippet, struct snippet)']) + '\n'


def compile_block(tree, compiler, path, block):
    paths = ['-I' + folder for folder in tree.includes + ['tests/harness', '.']]
    run = subprocess.run([*compiler, *WARNINGS, *paths, '-x', 'c', '-'], input=program(path, block), text=True,
                         capture_output=True, cwd=tree.root, check=False)
    return '' if run.returncode == 0 else run.stderr or f'{compiler[0]} failed'


def c_blocks(page):
    return [b for b in page.blocks if b.info in ('c', 'c body', 'c frame')]


def uncompiled(tree):
    """C that escapes: other info strings that begin with c, and C in blocks that are not said to be any language."""
    for page in tree.pages:
        for block in page.blocks:
            if block.info.split(' ')[0] in ('c', 'C') and block not in c_blocks(page):
                yield f'{page.path}:{block.line}', f'"```{block.info}" is none of c, c body, c frame'
            elif block.info in ('', 'indented') and any(re.search(r'(;|\) \{)$', line) for line in block.lines):
                yield f'{page.path}:{block.line}', 'this looks like C: say ```c, so that it is compiled'


# ---- links, paths, commands, names --------------------------------------------------------------------------------------

def broken_links(tree):
    for page in tree.pages:
        for number, line in page.prose:
            targets = re.findall(r'\]\(([^)\s]+)[^)]*\)', line) + re.findall(r'^\[[^\]]+\]:\s*(\S+)', line)
            targets += re.findall(r'<(?:img|a)[^>]*(?:src|href)="([^"]+)"', line)
            for target in targets:
                if re.match(r'[a-z]+:', target):
                    continue
                path, _, anchor = target.partition('#')
                full = os.path.normpath(os.path.join(os.path.dirname(page.path), path)) if path else page.path
                to = next((p for p in tree.pages if p.path == full), None)
                if not tree.exists(full):
                    yield f'{page.path}:{number}', target, 'leads nowhere'
                elif anchor and to and anchor not in to.headings():
                    yield f'{page.path}:{number}', target, 'no such heading'


def words_of(code):
    return [word.strip('()[]{},;:"\'') for word in code.split()]


def pattern_of(path):
    """A path with placeholders (ROOM/test_SUBJECT.c) or wildcards, as an expression; None when it has none."""
    pattern = re.sub(r'(?<![A-Za-z])(?!README|CHANGES|LICENSE)[A-Z]{2,}(?![A-Za-z])', '*', path)
    return re.compile(re.escape(pattern).replace(r'\*', '[^/]*')) if '*' in pattern else None


def found(tree, page, path):
    here = os.path.dirname(page.path)
    for base in ['', here, *tree.includes]:
        full = os.path.normpath(os.path.join(base, path))
        pattern = pattern_of(full)
        if tree.exists(full) or pattern and any(map(pattern.fullmatch, [*tree.files, *tree.folders])):
            return True
    return False


def missing_paths(tree):
    for page in tree.pages:
        for number, code in page.inline:
            for word in words_of(code.replace('#include', '').replace('<', ' ').replace('>', ' ')):
                path = re.sub(r'(\.\w+):.*', r'\1', word).rstrip('/')
                if not re.fullmatch(r'\.{0,2}[\w*][\w.*-]*(/[\w.*-]+)+', path) and not (word.endswith('/') and path in tree.tops):
                    continue
                first = path.split('/')[0]
                known = first in tree.tops or re.search(rf'\.({EXTENSIONS})$', path)
                if known and first != 'build' and not found(tree, page, path):
                    yield f'{page.path}:{number}', path, 'is not in the tree'


def bad_commands(tree):
    for page in tree.pages:
        lines = [(b.line + i, line) for b in page.blocks if not b.info.startswith('c') for i, line in enumerate(b.lines)]
        for number, line in lines + page.inline:
            for word in words_of(line.split(' # ')[0]):
                path = os.path.normpath(word)
                if path.startswith(tuple(f + '/' for f in COMMAND_FOLDERS)) and not pattern_of(path):
                    full = os.path.join(tree.root, path)
                    if not os.path.isfile(full):
                        yield f'{page.path}:{number}', path, 'is no command of this tree'
                    elif not path.endswith(('.sh', '.py')) and not os.access(full, os.X_OK):
                        yield f'{page.path}:{number}', path, 'is not executable'


def unknown_names(tree):
    for page in tree.pages:
        for number, code in page.inline:
            for name, more in re.findall(r'(?<![\w-])((?:sley|SLEY)_\w+)(\*?)', code):
                if re.search(r'_(X|NAME)(_|$)', name):
                    continue
                prefix = more or name.endswith('_')
                if not (any(w.startswith(name) for w in tree.words) if prefix else name in tree.words):
                    yield f'{page.path}:{number}', name, 'is no name in the sources'


RULES = (broken_links, missing_paths, bad_commands, unknown_names)


def read_allowed(text):
    allowed = {}
    for line in text.splitlines():
        what, _, reason = line.partition('#')
        if what.strip():
            if not reason.strip():
                raise SystemExit(f'tests/docs/allow.txt: no reason given for: {line}')
            allowed[what.strip()] = False
    return allowed


def look(tree, compiler, tap):
    if 'README.md' not in tree.files:
        tap.check('README.md', False, 'there is none')
    for page in tree.pages:
        for block in c_blocks(page):
            wrong = compile_block(tree, compiler, page.path, block)
            tap.check(f'{page.path}:{block.line}_compiles', not wrong, wrong)
    escaped = [f'{where}: {what}' for where, what in uncompiled(tree)]
    tap.check('all_c_is_compiled', not escaped, '\n'.join(escaped))
    allowed = read_allowed(tree.read('tests/docs/allow.txt')) if tree.exists('tests/docs/allow.txt') else {}
    for rule in RULES:
        wrong = []
        for where, what, why in rule(tree):
            excuse = next((a for a in allowed if fnmatch.fnmatch(what, a)), None)
            if excuse is None:
                wrong.append(f'{where}: {what} {why}')
            else:
                allowed[excuse] = True
        tap.check('no_' + rule.__name__, not wrong, '\n'.join(wrong))
    idle = [what for what, used in allowed.items() if not used]
    tap.check('every_exception_is_needed', not idle, '\n'.join(idle))


# ---- the checks themselves -----------------------------------------------------------------------------------------------

GOOD = {
    'README.md': '''# A page
See [the other](docs/o.md#two-words), [here](#a-page), [out](https://example.com/x).
`scripts/go --fast`, `room/include/sley/sley.h`, `<sley/sley.h>`, `room/NAME.c`, `room/`, `/proc/self`, `build/x.c`,
`sley_call`, `sley_X_start`, `sley_ca*`, `written/out.csv`.

    scripts/go     # runs

```c
static int f(void) { return sley_call(1); }
```
```c body
sley_call(rc);
```
<!-- with:
#define FOUR 4
int four; -->

```c frame
rc = sley_call(f->four + FOUR);
```
```c
#include <stddef.h>
size_t n;
```
```
a drawing --> of it
```
''',
    'docs/o.md': '# Two words\n[up](../README.md) `o.md`\n',
    'scripts/go': '#!/bin/sh\n',
    'room/a.c': 'x',
    'room/include/sley/sley.h': 'int sley_call(int a);\nstruct sley_frame { int label; };\nenum sley_step { SLEY_DONE };\n'
                                '#define SLEY_FIBER(fn, t)\n#define SLEY_FRAME(fn, t)\n#define SLEY_BEGIN(f) switch (f->frame.label) { case 0:\n'
                                '#define SLEY_END(f) } return SLEY_DONE\n',
    'tests/docs/allow.txt': 'written/* # by a program\n',
}
BREAKS = [  # what is replaced, what must fail
    ('README.md', 'return sley_call(1)', 'return sley_cal(1)', 'README.md:9_compiles'),
    ('README.md', 'sley_call(rc);', 'sley_call(rd);', 'README.md:12_compiles'),
    ('README.md', 'int four;', 'int five;', 'README.md:19_compiles'),
    ('README.md', 'size_t n;', 'size_t n = sley_call(1);', 'README.md:22_compiles'),
    ('README.md', 'c body', 'c text', 'all_c_is_compiled'),
    ('README.md', 'a drawing --> of it', 'int a;', 'all_c_is_compiled'),
    ('README.md', '    scripts/go     # runs', '    int a;', 'all_c_is_compiled'),
    ('README.md', 'docs/o.md#', 'docs/p.md#', 'no_broken_links'),
    ('README.md', 'o.md#two-words', 'o.md#three-words', 'no_broken_links'),
    ('README.md', '(#a-page)', '(#b-page)', 'no_broken_links'),
    ('README.md', '`room/include/sley/sley.h`', '`room/include/sley/b.h`', 'no_missing_paths'),
    ('README.md', '<sley/sley.h>', '<sley/b.h>', 'no_missing_paths'),
    ('README.md', 'room/NAME.c', 'room/NAME.h', 'no_missing_paths'),
    ('README.md', '`room/`', '`room/b`', 'no_missing_paths'),
    ('README.md', '`scripts/go --fast`', '`scripts/gone`', 'no_bad_commands'),
    ('README.md', '    scripts/go  ', '    sudo scripts/gone', 'no_bad_commands'),
    ('README.md', '`sley_call`', '`sley_fall`', 'no_unknown_names'),
    ('README.md', '`sley_ca*`', '`sley_fa*`', 'no_unknown_names'),
    ('README.md', ', `written/out.csv`', '', 'every_exception_is_needed'),
    ('scripts/go', None, 'not executable', 'no_bad_commands'),
    ('README.md', None, 'gone', 'README.md'),
]


class Recorder(Tap):
    def __init__(self):
        super().__init__()
        self.failures, self.names = {}, []

    def check(self, name, ok, detail=''):
        self.names.append(name)
        if not ok:
            self.failures[name] = detail


def failures(files, compiler, executable=True):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                f.write(text)
            if executable and path.startswith('scripts/'):
                os.chmod(os.path.join(root, path), 0o755)
        recorder = Recorder()
        look(Tree(root), compiler, recorder)
        return recorder


def self_test(compiler, tap):
    good = failures(GOOD, compiler)
    tap.check('good_pages_pass', not good.failures, good.failures)
    tap.check('each_block_is_compiled', sum('_compiles' in name for name in good.names) == 4, good.names)
    for path, old, new, name in BREAKS:
        files = dict(GOOD)
        if new == 'gone':
            del files[path]
        elif old is not None:
            files[path] = files[path].replace(old, new, 1)
        got = failures(files, compiler, executable=new != 'not executable').failures
        case = f'{name}_notices_{re.sub(chr(92) + "W+", "_", new) or "nothing"}'
        tap.check(case, name in got and (files != GOOD or old is None), got)
    where = failures({**GOOD, 'README.md': GOOD['README.md'].replace('sley_call(rc);', 'nonsense;')}, compiler).failures
    tap.check('diagnostics_name_the_line_of_the_page', 'README.md:12:' in ''.join(where.values()), where)


def main():
    if '--' not in sys.argv or not sys.argv[sys.argv.index('--') + 1:]:
        raise SystemExit(__doc__)
    split = sys.argv.index('--')
    args, compiler, tap = sys.argv[1:split], sys.argv[split + 1:], Tap()
    if args == ['--self-test']:
        self_test(compiler, tap)
    elif len(args) == 1:
        look(Tree(args[0]), compiler, tap)
    else:
        raise SystemExit(__doc__)
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
