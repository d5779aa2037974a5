"""The loader's one exception and its exit codes."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code says; docs/operations.md tells them to users."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CREDENTIALS = 3
    NOT_READY = 4
    TRANSIENT = 5
    BAD_INPUT = 6
    DIFFERENCE = 7
    DATABASE_IN_USE = 8
    NO_DISK_SPACE = 10
    INTERRUPTED = 130


INTERRUPTED_TEXT = "interrupted; what was done so far is kept"

NOT_UTF8 = "surrogate"
"""In errors about text of a command line that is not UTF-8: what stands for each such byte."""


class LoaderError(Exception):
    """Something a user can cause or mend: one line that ends with the remedy, and an exit code."""

    def __init__(self, message: str, exit_code: ExitCode):
        super().__init__(message)
        self.exit_code = exit_code


def shown(text: str) -> str:
    """Text from outside, safe in a one-line message: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
