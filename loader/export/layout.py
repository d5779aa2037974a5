"""The export's layout: `type=<type>/date=<date>/…` in a store, read as days and their files."""

import hashlib
import json
import re
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access
from loader.export.integrity import CheckedDownloads
from loader.export.opening import open_store
from loader.export.selection import EVERYTHING, Selection
from loader.export.store import ExportFile, ObjectStore, SourceChanged, is_hidden
from loader.spec import TABLES

__all__ = [
    "Export",
    "ExportDay",
    "ExportFile",
    "ListedDay",
    "SourceChanged",
    "Unit",
    "contents_fingerprint",
    "find_export",
    "open_export",
]

Unit = tuple[str, date]
"""What is fetched and replaced as a whole: (type, date)."""

DEFAULT_ACCESS = Access()

SEARCH_FOLDERS = 500
"""How many folders are looked into, at any depth, before the search for `type=` is given up."""

SUCCESS_NAME = "_SUCCESS"
DATE_FOLDER = re.compile(r"date=([0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclass(frozen=True)
class ExportDay:
    """One date of one type, as listed: the unit that is fetched and replaced.

    `files` are its data files, sorted by key. A day that is not there has no files and is not
    ready; a ready day without files is an empty day.
    """

    export_type: str
    export_date: date
    is_ready: bool
    files: tuple[ExportFile, ...]
    selection: Selection = EVERYTHING
    """What was listed of it."""

    @property
    def unit(self) -> Unit:
        """The day's type and date."""
        return (self.export_type, self.export_date)

    def only(self, files: Collection[ExportFile]) -> "ExportDay":
        """The day with these of its files."""
        return replace(self, files=tuple(sorted(files)))

    def listed(self, bad_files: Collection[ExportFile] = ()) -> "ListedDay":
        """The day without its files; `bad_files` are those that could not be landed before."""
        return ListedDay(
            self.export_type,
            self.export_date,
            self.selection,
            self.is_ready,
            self.fingerprint,
            contents_fingerprint((file.key, file.size) for file in self.files),
            len(self.files),
            self.byte_count,
            frozenset(bad_files).intersection(self.files),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the sorted (key, size, etag): equal means nothing to do."""
        return _digest([[file.key, file.size, file.etag] for file in sorted(self.files)])

    @property
    def byte_count(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class ListedDay:
    """A day as it was listed, without its files: those of a long history would fill the memory."""

    export_type: str
    export_date: date
    selection: Selection
    is_ready: bool
    fingerprint: str
    contents: str
    """From `contents_fingerprint`."""
    file_count: int
    byte_count: int
    suspects: frozenset[ExportFile] = frozenset()
    """Files that could not be landed when they were last met, and are the same still."""

    @property
    def unit(self) -> Unit:
        """The day's type and date."""
        return (self.export_type, self.export_date)


def contents_fingerprint(contents: Iterable[tuple[str, int]]) -> str:
    """SHA-256, in hex, of the sorted (key, size): what can be compared between two stores."""
    return _digest([list(pair) for pair in sorted(contents)])


def _digest(rows: list[list[str | int | None]]) -> str:
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


class Export:
    """One account's export at its source. Its methods may be called from many threads at once.

    They raise LoaderError: credentials, or transient when the source stays out of reach.
    """

    def __init__(self, store: ObjectStore, type_names: list[str]):
        """`store` is at the folder that holds the `type=` folders, `type_names` are their names."""
        self._store = store
        self._downloads = CheckedDownloads(store)
        self.identity = store.identity
        self.deletes_old_files = not store.identity.startswith("file:")
        """Whether files go when they are a year old: of a bucket they may, of a folder not."""
        self.known_types = tuple(name for name in TABLES if name in type_names)
        self.missing_types = tuple(name for name in TABLES if name not in type_names)
        self.unknown_types = tuple(sorted(name for name in type_names if name not in TABLES))

    def dates(self, export_type: str) -> list[date]:
        """Dates of this type that have a folder, in order; one listing. No folder: no dates."""
        names = self._store.folders(f"type={export_type}/")
        return sorted(found for name in names if (found := _date_of(name)) is not None)

    def day(
        self, export_type: str, export_date: date, selection: Selection = EVERYTHING
    ) -> ExportDay:
        """The day as it is now, with the files of `selection` only; one recursive listing.

        A selection of some takes one listing of the date, which tells whether the day is ready,
        and one of each folder that is asked for.
        """
        folder = f"type={export_type}/date={export_date.isoformat()}/"
        if selection.is_everything(export_type):
            listed = self._store.files(folder)
            is_ready = any(file.key == folder + SUCCESS_NAME for file in listed)
        else:
            below, names = self._store.level(folder)
            is_ready = SUCCESS_NAME in names
            asked_for = [name for name in below if selection.includes_folder(export_type, name)]
            listed = [file for name in asked_for for file in self._store.files(f"{folder}{name}/")]
        # By key: a page of a listing may name a file that the page before named.
        files = {file.key: file for file in listed if not _is_hidden(file.key.removeprefix(folder))}
        return ExportDay(
            export_type, export_date, is_ready, tuple(sorted(files.values())), selection
        )

    def address(self, file: ExportFile) -> str:
        """Where other tools find the file: `s3://bucket/prefix/key`, or an absolute path."""
        return self._store.address(file.key)

    def download(self, file: ExportFile, path: Path) -> None:
        """Copy one listed file to `path`, in a folder that is there.

        Raises SourceChanged when the file was replaced, is gone or has another length than listed;
        no error leaves a part of a file behind.
        """
        self._downloads.download(file, path)


def open_export(source: str, access: Access = DEFAULT_ACCESS) -> Export:
    """The export at or below `source`, which is what `opening.open_store` takes.

    Raises LoaderError: usage (unknown source, nothing there, no export or more than one below),
    credentials, or transient.
    """
    return find_export(open_store(source, access), source)


def find_export(store: ObjectStore, source: str) -> Export:
    """The one export at or below the store's folder; `source` is how the user called it.

    Raises LoaderError: usage (no export or more than one), and what the store raises.
    """
    roots = _find_roots(store)
    if not roots:
        raise LoaderError(
            f"no type=decisions or type=events found at or below {shown(source)}:"
            " give the folder that holds them",
            ExitCode.USAGE,
        )
    if len(roots) > 1:
        found = ", ".join(shown(f"{source.rstrip('/')}/{root}") for root in sorted(roots))
        raise LoaderError(f"more than one export found: give one of {found}", ExitCode.USAGE)
    [(root, type_names)] = roots.items()
    return Export(store.at(root) if root else store, type_names)


def _find_roots(store: ObjectStore) -> dict[str, list[str]]:
    """Folders at or below the store's that hold a known `type=`, and the types each holds."""
    roots: dict[str, list[str]] = {}
    waiting = deque([""])
    seen: set[str] = set()
    while waiting:
        folder = waiting.popleft()
        place = store.at(folder).identity
        if place in seen:  # links may lead to a folder twice, or back up
            continue
        seen.add(place)
        if len(seen) > SEARCH_FOLDERS:
            raise LoaderError(
                f"too many folders below {shown(store.identity)} to look for type= in all:"
                " give the folder that holds it",
                ExitCode.USAGE,
            )
        names = store.folders(folder)
        type_names = [name.removeprefix("type=") for name in names if name.startswith("type=")]
        if any(name in TABLES for name in type_names):
            roots[folder] = type_names
        else:
            waiting += [f"{folder}{name}/" for name in names if _may_hold_root(name)]
    return roots


def _may_hold_root(name: str) -> bool:
    return not is_hidden(name) and not name.startswith(("type=", "date="))


def _is_hidden(path: str) -> bool:
    return any(is_hidden(part) for part in path.split("/"))


def _date_of(folder_name: str) -> date | None:
    found = DATE_FOLDER.fullmatch(folder_name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
