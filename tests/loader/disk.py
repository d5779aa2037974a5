"""A small disk for a test, which can be filled."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.warehouse = folder / "w.duckdb"
        self._filler = folder / "filler"
        self._lock = threading.Lock()

    def grow(self) -> None:
        """Gives it space for everything."""
        self._filler.unlink(missing_ok=True)
        _mount("-o", "remount,size=64m", self.folder)

    def fill(self, free: int) -> None:
        """Leaves it so many bytes, or those that are left if they are fewer."""
        with self._lock, self._filler.open("ab") as filler:
            found = os.statvfs(self.folder)
            more = found.f_bavail * found.f_frsize - free
            if more > 0:
                os.posix_fallocate(filler.fileno(), filler.tell(), more)


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system of a test's own cannot be mounted: {done.stderr.strip()}")


@pytest.fixture
def new_disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Disk:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
        return Disk(folder)

    try:
        yield mount
    finally:
        if folder.is_mount():
            subprocess.run(["umount", "--lazy", folder], check=True)
