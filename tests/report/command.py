"""The command `report`, run in this process: starting another takes longer than the command."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from report.__main__ import main


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path, encoding: str = "utf-8", columns: str = "80") -> Ended:
    """Runs one command, whose output is written so, on a terminal of so many columns."""
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), encoding), io.StringIO()
    with (
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        mock.patch.object(sys, "argv", ["report", *map(str, arguments)]),
        mock.patch.dict(os.environ, {"COLUMNS": columns}),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = ended.value.code or 0
    assert isinstance(code, int)
    stdout.seek(0)
    return Ended(code, stdout.read(), stderr.getvalue())
