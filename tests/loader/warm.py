"""Processes of `loader` that begin warm: forked from one that has imported it, and done no more.

A new interpreter imports for longer than most pulls take.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from typer.core import TyperGroup

from loader.__main__ import main
from loader.cli import app
from tests.loader.command import PUT_TOGETHER, Done

FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])

# What reads options is imported when some are first read: wherever this module is, it was already.
_commands = PUT_TOGETHER(app)
assert isinstance(_commands, TyperGroup)
_commands.commands["pull"].make_context("pull", ["--source", "."])


def unprepared() -> None:
    """Nothing is to be done before the command."""


class WarmProcess:
    """`loader` with these arguments, in this process's environment and more.

    `prepare` is called in it before, and goes there by its name.
    """

    def __init__(
        self, *arguments: str | Path, prepare: Callable[[], object] = unprepared, **env: str
    ):
        self._output = TemporaryDirectory()
        self._streams = [Path(self._output.name, name) for name in ("stdout", "stderr")]
        for path in self._streams:
            path.touch()
        self._process = FORKS.Process(
            target=_run,
            args=(list(map(str, arguments)), dict(os.environ) | env, self._streams, prepare),
        )
        self._process.start()

    def poll(self) -> int | None:
        """How it ended; None: not yet."""
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def wait(self) -> int:
        """How it ends; by which signal, if below 0."""
        return self.done().returncode

    def done(self) -> Done:
        """How it ends, and what it said."""
        self._process.join(60)
        code = self._process.exitcode
        if code is None:
            self.kill()
            raise TimeoutError("still at work")
        with self._output:
            stdout, stderr = (path.read_text(encoding="utf-8") for path in self._streams)
        return Done(code, stdout, stderr)


def _run(
    arguments: list[str],
    env: dict[str, str],
    streams: list[Path],
    prepare: Callable[[], object],
) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    prepare()
    sys.argv = ["loader", *arguments]
    with mock.patch("typer.main.get_command", PUT_TOGETHER):
        main()
