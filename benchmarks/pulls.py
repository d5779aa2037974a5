"""Jobs that land an export, by a pull and by the bare insert, in a fresh database."""

from pathlib import Path

import duckdb

from benchmarks.exports import Sample
from benchmarks.measure import BrokenBenchmark, Job, Measured, measure_in_turn, python
from benchmarks.tables import Section, row
from loader import spec

SINCE_EVER = "2000-01-01"
FOLDER_TARGET = 1.25


def beside_bare_insert(title: str, sample: Sample, scratch: Path, repetitions: int) -> Section:
    """A pull from a folder beside the bare insert."""
    bare = bare_insert_job(sample, scratch)
    pull = pull_job("`loader pull`", sample, scratch / "pull.duckdb", str(sample.folder))
    measured = measure_in_turn([bare, pull], repetitions)
    target = f"≤ {FOLDER_TARGET} of the bare insert"
    rows = [
        row(bare.name, measured[bare.name]),
        row(pull.name, measured[pull.name], measured[bare.name], target),
    ]
    return Section(title, rows)


def pull_command(warehouse: Path, *source: str) -> list[str]:
    """A pull that prints what it did as JSON."""
    return python("loader", "pull", "--json", "--warehouse", warehouse, "--source", *source)


def pull_job(
    name: str,
    sample: Sample,
    warehouse: Path,
    *source: str,
    environment: dict[str, str] | None = None,
) -> Job:
    """Lands all of an export in a new warehouse."""

    def check(_: Measured) -> None:
        _check_rows(warehouse, sample)

    return Job(
        name,
        [*pull_command(warehouse, *source), "--since", SINCE_EVER],
        prepare=lambda: warehouse.unlink(missing_ok=True),
        check=check,
        environment=environment or {},
    )


def bare_insert_job(sample: Sample, scratch: Path) -> Job:
    """The least that landing an export can cost."""
    database = scratch / "bare.duckdb"

    def check(_: Measured) -> None:
        _check_rows(database, sample)

    return Job(
        "bare `insert … select`",
        python("benchmarks.bare_insert", sample.statements, database),
        prepare=lambda: database.unlink(missing_ok=True),
        check=check,
    )


def _check_rows(database: Path, sample: Sample) -> None:
    counts = " + ".join(
        f"(select count(*) from {table.qualified_name})" for table in spec.TABLES.values()
    )
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute(f"select {counts}").fetchone()
    if found != (sample.rows,):
        raise BrokenBenchmark(f"{database.name} has {found} rows, not {sample.rows}")
