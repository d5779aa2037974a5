"""Runs a command and writes what it used: `python launch.py FILE COMMAND…`.

A process of its own, and a small one: on Linux a child's peak memory begins with its parent's.
"""

import os
import sys
import time

path, *command = sys.argv[1:]
started = time.monotonic()
_, status, usage = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
seconds = time.monotonic() - started
with open(path, "w", encoding="utf-8") as target:  # noqa: PTH123 (pathlib would make it larger)
    print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=target)
sys.exit(os.waitstatus_to_exitcode(status))
