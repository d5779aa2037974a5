"""The spool: a folder beside the warehouse where a day's files wait to be landed."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import ExportFile, Unit


@contextmanager
def open_spool(warehouse: Path, name: str | None = None) -> Iterator[Path]:
    """Takes the one spool of a warehouse, empties it, and removes it at the end.

    `name` is what the user calls the place, where it is not the warehouse's path.

    The lock on it is held by the operating system: it goes with the process, however that ends.

    Raises:
        LoaderError: Another command works on the same warehouse, or nothing can be written beside
            it.
    """
    folder = spool_folder(warehouse)
    with _open_lock(warehouse, name) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LoaderError(
                f"another command works on {name or shown(str(warehouse))}: wait for it to end",
                ExitCode.DATABASE_IN_USE,
            ) from None
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def spool_folder(warehouse: Path) -> Path:
    """Where the spool of a warehouse is; there only while a command runs, or after a kill."""
    return _beside(warehouse, ".spool")


def file_id(file: ExportFile) -> int:
    """A signed 64-bit hash of the file's key: the same wherever and whenever the file is landed."""
    digest = hashlib.sha256(file.key.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def spool_path(spool: Path, unit: Unit, file: ExportFile) -> Path:
    """Where a file waits, in its day's folder; named by its id, for keys hold any character."""
    folder = spool / day_folder_name(unit)
    folder.mkdir(exist_ok=True)
    return folder / f"{file_id(file)}.parquet"


def empty_spool(spool: Path, unit: Unit) -> None:
    """Removes a day's files from the spool."""
    shutil.rmtree(spool / day_folder_name(unit), ignore_errors=True)


def _open_lock(warehouse: Path, name: str | None) -> TextIO:
    path = _beside(warehouse, ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        place, remedy = f"beside the warehouse {shown(str(warehouse))}", "with --warehouse"
        if name is not None:
            place = f"{shown(str(path))}, the lock on {name}"
            remedy = "with --lake, or set XDG_CACHE_HOME"
        raise LoaderError(
            f"cannot write {place} ({error.strerror}): give another place {remedy}", ExitCode.USAGE
        ) from error


def _beside(warehouse: Path, ending: str) -> Path:
    """A place beside a warehouse: one, however many links lead to it."""
    file = warehouse.resolve()
    return file.with_name(file.name + ending)


def day_folder_name(unit: Unit) -> str:
    """Name of a day's folder in the spool."""
    export_type, export_date = unit
    return f"{export_type}-{export_date}"
