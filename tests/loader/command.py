"""Running `loader` in a test."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer

from loader.__main__ import main
from loader.errors import ExitCode
from tests.loader.exports import few_days
from tests.models.histories import write_state

PUT_TOGETHER = cache(typer.main.get_command)
"""Options of all commands are read from their functions once, not for each command that is run."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """Runs `loader` in a folder of its own, which is the working directory."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, *arguments: str | Path) -> Done:
        """In this process: starting another takes longer than most commands."""
        stdout, stderr = io.StringIO(), io.StringIO()
        argv = ["loader", *map(str, arguments)]
        with (
            redirect_stdout(stdout),
            redirect_stderr(stderr),
            mock.patch.object(sys, "argv", argv),
            mock.patch("typer.main.get_command", PUT_TOGETHER),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Done(code, stdout.getvalue(), stderr.getvalue())

    def process(self, *arguments: str | Path, **env: str) -> Done:
        """In a process of its own, with these settings in its environment."""
        done = subprocess.run(
            [sys.executable, "-m", "loader", *map(str, arguments)],
            env=os.environ | {"COLUMNS": "80"} | env,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def closed(self, streams: str, *arguments: str | Path) -> Done:
        """In a process of its own, whose standard streams a shell closes so."""
        command = [sys.executable, "-m", "loader", *map(str, arguments)]
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {streams}', "sh", *command],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def refused(self, *arguments: str | Path) -> str:
        """The one line of a command that cannot be done; it must create nothing."""
        before = sorted(self.folder.rglob("*"))
        done = self(*arguments)
        assert done.returncode == ExitCode.USAGE
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert sorted(self.folder.rglob("*")) == before
        return done.stderr.strip()

    def json(self, *arguments: str | Path) -> Any:
        """What a command that succeeds prints with --json."""
        done = self(*arguments, "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def loader(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Command:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Command(folder)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Three days of both types."""
    return write_state(tmp_path / "export", few_days())
