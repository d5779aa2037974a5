"""A folder or a bucket that a lake is kept in."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access
from loader.export.cloud import CloudStore, explain
from loader.export.opening import ACCOUNT_ID, folder_of, is_folder, open_store
from loader.landing.durable import sync

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class StoredFile:
    """A file of the lake; its name is relative to the lake and has slashes."""

    name: str
    modified_at: datetime
    """With time zone."""


class LakeStore(Protocol):
    """Where a lake's files are. Methods raise LoaderError, or OSError where it is a folder."""

    @property
    def address(self) -> str:
        """`s3://bucket/prefix/`, `gs://…`, or an absolute path with a final slash."""

    def files(self, folder: str) -> list[StoredFile]:
        """All files in and below a folder, `''` or with a final slash, sorted by name."""

    def put(self, name: str, path: Path) -> None:
        """Stores a local file under a new name, whole or not at all; it is gone from `path`."""

    def create(self, name: str, content: bytes) -> bool:
        """Stores a small file, whole or not at all; False where the name is taken already."""

    def read(self, name: str) -> bytes:
        """Content of a small file."""

    def local(self, file: StoredFile, folder: Path) -> Path:
        """Where the file is on this machine: in place, or fetched into `folder`."""

    def release(self, path: Path) -> None:
        """Removes what `local` fetched; a file in place stays."""

    def delete(self, names: Iterable[str]) -> None:
        """Deletes files; one that is gone already is no error."""


def open_lake_store(url: str) -> LakeStore:
    """The store of a lake: a folder, made where it is missing, `s3://…` or `gs://…`.

    Raises:
        LoaderError: Usage or credentials, as for a source; these come from the environment.
    """
    if ACCOUNT_ID.fullmatch(url):
        raise LoaderError(
            f"a lake cannot be an account: give s3://…, gs://…, or the folder ./{url}",
            ExitCode.USAGE,
        )
    if is_folder(url):
        return FolderLake(folder_of(url).absolute())
    store = open_store(url, Access())
    assert isinstance(store, CloudStore)
    return CloudLake(store)


class FolderLake:
    """A lake in a folder of this machine."""

    def __init__(self, folder: Path):
        """The folder is made when something is put there."""
        if folder.exists() and not folder.is_dir():
            raise LoaderError(
                f"the lake cannot be at {shown(str(folder))}, which is a file: give a folder",
                ExitCode.USAGE,
            )
        # Both engines would take them for a pattern, and read the files of other folders too.
        if special := sorted(set(str(folder)) & set("*?[]{}")):
            raise LoaderError(
                f"the lake cannot be at {shown(str(folder))}, for engines take {special[0]} for a "
                "pattern: give a folder whose path has none of * ? [ ] { }",
                ExitCode.USAGE,
            )
        self.folder = folder

    @property
    def address(self) -> str:
        """See LakeStore.address."""
        return f"{self.folder}/"

    def files(self, folder: str) -> list[StoredFile]:
        """See LakeStore.files."""
        found = []
        for path in sorted((self.folder / folder).rglob("*")):
            if path.is_file() and not path.name.startswith("."):  # as engines and sources skip it
                modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                name = path.relative_to(self.folder).as_posix()
                found.append(StoredFile(name, modified_at))
        return found

    def put(self, name: str, path: Path) -> None:
        """See LakeStore.put."""
        target = self._new(name)
        sync(path)
        path.replace(target)
        sync(target.parent)

    def create(self, name: str, content: bytes) -> bool:
        """See LakeStore.create."""
        target = self._new(name)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        sync(unfinished)
        try:
            target.hardlink_to(unfinished)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        sync(target.parent)
        return True

    def read(self, name: str) -> bytes:
        """See LakeStore.read."""
        return (self.folder / name).read_bytes()

    def local(self, file: StoredFile, folder: Path) -> Path:
        """See LakeStore.local."""
        return self.folder / file.name

    def release(self, path: Path) -> None:
        """See LakeStore.release."""

    def delete(self, names: Iterable[str]) -> None:
        """See LakeStore.delete. Folders that are empty then go too."""
        for name in names:
            path = self.folder / name
            path.unlink(missing_ok=True)
            parent = path.parent
            while parent != self.folder and not any(parent.iterdir()):
                parent.rmdir()
                parent = parent.parent

    def _new(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class CloudLake:
    """A lake in a bucket."""

    def __init__(self, store: CloudStore):
        """`store` is at the lake's prefix."""
        self._bucket = store.bucket
        self.address = store.address("")
        self._prefix = self.address.removeprefix(store.bucket.url)

    def files(self, folder: str) -> list[StoredFile]:
        """See LakeStore.files."""

        def listed() -> list[StoredFile]:
            pages = self._bucket.client.list(self._prefix + folder or None, chunk_size=1000)
            return [
                StoredFile(found["path"].removeprefix(self._prefix), found["last_modified"])
                for page in pages
                for found in page
            ]

        return sorted(self._ask(folder, listed), key=lambda file: file.name)

    def put(self, name: str, path: Path) -> None:
        """See LakeStore.put."""
        self._ask(name, lambda: self._bucket.client.put(self._prefix + name, path))
        path.unlink()

    def create(self, name: str, content: bytes) -> bool:
        """See LakeStore.create."""

        def created() -> bool:
            try:
                self._bucket.client.put(self._prefix + name, content, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return self._ask(name, created)

    def read(self, name: str) -> bytes:
        """See LakeStore.read."""
        return self._ask(name, lambda: bytes(self._bucket.client.get(self._prefix + name).bytes()))

    def local(self, file: StoredFile, folder: Path) -> Path:
        """See LakeStore.local."""
        path = folder / file.name.replace("/", "-")
        if not path.exists():
            unfinished = path.with_name(path.name + ".new")

            def fetch() -> None:
                with unfinished.open("wb") as target:
                    for chunk in self._bucket.client.get(self._prefix + file.name).stream():
                        target.write(chunk)

            self._ask(file.name, fetch)
            unfinished.replace(path)
        return path

    def release(self, path: Path) -> None:
        """See LakeStore.release."""
        path.unlink(missing_ok=True)

    def delete(self, names: Iterable[str]) -> None:
        """See LakeStore.delete."""
        paths = [self._prefix + name for name in names]
        if paths:
            self._ask("", lambda: self._bucket.client.delete(paths))

    def _ask(self, name: str, request: Callable[[], Asked]) -> Asked:
        try:
            return request()
        except (BaseError, FileNotFoundError) as error:
            raise explain(error, self.address + name, self._bucket.cloud, self._remedy()) from error

    def _remedy(self) -> str | None:
        return self._bucket.lease.remedy if self._bucket.lease else None
