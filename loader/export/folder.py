"""An export in a folder of this machine.

Not obstore's LocalStore (tried, 0.12): it leaves out names that end in `#` and digits, and links to
nothing, without a word; one control character, one name that is not UTF-8, or one link back up
fails the whole listing; and it does not look at a file again after copying it.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from loader.errors import ExitCode, LoaderError, shown
from loader.export.store import CHUNK_BYTES, ExportFile, gone, is_hidden, replaced, save


class FolderStore:
    """A folder; links are followed. Safe for many threads: it holds only a path."""

    def __init__(self, folder: Path):
        """`folder` must be there: LoaderError (usage) if not."""
        try:
            self._folder = folder.resolve(strict=True)
            is_folder = stat.S_ISDIR(self._folder.stat().st_mode)
        except RuntimeError as error:  # of a link to itself, before Python 3.13
            raise _explain(OSError(errno.ELOOP, os.strerror(errno.ELOOP)), str(folder)) from error
        except OSError as error:
            raise _explain(error, str(folder)) from error
        if not is_folder:
            raise LoaderError(
                f"{shown(str(folder))} is a file: give the folder that holds `type=…`",
                ExitCode.USAGE,
            )

    @property
    def identity(self) -> str:
        """`file:///absolute/folder/`, links resolved, percent-encoded.

        Not `Path.as_uri`, whose spelling differs between versions of Python.
        """
        return "file://" + quote(os.fsencode(self._folder), safe="/=").rstrip("/") + "/"

    def at(self, folder: str) -> "FolderStore":
        """See ObjectStore.at."""
        return FolderStore(self._folder / folder)

    def address(self, key: str) -> str:
        """See ObjectStore.address."""
        return str(self._folder / key)

    def folders(self, folder: str) -> list[str]:
        """See ObjectStore.folders."""
        return self._names(folder, os.DirEntry.is_dir)

    def level(self, folder: str) -> tuple[list[str], list[str]]:
        """See ObjectStore.level."""
        return self.folders(folder), self._names(folder, os.DirEntry.is_file)

    def files(self, folder: str) -> list[ExportFile]:
        """See ObjectStore.files. Hidden folders are not entered; a link to nothing is bad input."""
        return list(self._walk(folder, above=frozenset()))

    def download(self, file: ExportFile, path: Path) -> None:
        """See ObjectStore.download. The file is checked before and after it is copied."""
        save(self._chunks(file), file, path)

    def _names(self, folder: str, is_wanted: Callable[["os.DirEntry[str]"], bool]) -> list[str]:
        names = []
        for entry in self._entries(folder):
            try:
                if is_wanted(entry):
                    names.append(_text(entry.name))
            except OSError as error:
                if error.errno != errno.ELOOP:  # that is a link to nothing too
                    raise _explain(error, entry.path) from error
        return sorted(names)

    def _walk(self, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[ExportFile]:
        """Files in and below `folder`; `above`: (device, inode) of the folders that led here."""
        entries = self._entries(folder)
        try:
            here = (self._folder / folder).stat()
        except FileNotFoundError:
            return
        if (here.st_dev, here.st_ino) in above:  # a link back up: its files are listed already
            return
        above |= {(here.st_dev, here.st_ino)}
        for entry in entries:
            key = folder + _text(entry.name)
            try:
                found = entry.stat()
            except OSError as error:
                if not isinstance(error, FileNotFoundError) and error.errno != errno.ELOOP:
                    raise _explain(error, entry.path) from error
                if entry.is_symlink() and not is_hidden(entry.name):
                    raise LoaderError(
                        f"{shown(entry.path)} is a link to nothing: restore its file or remove it",
                        ExitCode.USAGE,
                    ) from None
                continue  # gone since the folder was read
            if stat.S_ISREG(found.st_mode):
                yield ExportFile(key=key, size=found.st_size, etag=_etag(found))
            elif stat.S_ISDIR(found.st_mode) and not is_hidden(entry.name):
                yield from self._walk(f"{key}/", above)

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        path = self._folder / folder
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError) as error:
            if folder and self._folder.is_dir():
                return []
            raise _explain(error, str(self._folder)) from error
        except OSError as error:
            raise _explain(error, str(path)) from error

    def _chunks(self, file: ExportFile) -> Iterator[bytes]:
        path = self._folder / file.key
        try:
            with path.open("rb", buffering=0) as source:
                _check(file, os.fstat(source.fileno()))
                while chunk := source.read(CHUNK_BYTES):
                    yield chunk
                _check(file, os.fstat(source.fileno()))
            _check(file, path.stat())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise gone(file) from error
        except OSError as error:
            raise _explain(error, str(path)) from error


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _check(file: ExportFile, found: os.stat_result) -> None:
    if found.st_size != file.size or (file.etag is not None and _etag(found) != file.etag):
        raise replaced(file)


def _text(name: str) -> str:
    """The name, if it is text: keys are hashed and stored as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise LoaderError(
            f"the name {shown(name)} is not UTF-8: rename it", ExitCode.USAGE
        ) from None
    return name


def _explain(error: OSError, path: str) -> LoaderError:
    """The one place where an error of the file system becomes one of ours."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return LoaderError(
            f"{shown(path)} is not there: give the folder that holds `type=…`", ExitCode.USAGE
        )
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
        return LoaderError(
            f"{shown(path)} is no folder ({error.strerror}): give the folder that holds `type=…`",
            ExitCode.USAGE,
        )
    if isinstance(error, PermissionError):
        return LoaderError(
            f"{shown(path)} may not be read by this user: give it read access",
            ExitCode.CREDENTIALS,
        )
    return LoaderError(
        f"{shown(path)} cannot be read ({error.strerror}): check the disk and try again",
        ExitCode.TRANSIENT,
    )
