"""Runs bench/test_bench.py and reports its cases as TAP. runner.py ROOT"""
import sys
import unittest
from pathlib import Path

from tap import Tap

sys.path.insert(0, str(Path(sys.argv[1]) / 'bench'))
import test_bench


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.tap = Tap()
        self.bad = set()

    def stopTest(self, test):
        super().stopTest(test)
        said = [text for failed, text in self.failures + self.errors if failed is test]
        self.tap.check(test.id().split('.', 1)[1], not said, '\n'.join(said))


result = Result()
unittest.defaultTestLoader.loadTestsFromModule(test_bench).run(result)
for failed, text in result.errors:  # a class or module that could not be set up is no test that was stopped
    if not isinstance(failed, unittest.TestCase):
        result.tap.check(str(failed), False, text)
sys.exit(result.tap.finish())
