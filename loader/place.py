"""What a command works on: a warehouse, or a lake through its working copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loader.lake.storage import LakeStorage, open_lake, read_lake
from loader.landing.storage import IN_DATABASE, Storage


@dataclass(frozen=True)
class Place:
    """Where days are landed."""

    database: Path
    """The DuckDB file with the ledger; it need not exist."""
    storage: Storage = IN_DATABASE
    """Where the rows are."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.storage.name(self.database)

    @property
    def lake(self) -> LakeStorage | None:
        """The lake, if it is one."""
        return self.storage if isinstance(self.storage, LakeStorage) else None


@contextmanager
def open_place(warehouse: Path, lake: str | None, *, writes: bool) -> Iterator[Place]:
    """Opens the lake, where one is named, otherwise the warehouse.

    Args:
        warehouse: The DuckDB file.
        lake: Address of a lake; empty or None for none.
        writes: Whether anything is to be changed: then no other command changes the lake meanwhile.

    Raises:
        LoaderError: The lake is written to by another command, or cannot be used.
    """
    if not lake:
        yield Place(warehouse)
        return
    with open_lake(lake) if writes else read_lake(lake) as storage:
        yield Place(storage.database, storage)
