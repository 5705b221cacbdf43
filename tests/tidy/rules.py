"""The rules: each yields (path, line, what is wrong, key for the allow-list)."""
import re

# Which rooms a room's sources may include from, itself and base aside (docs/architecture.md).
MAY_USE = {
    'base': [],
    'timer': [],
    'task': ['timer'],
    'sync': ['task'],
    'reactor': ['task'],
    'reactor/*': ['task', 'reactor'],
    'reactor/uv': ['task', 'reactor', 'reactor/poll'],
    'executor': ['task', 'timer', 'reactor'],
    'executor/*': ['task', 'timer', 'reactor', 'executor'],
    'executor/cores': ['task', 'timer', 'reactor', 'executor', 'executor/local'],
    'executor/shares': ['task', 'timer', 'reactor', 'executor', 'executor/local'],
    'io': ['task', 'reactor'],
    'runtime': ['*'],
    'conformance': ['task', 'timer', 'sync', 'reactor', 'executor', 'executor/local'],
    'conformance/main': ['*'],
    'compat': ['*'],
    'compat/*': ['*'],
}
LIBRARIES = ('base', 'timer', 'task', 'sync', 'reactor', 'executor', 'io', 'runtime', 'conformance', 'compat')

BANNED_IN_LIBRARIES = {
    'printf': 'prints', 'fprintf': 'prints', 'vprintf': 'prints', 'vfprintf': 'prints', 'dprintf': 'prints',
    'puts': 'prints', 'fputs': 'prints', 'putchar': 'prints', 'perror': 'prints', 'psignal': 'prints',
    'syslog': 'prints', 'assert': 'prints and aborts', 'abort': 'ends the process',
    'exit': 'ends the process', '_exit': 'ends the process', 'quick_exit': 'ends the process',
    'malloc': 'bypasses struct sley_alloc', 'calloc': 'bypasses struct sley_alloc',
    'realloc': 'bypasses struct sley_alloc', 'aligned_alloc': 'bypasses struct sley_alloc',
    'posix_memalign': 'bypasses struct sley_alloc', 'strdup': 'bypasses struct sley_alloc',
    'sleep': 'blocks a thread', 'usleep': 'blocks a thread', 'nanosleep': 'blocks a thread',
}
BANNED_EVERYWHERE = {
    'strcpy': 'has no bound', 'strcat': 'has no bound', 'sprintf': 'has no bound', 'vsprintf': 'has no bound',
    'gets': 'has no bound', 'strtok': 'keeps global state', 'alloca': 'has no bound',
}
BANNED_IN_TESTS = {'sleep': 'a fake clock', 'usleep': 'a fake clock', 'nanosleep': 'a fake clock',
                   'clock_nanosleep': 'a fake clock', 'thrd_sleep': 'a fake clock'}

ATOMIC = re.compile(r'\b(?:atomic_(?:load|store|exchange|compare_exchange_\w+?|fetch_\w+?|thread_fence|'
                    r'signal_fence|flag_\w+?)(_explicit)?|__atomic_\w+|__sync_\w+)\s*\(')


def file_length(tree):
    for f in tree.sources:
        public = '/include/sley/' in f.path
        limit = 350 if public else 800
        if len(f.lines) > limit:
            kind = 'public header' if public else 'file'
            yield f.path, limit + 1, f'{len(f.lines)} lines; a {kind} has at most {limit}', f.path


def function_length(tree):
    for f in tree.sources:
        for name, first, last in f.functions:
            if last - first + 1 > 70:
                yield f.path, first, f'{name} has {last - first + 1} lines, at most 70', f'{f.path}:{name}'


def line_width(tree):
    for f in tree.sources:
        for n, line in enumerate(f.lines, 1):
            if len(line) > 140:
                yield f.path, n, f'{len(line)} columns, at most 140', f.path
            elif '\t' in line or line != line.rstrip():
                yield f.path, n, 'tab or blank at the end', f.path


def banned_calls(tree):
    for f in tree.sources:
        banned = dict(BANNED_EVERYWHERE)
        if f.room:
            banned.update(BANNED_IN_LIBRARIES)
        if f.path.startswith('tests/'):
            banned.update({name: 'use ' + instead for name, instead in BANNED_IN_TESTS.items()})
        pattern = re.compile(r'(?<![\w.>])(' + '|'.join(banned) + r')\s*\(')
        for n, line in enumerate(f.code_lines, 1):
            for match in pattern.finditer(line):
                yield f.path, n, f'{match[1]}: {banned[match[1]]}', f'{f.path}:{match[1]}'


