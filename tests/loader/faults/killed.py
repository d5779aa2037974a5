"""Has a process of `loader` kill itself at a named point: no warning, no clean-up."""

import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

HALF_A_FILE = "the rest of a file"

POINTS: dict[str, dict[str, int]] = {
    "rewritten": {
        "loader.landing.spool._open_lock": 1,
        "loader.pull.plan_pull": 1,
        "loader.landing.fetch.Fetcher._fetch": 3,
        "loader.export.layout.Export.download": 3,
        HALF_A_FILE: 3,
        "loader.landing.fetch.check_day": 3,
        "loader.export.layout.Export.day": 8,  # four days were listed to plan
        "loader.pull.land_days": 2,
        "begin": 2,
        "loader.landing.day.create_tables": 2,
        "insert into optimizely_ledger.changed_visitors": 2,
        "delete from optimizely_raw.": 2,
        "insert into optimizely_raw.": 2,
        "loader.ledger.record_load": 2,
        "insert into optimizely_ledger.loads": 2,
        "insert into optimizely_ledger.days": 2,
        "insert into optimizely_ledger.files": 2,
        "commit": 2,
        "checkpoint": 2,
        "loader.landing.fetch.empty_spool": 2,
        "loader.landing.spool.shutil.rmtree": 6,  # the last one
    },
    "together": {
        "insert into optimizely_ledger.days": 1,
        "commit": 1,
        "checkpoint": 1,
    },
    "first": {
        "loader.landing.warehouse._create": 1,
        "pathlib.Path.rename": 1,
        "loader.landing.day.create_tables": 1,
        "commit": 1,
        "checkpoint": 1,
    },
    "moved": {"loader.ledger.adopt": 2, "commit": 1, "loader.landing.spool.shutil.rmtree": 2},
    "bad": {
        "loader.ledger.record_quarantine": 1,
        "insert into optimizely_ledger.quarantined_files": 1,
        "loader.landing.spool.shutil.rmtree": 6,
    },
}
"""By the kind of pull: before which call of which function, or of a statement that begins so.

The second call, mostly: the second day is landed when some is landed and some is not.
"""


def die() -> NoReturn:
    """Ends this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class Watched:
    """A connection whose statements are told before they are run."""

    def __init__(self, connection: Any, tell: Callable[[str], None]):
        self._connection = connection
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def begin(self) -> Any:
        self._tell("begin")
        return self._connection.begin()

    def commit(self) -> Any:
        self._tell("commit")
        return self._connection.commit()

    def execute(self, sql: str, *arguments: Any) -> Any:
        self._tell(sql)
        return self._connection.execute(sql, *arguments)

    def executemany(self, sql: str, *arguments: Any) -> Any:
        self._tell(sql)
        return self._connection.executemany(sql, *arguments)


def arm_pull(kind: str, point: str) -> None:
    """Has this process die at a point of a kind of pull, of `POINTS`."""
    if kind != "together":  # else it depends on time how many days are landed at once
        import_module("loader.landing.fetch").BATCH_ROWS = 1  # type: ignore[attr-defined]
    arm(point, POINTS[kind][point])


def arm(point: str, call: int) -> None:
    """Has this process die before that call of the point."""
    numbers = count(1)

    def watch() -> None:
        if next(numbers) == call:
            die()

    if point == HALF_A_FILE:
        for store in ("folder", "cloud"):
            module: Any = import_module(f"loader.export.{store}")
            module.save = _half(module.save, numbers, call)
    elif re.fullmatch(r"\w+(\.\w+)+", point):
        owner, name = _owner(point)
        function = getattr(owner, name)

        @wraps(function)
        def watched(*arguments: Any, **options: Any) -> Any:
            watch()
            return function(*arguments, **options)

        setattr(owner, name, watched)
    else:
        warehouse: Any = import_module("loader.landing.warehouse")
        connect = warehouse._connect

        def statement(sql: str) -> None:
            if " ".join(sql.split()).startswith(point):
                watch()

        warehouse._connect = lambda *arguments: Watched(connect(*arguments), statement)


def _half(save: Callable[..., None], numbers: Iterator[int], call: int) -> Callable[..., None]:
    def save_half(chunks: Iterable[bytes], file: object, path: Path) -> None:
        if next(numbers) == call:
            chunk = next(iter(chunks))
            path.write_bytes(chunk[: len(chunk) // 2])
            die()
        save(chunks, file, path)

    return save_half


def _owner(name: str) -> tuple[Any, str]:
    """The module or class that holds what a dotted name means, and the last part of the name."""
    *parts, last = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            owner: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            owner = getattr(owner, part)
        return owner, last
    raise ModuleNotFoundError(name)
