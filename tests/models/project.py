"""The dbt project, run in this process: start-up would dominate hundreds of builds."""

import atexit
import csv
import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult

from loader.export.layout import open_export
from loader.lake.storage import open_lake
from loader.landing.warehouse import open_warehouse
from loader.plan import Window
from loader.pull import PullResult, run_pull
from loader.spec import TABLES
from tests.models import lean_dbt

lean_dbt.apply()

ROOT = Path(__file__).parents[2]

LAKE = "OPTIMIZELY_E3_LAKE"
"""Environment variable that names the lake to build from."""

Rows = Sequence[Mapping[str, str | None]]


def _header(name: str) -> list[str]:
    with (ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


SEED_COLUMNS = {name: _header(name) for name in ("metrics", "metric_events")}
"""Columns of the seeds that metrics are declared in."""


@dataclass(frozen=True)
class Project:
    """A warehouse in a folder of its own, and the project that builds in it.

    Target `incremental` builds in schema `main`, target `rebuild` in schema `rebuild` of the same
    file, so that the two can be compared by one query. `root` is another copy of the project.
    """

    folder: Path
    name: str = "warehouse.duckdb"
    root: Path = ROOT

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.folder / self.name

    def pull(self, source: Path, *, until: date | None = None) -> PullResult:
        """Lands everything that stands in a folder, or everything up to a day."""
        export = open_export(str(source))
        window = Window(since=date.min, until=until)
        return run_pull(export, self.warehouse, list(TABLES), window)

    def dbt(self, *arguments: str, target: str = "incremental") -> dbtRunnerResult:
        """Runs one dbt command."""
        manifest = parsed_project(target, self.name, self.root)
        os.environ["OPTIMIZELY_E3_WAREHOUSE"] = str(self.warehouse)
        try:
            return dbtRunner(manifest=manifest).invoke(
                [*arguments, *_flags(target, self.name, self.root, _printed(arguments))]
            )
        finally:
            # dbt would keep the file open, and locked, until this process ends.
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
            gc.collect()

    def build(self, *arguments: str, target: str = "incremental", declared: bool = False) -> None:
        """Builds seeds and models, without their tests, and expects it to succeed.

        Args:
            arguments: Further arguments of dbt.
            target: Target of the profile.
            declared: Leave what `declare` put into the seeds' tables.
        """
        kinds = ["--resource-type=seed", "--resource-type=model"]
        if declared:
            kinds += ["--exclude", "metrics", "metric_events"]
        result = self.dbt("build", *kinds, *arguments, target=target)
        assert result.success, failures(result)

    def declare(
        self, metrics: Rows, metric_events: Rows, *, schemas: Sequence[str] = ("main",)
    ) -> None:
        """Puts rows into the tables of the seeds `metrics` and `metric_events`, and no others."""
        with open_warehouse(self.warehouse) as connection:
            for schema in schemas:
                declare(connection, metrics, metric_events, schema)

    def compiled(self, selection: str, settings: dict[str, Any]) -> dict[str, str]:
        """What dbt makes of the selected queries under these vars, by name."""
        result = self.dbt("compile", "--select", selection, "--vars", str(settings))
        assert result.success, failures(result)
        return compiled_code(result)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse."""
        with open_warehouse(self.warehouse, read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """How many rows each table has."""
        counts = ", ".join(f"(select count(*) from {table})" for table in tables)
        [found] = self.query(f"select {counts}")
        return dict(zip(tables, found, strict=True))

    def execute(self, sql: str) -> None:
        """Changes the warehouse by hand."""
        with open_warehouse(self.warehouse) as connection:
            connection.execute(sql)


def fill_lake(lake: Path, source: Path) -> None:
    """Lands everything that stands in a folder in a lake."""
    with open_lake(str(lake)) as storage:
        run_pull(
            open_export(str(source)),
            storage.database,
            list(TABLES),
            Window(since=date.min),
            storage=storage,
        )


def declare(
    connection: duckdb.DuckDBPyConnection,
    metrics: Rows,
    metric_events: Rows,
    schema: str = "main",
) -> None:
    """Puts rows into the tables of the seeds `metrics` and `metric_events`, and no others."""
    connection.execute(f"create schema if not exists {schema}")
    for name, rows in (("metrics", metrics), ("metric_events", metric_events)):
        columns = SEED_COLUMNS[name]
        typed = ", ".join(f"{column} varchar" for column in columns)
        connection.execute(f"create or replace table {schema}.{name} ({typed})")
        places = ", ".join("?" for _ in columns)
        for row in rows:
            connection.execute(
                f"insert into {schema}.{name} values ({places})",
                [row.get(column) for column in columns],
            )


def compiled_code(result: dbtRunnerResult) -> dict[str, str]:
    """The SQL of each node of a compile command, by name."""
    return {node.node.name: node.node.compiled_code for node in _nodes(result)}


def failures(result: dbtRunnerResult) -> str:
    """What failed in a dbt command, for an assertion's message."""
    if result.exception:
        return str(result.exception)
    return "\n".join(
        f"{node.node.name}: {node.message}"
        for node in _nodes(result)
        if node.status not in ("success", "pass", "skipped")
    )


def with_status(result: dbtRunnerResult, status: str) -> set[str]:
    """Names of the nodes of a dbt command that ended so."""
    return {node.node.name for node in _nodes(result) if node.status == status}


def failed_rows(result: dbtRunnerResult) -> dict[str, int]:
    """The tests of a dbt command that failed, and how many rows each of them returned."""
    return {node.node.name: node.failures for node in _nodes(result) if node.status == "fail"}


def _nodes(result: dbtRunnerResult) -> list[Any]:
    return list(getattr(result.result, "results", []))


def _printed(arguments: Sequence[str]) -> str:
    """How a command prints: rows that are asked for, else nothing, for nobody reads it."""
    return "--quiet" if arguments[0] == "show" else "--log-level=none"


def _flags(target: str, name: str, root: Path, printed: str) -> list[str]:
    # The next run of this worker parses only what has changed since.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    work = root / "target" / "tests" / f"{worker}-{target}-{name}"
    work.mkdir(parents=True, exist_ok=True)
    profiles = ROOT / "tests" / "profiles"
    folders = {"profiles-dir": profiles, "target-path": work, "log-path": work, "project-dir": root}
    flags = [f"--{name}={folder}" for name, folder in folders.items()]
    return [*flags, f"--target={target}", printed, "--log-level-file=none", "--no-write-json"]


def parsed_project(target: str, name: str = "warehouse.duckdb", root: Path = ROOT) -> Any:
    """The parsed project; the warehouse's name is in it, for it names the database."""
    return _parsed_project(target, name, root)


@cache
def _parsed_project(target: str, name: str, root: Path) -> Any:
    os.environ["OPTIMIZELY_E3_WAREHOUSE"] = name
    result = dbtRunner().invoke(["parse", *_flags(target, name, root, "--quiet")])
    assert result.success, failures(result)
    # It stays until the process ends: each collection of garbage would look through all of it.
    gc.freeze()
    atexit.register(gc.unfreeze)
    return result.result
