"""`loader verify`: whatever is changed by hand is found, and its remedy mends it."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from loader.errors import ExitCode
from loader.landing.warehouse import open_warehouse
from tests.loader.command import Command
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    expected,
    few_days,
    staged,
)
from tests.models.histories import write_state

DAY = f"_export_date = '{day(1)}'"
DAMAGES = {
    "a row is gone": f"delete from optimizely_raw.decisions where {DAY} and _file_row = 2",
    "a row stands twice": f"""
        insert into optimizely_raw.decisions
        from optimizely_raw.decisions where {DAY} and _file_row = 2
    """,
    "a file is gone": f"""
        delete from optimizely_raw.conversions where {DAY} and _file_id = (
            select min(_file_id) from optimizely_raw.conversions where {DAY}
        )
    """,
    "rows of an unknown file": f"""
        insert into optimizely_raw.decisions by name
        select * replace (7 as _file_id) from optimizely_raw.decisions where {DAY}
    """,
    "rows of another load": f"update optimizely_raw.decisions set _load_id = 1 where {DAY}",
    "the day's rows": "update optimizely_ledger.days set row_count = 5 where load_id = 3",
    "the day's files": "update optimizely_ledger.days set file_count = 5 where load_id = 3",
    "the day's bytes": "update optimizely_ledger.days set byte_count = 5 where load_id = 3",
    "a day twice": "insert into optimizely_ledger.days from optimizely_ledger.days limit 1",
    "a table is gone": "drop table optimizely_raw.conversions",
    "a day gone": "delete from optimizely_ledger.days where load_id = 3",
    "a load gone": "delete from optimizely_ledger.loads where load_id = 3",
    "a file entry gone": f"""
        delete from optimizely_ledger.files where file_id = (
            select min(file_id) from optimizely_ledger.files where export_date = '{day(1)}'
        )
    """,
    "a file entry twice": """
        insert into optimizely_ledger.files
        from optimizely_ledger.files order by file_id limit 1
    """,
    "rows moved between files": f"""
        update optimizely_ledger.files set row_count = 5 - row_count - 1
        where export_date = '{day(1)}'
    """,
    "rows swapped in ledger and table": f"""
        update optimizely_raw.decisions set _file_id = (
            select max(_file_id) from optimizely_raw.decisions where {DAY}
        ) where {DAY} and _file_row = 0;
        update optimizely_ledger.files set row_count = (
            select count(*) from optimizely_raw.decisions where _file_id = file_id and {DAY}
        ) where export_date = '{day(1)}' and export_type = 'decisions'
    """,
}


@pytest.fixture
def landed(loader: Command, export: Path) -> Command:
    assert loader("pull", "--source", export).returncode == ExitCode.DONE
    return loader


def execute(loader: Command, sql: str) -> None:
    with open_warehouse(loader.folder / "warehouse.duckdb") as connection:
        connection.execute(sql)


def found(loader: Command, *options: Any) -> list[str]:
    done = loader("verify", *options)
    lines = done.stdout.splitlines()
    assert done.returncode == (ExitCode.DIFFERENCE if len(lines) > 1 else ExitCode.DONE)
    plural = "" if len(lines) == 2 else "s"
    assert lines[-1].startswith(f"{len(lines) - 1} difference{plural} in ")
    return lines[:-1]


def test_nothing_differs(landed: Command, export: Path) -> None:
    assert found(landed) == []
    done = landed("verify", "--source", export)
    assert done.stdout == "0 differences in 6 days, 24 rows, 12 footers\n"
    assert done.stderr == ""
    assert found(landed, "--source", export, "--since", str(day(1)), "--type", "events") == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_the_remedy_mends_it(
    landed: Command, export: Path, damage: str
) -> None:
    execute(landed, DAMAGES[damage])

    lines = found(landed, "--source", export)

    assert lines
    for line in lines:
        remedy = re.search(r": run `loader (.*)`$", line)
        assert remedy, line
        assert landed(*shlex.split(remedy[1]), "--source", export).returncode == ExitCode.DONE
    assert found(landed, "--source", export) == []
    assert staged(landed.folder / "warehouse.duckdb") == expected(few_days())


def test_a_table_that_is_gone(landed: Command) -> None:
    """Every file of it is reported, also where visitors were forgotten."""
    landed("forget", "--visitor-id", "visitor of d0-0")
    execute(landed, "drop table optimizely_raw.conversions")
    lines = found(landed)
    assert len(lines) == 6
    assert all(": 0 rows, the ledger has " in line for line in lines)


def test_only_the_days_asked_for(landed: Command) -> None:
    execute(landed, DAMAGES["a row is gone"])
    assert len(found(landed)) == 1
    assert found(landed, "--type", "events") == []
    assert found(landed, "--since", str(day(2))) == []
    assert len(found(landed, "--since", str(day(1)), "--until", str(day(1)))) == 1


def test_the_source_against_the_ledger(landed: Command, export: Path, tmp_path: Path) -> None:
    state = few_days(4) | decisions_of(day(2), decision("x", day(2)))
    state |= conversions_of(day(4), conversion("x", day(4)))
    del state[("events", day(0))]
    write_state(tmp_path / "export", state)
    (export / f"type=events/date={day(4)}/_SUCCESS").unlink()

    done = landed("verify", "--source", export, "--json")

    assert done.returncode == ExitCode.DIFFERENCE
    told = json.loads(done.stdout)["differences"]
    assert {(item["type"], item["date"]) for item in told} == {
        ("decisions", str(day(2))),
        ("decisions", str(day(3))),
        ("events", str(day(3))),
    }
    lines = found(landed, "--source", export)
    pull = "run `loader pull --since {0} --until {0} --type {1}`"
    assert sorted(lines) == sorted(
        f"source: {kind} of {at}: {what}: {pull.format(at, kind)}"
        for kind, at, what in (
            ("decisions", day(2), "the source is not what was landed"),
            ("decisions", day(3), "ready at the source, not landed"),
            ("events", day(3), "ready at the source, not landed"),
        )
    )
    assert done.stderr.splitlines() == [
        f"note: events of {day(4)} is not ready at the source",
        f"note: events of {day(0)} is landed and no longer at the source",
    ]


def test_a_file_that_changed_unseen(landed: Command, export: Path) -> None:
    """Same key, size and time, no longer Parquet: only its footer tells."""
    [path, _] = sorted((export / f"type=events/date={day(1)}").rglob("*.parquet"))
    times = path.stat()
    path.write_bytes(bytes(times.st_size))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    [line] = found(landed, "--source", export)

    assert line.startswith("footers: events of 2024-02-28: ")
    assert "not a readable Parquet file" in line
    assert line.endswith("--force`")
    assert list(landed.folder.glob("*.spool")) == []


def test_watermarks_and_unfinished_erasures(landed: Command) -> None:
    landed("forget", "--visitor-id", "visitor of d0-0")
    execute(landed, "create table build_watermarks as select 'main.m' as model, 99 as load_id")
    execute(landed, "update optimizely_ledger.forgotten_visitors set erased_at = null")
    execute(
        landed,
        """
        update optimizely_raw.conversions set visitor_id = 'visitor of d0-0'
        where uuid = 'c0-0' and _file_row = 0
        """,
    )
    assert found(landed) == [
        "erasure: 1 visitors are not erased from the files: a forget did not end: "
        "run `loader forget` again",
        "erasure: optimizely_raw.conversions has rows of 1 forgotten visitors: "
        "run `loader forget` again with their ids",
        "watermarks: main.m was built from load 99, which is not in the ledger: "
        "run `dbt build --full-refresh`",
    ]


def test_nothing_is_landed(loader: Command, export: Path) -> None:
    for place in ((), ("--warehouse", "nowhere.duckdb"), ("--lake", "nowhere")):
        line = loader.refused("verify", *place)
        assert "nothing is landed in" in line
        assert line.endswith("give another one with --warehouse or --lake")
    assert len(found(loader, "--source", export)) == 6
    assert list(loader.folder.iterdir()) == []
