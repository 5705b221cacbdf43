#!/usr/bin/env python3
"""The quick start of README.md is examples/hello.c, to the letter.

usage: quickstart.py ROOT
"""
import os
import re
import sys

from tap import Tap

root, tap = sys.argv[1], Tap()
with open(os.path.join(root, 'README.md'), encoding='utf-8') as f:
    blocks = re.findall(r'```c\n(.*?)```', f.read(), re.S)
with open(os.path.join(root, 'examples/hello.c'), encoding='utf-8') as f:
    hello = f.read()
tap.check('readme_shows_hello', hello in blocks)
tap.check('hello_is_under_25_lines', hello.count('\n') < 25, hello.count('\n'))
sys.exit(tap.finish())
