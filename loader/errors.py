"""The loader's one exception and its exit codes."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code says; documented in docs/cli.md."""

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


class LoaderError(Exception):
    """Something a user can cause or mend: one line that ends with the remedy, and an exit code."""

    def __init__(self, message: str, exit_code: ExitCode):
        super().__init__(message)
        self.exit_code = exit_code
