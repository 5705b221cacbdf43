"""Just enough of C to count lines and find functions: comments and strings blanked, line numbers kept."""
import re

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(text):
    return re.sub(r'[^\n]', ' ', text)


def without_comments(text):
    return TOKEN.sub(lambda m: _blank(m[0]) if m[0].startswith('/') else m[0], text)


def code_only(text):
    """Comments and the insides of strings blanked."""
    def replace(match):
        token = match[0]
        return _blank(token) if token.startswith('/') else token[0] + _blank(token[1:-1]) + token[-1]
    return TOKEN.sub(replace, text)


def comments_only(text):
    """lines that carry (a part of) a comment, as a list of texts"""
    out, last = [], 0
    for match in TOKEN.finditer(text):
        if match[0].startswith('/'):
            out += [_blank(text[last:match.start()]), match[0]]
            last = match.end()
    return (''.join(out) + _blank(text[last:])).split('\n')


def without_directives(code):
    """Preprocessor lines blanked, continued ones too."""
    lines, continued = code.split('\n'), False
    for i, line in enumerate(lines):
        if continued or line.lstrip().startswith('#'):
            continued = line.endswith('\\')
            lines[i] = ''
    return '\n'.join(lines)


def functions(code):
    """(name, first line, last line) of each function body; `code` from code_only."""
    code = without_directives(code)
    found, depth, start, name = [], 0, 0, None
    for match in re.finditer(r'[{}]', code):
        if match[0] == '{':
            if depth == 0:
                head = re.split(r'[;}]', code[:match.start()])[-1]
                call = re.search(r'(\w+)\s*\(', head)
                is_function = head.rstrip().endswith(')') and '=' not in head and call
                name = call[1] if is_function else None
                start = code.count('\n', 0, match.start() - len(head.lstrip()) + 1) + 1
            depth += 1
        else:
            depth -= 1
            if depth == 0 and name:
                found.append((name, start, code.count('\n', 0, match.start()) + 1))
    return found


def code_lines(text):
    return sum(1 for line in without_comments(text).split('\n') if line.strip())