def atomics(tree):
    for f in tree.sources:
        if not (f.room or f.path.startswith(('examples/', 'bench/'))):
            continue
        for n, line in enumerate(f.code_lines):
            for match in ATOMIC.finditer(line):
                if match[0].startswith('atomic') and not match[1] and '_fence' not in match[0]:
                    yield f.path, n + 1, f'{match[0]}...) is not _explicit', f.path
                elif not _commented(f, n):
                    yield f.path, n + 1, 'an atomic without a comment that names its pair', f.path


def _commented(f, n):
    """A comment in the statement around line n (0-based), or ending on the line above it."""
    first = n
    while first > 0 and f.code_lines[first - 1].strip() and not re.search(r'[;{}:]\s*$', f.code_lines[first - 1]):
        first -= 1
    last = n
    while last + 1 < len(f.lines) and not re.search(r'[;{}]\s*$', f.code_lines[last]):
        last += 1
    above = max(first - 1, 0)
    return any(f.comment_lines[i].strip() for i in range(above, last + 1))


def include_direction(tree):
    for f in tree.sources:
        if not f.room:
            continue
        allowed = MAY_USE.get(f.room) or MAY_USE.get(f.room.split('/')[0] + '/*', [])
        for n, line in enumerate(f.bare_lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            if match[1] == '"':
                if match[2].endswith('.c'):
                    yield f.path, n, 'includes a .c file', f.path
                elif not tree.private_header(f, match[2]):
                    yield f.path, n, f'"{match[2]}" is no private header of {f.room}', f.path
            elif match[2].startswith('sley/'):
                room = tree.header_rooms.get(match[2])
                if room is None:
                    yield f.path, n, f'<{match[2]}> is no header of this tree', f.path
                elif '*' not in allowed and room not in ('base', f.room, *allowed):
                    yield f.path, n, f'{f.room} may not use {room} (<{match[2]}>)', f.path


def user_includes(tree):
    for f in tree.sources:
        if f.path.startswith('examples/'):
            for n, line in enumerate(f.bare_lines, 1):
                match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
                if match and f'{f.path.rsplit("/", 1)[0]}/{match[1]}' not in tree.paths:
                    yield f.path, n, f'an example includes the private "{match[1]}"', f.path


def conditions_in_bodies(tree):
    for f in tree.sources:
        if f.room and f.path.endswith('.c'):
            for name, first, last in f.functions:
                for n in range(first, last + 1):
                    if re.match(r'\s*#\s*(if|ifdef|ifndef)\b', f.code_lines[n - 1]):
                        yield f.path, n, f'#if inside {name}: choose a file in meson', f'{f.path}:{name}'


def empty_docs(tree):
    for f in tree.sources:
        for match in re.finditer(r'/\*\*[\s*]*\*/', f.text):
            yield f.path, f.text.count('\n', 0, match.start()) + 1, 'an empty doc block', f.path


def threads_of_calls(tree):
    """A call of a user's header says who may make it: in its own words, in those of the call it is like, or in its header's."""
    block = re.compile(r'(/\*\*(?:(?!\*/).)*\*/)\nSLEY_API ([^;{]*?)\b(sley_[a-z]\w*)\(', re.S)
    for f in tree.sources:
        if '/include/sley/' not in f.path or f.path.endswith('_impl.h'):
            continue
        general = any('Thread:' in c for c in re.findall(r'/\*[^*](?:(?!\*/).)*\*/', f.text, re.S))
        for match in block.finditer(f.text):
            if not general and not re.search(r'Thread:|[Tt]he same|\b[Aa]s `?sley_', match[1]):
                line = f.text.count('\n', 0, match.start()) + 1
                yield f.path, line, f'who may call {match[3]}? Thread: ...', f'{f.path}:{match[3]}'


def header_purpose(tree):
    for f in tree.sources:
        if (f.room or f.path.startswith('tests/')) and f.path.endswith(('.h', '.c')):
            if not f.text.startswith(('/*', '//')):
                yield f.path, 1, 'the first line does not say what the file is for', f.path


def unfinished_words(tree):
    pattern = re.compile(r'\b(TO' r'DO|FIX' r'ME|X' r'XX|HA' r'CK|for n' r'ow)\b')
    for f in tree.texts:
        for n, line in enumerate(f.lines, 1):
            match = pattern.search(line)
            if match:
                yield f.path, n, f'"{match[1]}": finish it or say what is so', f.path


ALL = (file_length, function_length, line_width, banned_calls, atomics, include_direction, user_includes,
       conditions_in_bodies, empty_docs, threads_of_calls, header_purpose, unfinished_words)
