"""What every store of an export can do, and what all of them share."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loader.errors import ExitCode, LoaderError, shown

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, order=True)
class ExportFile:
    """One file of the export. `key` is relative to the export's folder: it begins with `type=`."""

    key: str
    size: int
    etag: str | None


class SourceChanged(LoaderError):
    """The source is no longer what was listed; the message ends with `run the pull again`."""

    def __init__(self, message: str):
        super().__init__(message, ExitCode.TRANSIENT)


def replaced(file: ExportFile) -> SourceChanged:
    """Another file, or another length of it, is where this one was listed."""
    return SourceChanged(f"{shown(file.key)} was replaced after it was listed: run the pull again")


def gone(file: ExportFile) -> SourceChanged:
    """The file is no longer there."""
    return SourceChanged(f"{shown(file.key)} is gone since it was listed: run the pull again")


class ObjectStore(Protocol):
    """A folder in some store, read only; its methods may be called from many threads at once.

    A folder below it is named by its path with a final slash, `''` is the folder itself.
    Methods raise LoaderError; a folder below that is not there is an empty one.
    """

    @property
    def identity(self) -> str:
        """Stable name of the store and folder; ETags can be compared only within one identity."""

    def at(self, folder: str) -> "ObjectStore":
        """The same store, with `folder` for its own folder."""

    def address(self, key: str) -> str:
        """Where other tools find a file: `s3://bucket/prefix/key`, or an absolute path."""

    def folders(self, folder: str) -> list[str]:
        """Names, sorted, of the folders directly in `folder`."""

    def level(self, folder: str) -> tuple[list[str], list[str]]:
        """Names, sorted, of the folders and of the files directly in `folder`; one listing."""

    def files(self, folder: str) -> list[ExportFile]:
        """All files in and below `folder`, in any order, hidden ones too."""

    def download(self, file: ExportFile, path: Path) -> None:
        """Copy one file to `path`, whole and as listed; otherwise SourceChanged and no file."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name holds no data: `_SUCCESS`, `_temporary`, `.x.crc`."""
    return name.startswith((".", "_"))


def save(chunks: Iterable[bytes | memoryview], file: ExportFile, path: Path) -> None:
    """Write `chunks` to `path` and check their length against `file`; a failure leaves no file.

    `chunks` must raise LoaderError for whatever happens at the source: an OSError seen here is
    taken for one of `path`. Raises SourceChanged for another length, LoaderError for a full disk.
    """
    written = 0
    try:
        with path.open("wb") as target:
            for chunk in chunks:
                written += target.write(chunk)
        if written != file.size:
            raise replaced(file)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LoaderError(
                f"no space left for {shown(str(path))}: free some, or choose another disk",
                ExitCode.NO_DISK_SPACE,
            ) from error
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise
