"""What must be on the disk before something else is done."""

import os
from contextlib import suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Waits until a file, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot do this to a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
