"""What `make lint` finds: asked for beside the other tests, so that no processor waits for it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("check", ["lint-python", "lint-sql"])
def test_nothing_is_found(check: str) -> None:
    # One process each, and nothing is installed while other tests run.
    settings = ["--no-print-directory", "--old-file=.venv/installed-dev", "LINTERS=1"]
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", *settings, check], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
