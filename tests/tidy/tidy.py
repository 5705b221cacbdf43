#!/usr/bin/env python3
"""Checks the tree against the rules in rules.py; exceptions stand in allow.txt with their reasons.

usage: tidy.py ROOT            one TAP case per rule, findings as path:line
       tidy.py --self-test     each rule on a tree made to break it
"""
import fnmatch
import os
import sys
import tempfile

import csource
import rules
from tap import Tap

TEXT_SUFFIXES = ('.c', '.h', '.S', '.py', '.md', '.build', '.txt', '.sh', '.map')


class Source:
    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding='utf-8') as f:
            self.text = f.read()
        self.lines = self.text.rstrip('\n').split('\n')
        if path.endswith(('.c', '.h')):
            code = csource.code_only(self.text)
            self.code_lines = code.split('\n')
            self.bare_lines = csource.without_comments(self.text).split('\n')
            self.comment_lines = csource.comments_only(self.text)
            self.functions = csource.functions(code)

    room = ''


class Tree:
    def __init__(self, root):
        self.root = root
        self.texts = [Source(root, path) for path in sorted(self._walk())]
        self.sources = [f for f in self.texts if f.path.endswith(('.c', '.h'))]
        self.paths = {f.path for f in self.texts}
        for f in self.sources:
            f.room = self._room(f.path)
        self.header_rooms = {f.path.split('/include/')[1]: f.room for f in self.sources
                             if f.room and '/include/sley/' in f.path}

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [d for d in folders if not d.startswith('.') and d not in ('build', '__pycache__')
                          and not os.path.exists(os.path.join(folder, d, 'meson-private'))]
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if name.endswith(TEXT_SUFFIXES) or path.startswith('scripts/'):
                    yield path

    def _room(self, path):
        parts = path.split('/')
        if parts[0] not in rules.LIBRARIES:
            return ''
        inner = len(parts) > 2 and parts[1] != 'include'
        return '/'.join(parts[:2]) if inner else parts[0]

    def private_header(self, f, name):
        """Is "name", as f includes it, a header in f's own room?"""
        path = os.path.normpath(os.path.join(os.path.dirname(f.path), name))
        found = [p for p in (path, f'{f.room}/{name}') if p in self.paths]
        return any(self._room(p) == f.room for p in found)


def read_allowed(path):
    """'RULE PATTERN  # reason' a line"""
    allowed = []
    with open(path, encoding='utf-8') as f:
        for line in f:
            entry, _, reason = line.partition('#')
            if entry.strip():
                rule, pattern = entry.split()
                if not reason.strip():
                    raise SystemExit(f'{path}: no reason given for: {line.strip()}')
                allowed.append((rule, pattern))
    return allowed


def findings(tree, rule, allowed):
    for path, line, what, key in rule(tree):
        if not any(name == rule.__name__ and fnmatch.fnmatch(key, pattern) for name, pattern in allowed):
            yield f'{path}:{line}: {what}'


BREAKS = {  # rule: (path, text) that it must find fault with
    'file_length': ('task/long.c', '/* x */\n' + 'int a;\n' * 800),
    'function_length': ('task/fn.c', '/* x */\nint f(int a)\n{\n' + '    a++;\n' * 70 + '}\n'),
    'line_width': ('task/wide.c', '/* ' + 'x' * 140 + ' */\n'),
    'banned_calls': ('task/call.c', '/* x */\nvoid f(void) {\n    abort();\n}\n'),
    'atomics': ('task/atomic.c', '/* x */\nvoid f(void) {\n    g();\n    atomic_load_explicit(&x, acquire);\n}\n'),
    'include_direction': ('timer/up.c', '/* x */\n#include <sley/task.h>\n'),
    'user_includes': ('examples/private.c', '#include "task/slab.h"\n'),
    'conditions_in_bodies': ('task/if.c', '/* x */\nvoid f(void) {\n#ifdef X\n    g();\n#endif\n}\n'),
    'empty_docs': ('task/doc.h', '/* x */\n/**\n *\n */\nint f(void);\n'),
    'threads_of_calls': ('task/include/sley/call.h', '/* x */\n/** Does it. Returns: 0. */\nSLEY_API int sley_call(int a);\n'),
    'header_purpose': ('task/bare.h', '#ifndef X\n'),
    'unfinished_words': ('docs/x.md', 'text\nTO' 'DO later\n'),
}
CLEAN = {
    'task/include/sley/task.h': '/* x */\n#include <sley/base.h>\n',
    'base/include/sley/base.h': '/* x */\n',
    'task/mine.h': '/* x */\n',
    'task/include/sley/said.h': '/* x */\n/** Does it. Thread: any. */\nSLEY_API int sley_said(int a);\n/** As sley_said. */\n'
                                'SLEY_API int sley_like(void);\nSLEY_API int sley__own(void);\n',
    'task/good.c': '/* x */\n#include "mine.h"\n#include <sley/task.h>\nconst char *s = "abort(";\n'
                   'void f(void) {\n    /* pairs with g */\n    atomic_load_explicit(&x,\n        acquire);\n'
                   '    x.exit(1); /* abort() */\n}\n',
    'examples/ok.c': '#include <sley/task.h>\n',
}


def self_test(tap):
    def tree_of(files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
                    f.write(text)
            return Tree(root)

    clean = tree_of(CLEAN)
    for rule in rules.ALL:
        name = rule.__name__
        quiet = list(findings(clean, rule, []))
        tap.check(f'{name}_accepts_clean_sources', not quiet, '\n'.join(quiet))
        path, text = BREAKS[name]
        broken = tree_of({**CLEAN, path: text})
        found = list(findings(broken, rule, []))
        tap.check(f'{name}_finds_its_fault', len(found) == 1 and found[0].startswith(path + ':'), found)
        tap.check(f'{name}_obeys_the_allow_list', not list(findings(broken, rule, [(name, path + '*')])))


def main():
    tap = Tap()
    if sys.argv[1:] == ['--self-test']:
        self_test(tap)
        return tap.finish()
    root = sys.argv[1]
    allowed = read_allowed(os.path.join(root, 'tests/tidy/allow.txt'))
    tree = Tree(root)
    for rule in rules.ALL:
        found = list(findings(tree, rule, allowed))
        tap.check(rule.__name__, not found, '\n'.join(found))
    used = {(rule.__name__, key) for rule in rules.ALL for _, _, _, key in rule(tree)}
    idle = [f'{rule} {pattern}' for rule, pattern in allowed
            if not any(name == rule and fnmatch.fnmatch(key, pattern) for name, key in used)]
    tap.check('every_exception_is_needed', not idle, '\n'.join(idle))
    tap.note(f'{len(tree.sources)} C files, {sum(len(f.lines) for f in tree.sources)} lines')
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
