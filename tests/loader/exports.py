"""Small exports in a folder, pulling them, and what is in a warehouse afterwards."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import duckdb
import pytest

import loader.pull
from loader import ledger, spec
from loader.export.access import Access
from loader.export.layout import Export, ExportFile, Unit, open_export
from loader.landing.spool import open_spool
from loader.landing.warehouse import CONFIG, open_warehouse
from loader.ledger import LandedDay
from loader.plan import Plan, Window, plan_pull
from loader.pull import PullResult, run_pull
from tests.models.histories import Row, State, landed_rows

FIRST = date(2024, 2, 27)
"""Just before a leap day."""
EVERYTHING = Window(since=date.min)
BOTH_TYPES = tuple(spec.TABLES)

Answer = TypeVar("Answer", Plan, PullResult)

Contents = dict[str, Counter[str]]
"""Rows of each table; a row is its values' text, for lists and maps cannot be counted."""


def day(number: int) -> date:
    """The day `number` days after the first."""
    return FIRST + timedelta(days=number)


def decision(uuid: str, at: date = FIRST, **changes: Any) -> Row:
    """A decision with every column, received on a day."""
    row: Row = {
        "uuid": uuid,
        "timestamp": datetime(at.year, at.month, at.day, 23, 59, 59, 999000),
        "process_timestamp": datetime(at.year, at.month, at.day, 1, 2, 3, 4000),
        "visitor_id": f"visitor of {uuid}",
        "session_id": "-1949538362",
        "account_id": "12345",
        "campaign_id": "",
        "experiment_id": "18156943409",
        "variation_id": "18112613000",
        "attributes": [
            {"id": None, "name": "plan", "type": "custom", "value": "gold é 🛒"},
            {"id": "300", "name": None, "type": "device", "value": None},
        ],
        "user_ip": "75.111.77.0",
        "user_agent": 'Mozilla/5.0 "quoted", it\'s [bold]',
        "referer": None,
        "is_holdback": False,
        "revision": "17",
        "client_engine": "python-sdk",
        "client_version": "4.1.0",
    }
    return row | changes


def conversion(uuid: str, at: date = FIRST, **changes: Any) -> Row:
    """A conversion with every column, received on a day."""
    row = decision(uuid, at)
    for name in ("campaign_id", "experiment_id", "variation_id", "is_holdback"):
        del row[name]
    row |= {
        "experiments": [
            {
                "campaign_id": None,
                "experiment_id": "18156943409",
                "variation_id": "18112613000",
                "is_holdback": False,
            }
        ],
        "entity_id": "15776040040",
        "event_type": None,
        "event_name": "add to cart: 50%/2 🛒",
        "revenue": 1099,
        "value": 10.125,
        "quantity": 0,
        "tags": {"a": "b", "it's": None},
        "properties": {},
    }
    return row | changes


def decisions_of(at: date, *rows: Row, part: str = "part-0") -> State:
    """One day of decisions in one file; no rows: an empty day."""
    key = f"type=decisions/date={at}/experiment=18156943409/{part}.snappy.parquet"
    return {("decisions", at): [(key, list(rows))] if rows else []}


def conversions_of(at: date, *rows: Row, part: str = "part-0") -> State:
    """One day of conversions in one file; no rows: an empty day."""
    key = f"type=events/date={at}/event=add to cart%3A 50%25%2F2 🛒/{part}.snappy.parquet"
    return {("events", at): [(key, list(rows))] if rows else []}


def few_days(days: int = 3) -> State:
    """Days of both types; each has two files, and its first row twice."""
    state: State = {}
    for number in range(days):
        at = day(number)
        for first, second in (
            (
                decisions_of(at, *[decision(f"d{number}-{n}", at) for n in (0, 1, 0)]),
                decisions_of(at, decision(f"d{number}-2", at), part="part-1"),
            ),
            (
                conversions_of(at, *[conversion(f"c{number}-{n}", at) for n in (0, 1, 0)]),
                conversions_of(at, conversion(f"c{number}-2", at), part="part-1"),
            ),
        ):
            for unit, files in first.items():
                state[unit] = files + second[unit]
    return state


