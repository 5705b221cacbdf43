"""Writes TAP for tests that are scripts; the C side is harness.c."""


class Tap:
    def __init__(self):
        self.count, self.failed = 0, 0

    def note(self, text):
        for line in str(text).splitlines():
            print('# ' + line)

    def check(self, name, ok, detail=''):
        """Reports one case; `detail` is printed when it failed."""
        self.count += 1
        if not ok:
            self.failed += 1
            self.note(detail)
        print(f'{"ok" if ok else "not ok"} {self.count} - {name}', flush=True)
        return bool(ok)

    def skip(self, name, reason):
        self.count += 1
        print(f'ok {self.count} - {name} # SKIP {reason}', flush=True)

    def finish(self):
        print(f'1..{self.count}')
        return 1 if self.failed else 0
