"""Prints docs/cli.md: what --help says of every command of `loader` and `report`."""

from collections.abc import Iterator

import typer
from typer.core import TyperGroup
from typer.main import get_command

import loader.cli
import report.cli

WIDTH = 80
"""Of a line, whatever the terminal's own."""

HEAD = """\
# The command line

What `--help` says; `make docs` writes this page. Exit codes, and what to do for each:
[operations.md](operations.md#exit-codes).
"""


def render() -> str:
    """The page."""
    apps = {"loader": loader.cli.app, "report": report.cli.app}
    sections = [section for name, app in apps.items() for section in _sections(name, app)]
    return "\n".join([HEAD, *sections])


def _sections(name: str, app: typer.Typer) -> Iterator[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group, info_name=name, terminal_width=WIDTH)
    yield _section(name, group.get_help(context))
    for command_name in group.list_commands(context):
        command = group.get_command(context, command_name)
        assert command is not None
        own = typer.Context(command, parent=context, info_name=command_name, terminal_width=WIDTH)
        yield _section(f"{name} {command_name}", command.get_help(own))


def _section(title: str, help_text: str) -> str:
    text = "\n".join(line.rstrip() for line in help_text.splitlines())
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    print(render(), end="")
