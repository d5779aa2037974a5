"""The spool: a folder beside the warehouse where a day's files wait to be landed."""

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TextIO

from loader.errors import ExitCode, LoaderError, shown
from loader.export.layout import Export, ExportDay, ExportFile

DOWNLOADS_AT_ONCE = 16


@contextmanager
def open_spool(warehouse: Path) -> Iterator[Path]:
    """Takes the one spool of a warehouse, empties it, and removes it at the end.

    The lock on it is held by the operating system: it goes with the process, however that ends.

    Raises:
        LoaderError: Another pull into the same warehouse is running, or nothing can be written
            beside it.
    """
    folder = warehouse.with_name(warehouse.name + ".spool")
    with _open_lock(warehouse) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LoaderError(
                f"another pull into {shown(str(warehouse))} is running: wait for it to end",
                ExitCode.DATABASE_IN_USE,
            ) from None
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def file_id(file: ExportFile) -> int:
    """A signed 64-bit hash of the file's key: the same wherever and whenever the file is landed."""
    digest = hashlib.sha256(file.key.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def fetch_day(
    export: Export, day: ExportDay, spool: Path, is_given_up: Event
) -> dict[ExportFile, Path]:
    """Downloads a day into the spool; files are named by their id, for keys hold any character.

    Args:
        export: The source.
        day: The day as listed.
        spool: From `open_spool`.
        is_given_up: Once set, no further download begins and the day is incomplete.

    Raises:
        SourceChanged: A file is no longer what was listed.
        LoaderError: The source cannot be read.
    """
    folder = _day_folder(spool, day)
    folder.mkdir()
    paths = {file: folder / f"{file_id(file)}.parquet" for file in day.files}
    has_failed = Event()

    def download(file: ExportFile, path: Path) -> None:
        if is_given_up.is_set() or has_failed.is_set():
            return
        try:
            export.download(file, path)
        except BaseException:
            has_failed.set()  # at once: whoever waits for the results may be far behind
            raise

    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as downloads:
        for done in [downloads.submit(download, *pair) for pair in paths.items()]:
            done.result()
    return paths


def empty_spool(spool: Path, day: ExportDay) -> None:
    """Removes a day's files from the spool."""
    shutil.rmtree(_day_folder(spool, day), ignore_errors=True)


def _open_lock(warehouse: Path) -> TextIO:
    try:
        warehouse.parent.mkdir(parents=True, exist_ok=True)
        return warehouse.with_name(warehouse.name + ".lock").open("a")
    except OSError as error:
        raise LoaderError(
            f"cannot write beside the warehouse {shown(str(warehouse))} ({error.strerror}): "
            "give another place with --warehouse",
            ExitCode.USAGE,
        ) from error


def _day_folder(spool: Path, day: ExportDay) -> Path:
    return spool / f"{day.export_type}-{day.export_date}"
