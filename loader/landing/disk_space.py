"""Disk space is looked at before it is taken."""

import shutil
from pathlib import Path

from loader.errors import ExitCode, LoaderError, shown

GROWTH = 3
"""Bytes needed for each byte of a day: its files in the spool, their rows in the warehouse."""


def require_space(folder: Path, byte_count: int, what: str) -> None:
    """Raises LoaderError (no disk space) where `folder`'s disk has too little for a day."""
    free = shutil.disk_usage(folder).free
    needed = GROWTH * byte_count
    if free < needed:
        raise LoaderError(
            f"{what} needs about {needed:,} bytes beside the warehouse, {free:,} are free at "
            f"{shown(str(folder.parent))}: free some space and run the pull again",
            ExitCode.NO_DISK_SPACE,
        )
