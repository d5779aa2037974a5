"""What the commands `loader` and `report` share: how they start, and how they fail."""

import atexit
import errno
import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from typer.exceptions import TyperException

from loader.errors import INTERRUPTED_TEXT, NOT_UTF8, ExitCode, LoaderError, shown
from loader.landing.warehouse import resolve_warehouse

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Standard error: what is not data goes there, as plain text."""

DEFAULT_WAREHOUSE = Path("warehouse.duckdb")
Warehouse = Annotated[
    Path,
    typer.Option(
        envvar="OPTIMIZELY_E3_WAREHOUSE", callback=resolve_warehouse, help="The DuckDB file."
    ),
]

BROKEN_PIPE = 141
"""What a shell reports when the reader of a command's output has gone (128 + SIGPIPE)."""


class _ToErrors(logging.Handler):
    """What the commands log is said on standard error, as everything that is not data."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.print(record.getMessage())


log = logging.getLogger("loader")
log.setLevel(logging.INFO)
log.addHandler(_ToErrors())
log.propagate = False


def new_app(help_text: str) -> typer.Typer:
    """A Typer application whose errors are left to `run`."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run(app: typer.Typer, name: str) -> None:
    """Runs a command and exits: every error a user can cause is one line and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names are outside input: any terminal shows them
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except LoaderError as error:
        errors.print(f"error: {error}")
        code = error.exit_code
    except TyperException as error:
        errors.print(f"error: {error.format_message().rstrip('.')}: see {name} --help")
        code = ExitCode.USAGE
    except OSError as error:
        code = _explain(error)
    except (UnicodeEncodeError, duckdb.InvalidInputException) as error:
        if NOT_UTF8 not in str(error):
            raise
        # Not said with the text, which may be a visitor's id.
        errors.print("error: an option or a setting is not UTF-8 text: write it as UTF-8")
        code = ExitCode.USAGE
    except SystemExit:  # typer's answer to a broken pipe
        code = BROKEN_PIPE
    except KeyboardInterrupt:  # outside of typer's own watch
        code = ExitCode.INTERRUPTED
    if code == ExitCode.INTERRUPTED:
        errors.print(INTERRUPTED_TEXT)
        atexit.register(_say_no_more)
    sys.exit(code)


def _say_no_more() -> None:
    """DuckDB's module lists what it could not free where threads were stopped: no news to users."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _explain(error: OSError) -> int:
    """An error of this machine that nobody expected: a file, a folder, or standard output."""
    if error.errno == errno.EPIPE:
        return BROKEN_PIPE
    file = error.filename2 or error.filename  # of a renaming, the place that could not be taken
    place = f" {shown(str(file))}" if file else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        errors.print(f"error: no disk space left{place}: free some space and try again")
        return ExitCode.NO_DISK_SPACE
    errors.print(
        f"error: cannot use{place or ' a file'} ({error.strerror}): "
        "give another place, or the right to use this one"
    )
    return ExitCode.USAGE
