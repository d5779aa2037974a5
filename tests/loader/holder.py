"""Another process that has the warehouse open."""

import subprocess
import sys
from pathlib import Path


def held_open(warehouse: Path, seconds: float = 60) -> "subprocess.Popen[str]":
    """Another process that has the database open; ended when the context is left."""
    code = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]);"
        "print('open', flush=True); time.sleep(float(sys.argv[2]))"
    )
    holder = _Killed(
        [sys.executable, "-c", code, str(warehouse), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    return holder


class _Killed(subprocess.Popen[str]):
    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(None, None, None)
