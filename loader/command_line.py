"""What the commands `loader` and `report` share: how they start, and how they fail."""

import io
import sys

import typer
from rich.console import Console
from typer.exceptions import TyperException

from loader.errors import ExitCode, LoaderError

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Standard error: what is not data goes there, as plain text."""


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
    except LoaderError as error:
        errors.print(f"error: {error}")
        code = error.exit_code
    except TyperException as error:
        errors.print(f"error: {error.format_message().rstrip('.')}: see {name} --help")
        code = ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        errors.print("interrupted; what was done so far is kept")
        code = ExitCode.INTERRUPTED
    sys.exit(code)