def plan(source: Path | str, warehouse: Path, **options: Any) -> Plan:
    """What a pull would do; options as for `pull`."""
    return _asked(plan_pull, source, warehouse, **options)


def run_plan(
    planned: Plan,
    export: Export,
    warehouse: Path,
    on_landed: Callable[[LandedDay], None] = lambda _: None,
) -> PullResult:
    """Lands a plan, holding the spool as the command does."""
    with open_spool(warehouse) as spool:
        return loader.pull.run_plan(planned, export, warehouse, spool, on_landed)


def pull(source: Path | str, warehouse: Path, **options: Any) -> PullResult:
    """Lands what differs; options are `types`, `window`, `endpoint_url` and those of `run_pull`."""
    return _asked(run_pull, source, warehouse, **options)


def _asked(
    ask: Callable[..., Answer],
    source: Path | str,
    warehouse: Path,
    *,
    types: tuple[str, ...] = BOTH_TYPES,
    window: Window = EVERYTHING,
    endpoint_url: str | None = None,
    **options: Any,
) -> Answer:
    export = open_export(str(source), Access(endpoint_url=endpoint_url))
    return ask(export, warehouse, list(types), window, **options)


def while_downloading(
    monkeypatch: pytest.MonkeyPatch, unit: Unit, change: Callable[[], object]
) -> None:
    """Has `change` happen when the first file of a day is asked for, after the day was listed."""
    download = Export.download
    export_type, export_date = unit
    has_changed = Event()

    def change_and_download(export: Export, file: ExportFile, path: Path) -> None:
        if file.key.startswith(f"type={export_type}/date={export_date}/"):
            with lock:
                if not has_changed.is_set():
                    has_changed.set()
                    change()
        download(export, file, path)

    lock = Lock()
    monkeypatch.setattr(Export, "download", change_and_download)


def landed_units(result: PullResult) -> list[Unit]:
    """What a pull landed, in the order it did."""
    return [landed.unit for landed in result.landed]


def expected(state: State) -> Contents:
    """The staging tables' rows that a state must give."""
    landed = dict(zip(("decisions", "conversions"), landed_rows(state), strict=True))
    return {name: Counter(map(_text, rows)) for name, rows in landed.items()}


def staged(warehouse: Path) -> Contents:
    """The staging tables' rows, without the ids of their loads."""
    found = {}
    with open_warehouse(warehouse, read_only=True) as connection:
        for table in spec.TABLES.values():
            cursor = connection.execute(f"select * exclude (_load_id) from {table.qualified_name}")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            found[table.name] = Counter(map(_text, rows))
    return found


@contextmanager
def kept_open(warehouse: Path) -> Iterator[None]:
    """Nothing in this process can write into the warehouse meanwhile.

    What reads it shares what is open, where the loader connects and not `lean_duckdb`.
    """
    with duckdb.connect(warehouse, read_only=True, config=CONFIG):
        yield


def everything(warehouse: Path) -> Contents:
    """Every row of every table of the loader, ids and times of loads included."""
    names = ("loads", "days", "files", "quarantined_files", "changed_visitors")
    tables = [table.qualified_name for table in spec.TABLES.values()]
    tables += [f"{ledger.SCHEMA}.{name}" for name in names]
    return {table: Counter(map(repr, query(warehouse, f"from {table}"))) for table in tables}


def query(warehouse: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return connection.execute(sql, list(parameters)).fetchall()


def beside(warehouse: Path) -> set[str]:
    """Names of the files in the warehouse's folder, without the lock, which stays."""
    return {path.name for path in warehouse.parent.iterdir()} - {f"{warehouse.name}.lock"}


def _text(row: Row) -> str:
    return repr(sorted(row.items()))
