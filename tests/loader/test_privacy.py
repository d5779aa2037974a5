"""What is dropped or hashed is never stored, and no later pull forgets to do so."""

import hashlib
import hmac
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader import privacy, spec
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.landing.day import FetchedDay, land_days
from loader.landing.fetch import Fetcher
from loader.landing.spool import open_spool
from loader.landing.warehouse import open_warehouse
from loader.privacy import DROP, HASH, HASH_KEY, Privacy
from tests.loader.command import Command
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    expected,
    few_days,
    pull,
    query,
    staged,
)
from tests.models.histories import State, history, write_state

KEY = "correct horse battery staple"
FLAGS = ("--drop-column", "user_ip", "--hash-column", "visitor_id")
EVERY_DAY = ("--since", "2024-01-01")


@pytest.fixture
def keyed(loader: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv(HASH_KEY, KEY)
    return loader


def treated(state: State, **treatments: Callable[[Any], Any]) -> State:
    """The state as it is to be landed."""
    return {
        unit: [
            (
                key,
                [
                    {name: treatments.get(name, lambda v: v)(value) for name, value in row.items()}
                    for row in rows
                ],
            )
            for key, rows in files
        ]
        for unit, files in state.items()
    }


def hashed(value: str | None, key: bytes = KEY.encode()) -> str | None:
    """As it is landed; none, or an empty one, is nobody's."""
    if not value:
        return value
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def test_every_column_in_sql_equals_hmac_in_python() -> None:
    connection = duckdb.connect()

    @settings(max_examples=150, deadline=None)
    @given(
        st.binary(max_size=64) | st.binary(min_size=65, max_size=200),
        st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    )
    def check(key: bytes, values: list[str | None]) -> None:
        settled = Privacy(dict.fromkeys(privacy.HASHABLE, HASH), key)
        for table in spec.TABLES.values():
            row = ", ".join(
                f'v as "{c.name}"' if c.name in privacy.HASHABLE else f'null as "{c.name}"'
                for c in table.columns
            )
            found = connection.execute(
                f"select {settled.select_list(table)} from "
                f"(select {row} from (select unnest($values::varchar[]) as v))",
                {"values": values, **settled.parameters(table)},
            ).fetchall()
            wanted = [hashed(value, key) for value in values]
            for number, column in enumerate(table.columns):
                if column.name in privacy.HASHABLE:
                    assert [r[number] for r in found] == wanted

    check()


def test_the_flags_change_what_is_landed_and_nothing_else(keyed: Command, tmp_path: Path) -> None:
    state = history(seed=3, visitors=20, loads=0).states[0]
    source = write_state(tmp_path / "export", state)
    done = keyed("pull", "--source", source, *FLAGS, "--drop-column", "tags")

    assert done.returncode == ExitCode.DONE, done.stderr
    assert staged(keyed.folder / "warehouse.duckdb") == expected(
        treated(state, visitor_id=hashed, user_ip=lambda _: None, tags=lambda _: None)
    )


def test_the_file_never_holds_what_was_not_to_be_stored(keyed: Command, export: Path) -> None:
    keyed("pull", "--source", export, *FLAGS)
    content = (keyed.folder / "warehouse.duckdb").read_bytes()
    for text in (b"75.111.77", b"visitor of d0-0", KEY.encode()):
        assert text not in content
    keyed("pull", "--source", export, "--warehouse", "untreated.duckdb")
    content = (keyed.folder / "untreated.duckdb").read_bytes()
    assert b"75.111.77" in content and b"visitor of d0-0" in content


@pytest.mark.parametrize("repeated", [(), FLAGS])
def test_later_pulls_do_the_same(keyed: Command, tmp_path: Path, repeated: tuple[str, ...]) -> None:
    source = write_state(tmp_path / "export", few_days(1))
    keyed("pull", "--source", source, *EVERY_DAY, *FLAGS)
    state = few_days(3) | decisions_of(day(0), decision("x", day(0)))
    write_state(tmp_path / "export", state)

    assert keyed("pull", "--source", source, *EVERY_DAY, *repeated).returncode == ExitCode.DONE
    assert staged(keyed.folder / "warehouse.duckdb") == expected(
        treated(state, visitor_id=hashed, user_ip=lambda _: None)
    )


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        (("--drop-column", "user_ip"), "give the same or none of these flags, or land into a new"),
        ((*FLAGS, "--drop-column", "tags"), "landed with --drop-column user_ip --hash-column vis"),
        (("--drop-column", "visitor_id"), "it is needed as it is; give one of session_id,"),
        (("--drop-column", "uuid"), "it is needed as it is"),
        (("--drop-column", "nothing"), "it is no column of the export; give one of"),
        (("--drop-column", ""), "--drop-column '': it is no column of the export; give one of"),
        (("--hash-column", "experiment_id"), "it is needed as it is; give one of visitor_id,"),
        (("--hash-column", "attributes"), "it is no text"),
        (("--hash-column", "referer", "--drop-column", "referer"), "give either"),
    ],
)
def test_other_flags_are_refused(
    keyed: Command, export: Path, flags: tuple[str, ...], remedy: str
) -> None:
    keyed("pull", "--source", export, *FLAGS)
    assert remedy in keyed.refused("pull", "--source", export, *flags)
    assert remedy in keyed.refused("pull", "--source", export, "--dry-run", *flags)


@pytest.mark.parametrize(
    ("key", "problem"), [("", "is not set"), ("fifteen letters", "is shorter than 16 characters")]
)
def test_without_a_key_nothing_is_fetched(
    loader: Command, monkeypatch: pytest.MonkeyPatch, key: str, problem: str
) -> None:
    monkeypatch.setenv(HASH_KEY, key)
    refused = loader.refused("pull", "--source", "s3://nowhere/", *FLAGS)
    assert f"{HASH_KEY} {problem}: set it to a long random secret" in refused
    assert "fifteen" not in refused


def test_another_key_is_refused(
    keyed: Command, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed("pull", "--source", export, *FLAGS)
    for other, problem in (("another long enough key", "is not the key"), ("", "is not set")):
        monkeypatch.setenv(HASH_KEY, other)
        refused = keyed.refused("pull", "--source", export)
        assert f"{HASH_KEY} {problem}" in refused
        assert KEY not in refused and "another long" not in refused


def test_a_warehouse_landed_without_is_refused(keyed: Command, export: Path) -> None:
    keyed("pull", "--source", export)
    refused = keyed.refused("pull", "--source", export, *FLAGS)
    assert refused.endswith("land into a new one with --warehouse")


def test_a_landing_that_does_not_know_the_settings_is_refused(
    keyed: Command, tmp_path: Path
) -> None:
    source = write_state(tmp_path / "export", few_days(1))
    warehouse = keyed.folder / "warehouse.duckdb"
    keyed("pull", "--source", source, *FLAGS)
    before = staged(warehouse)
    export = open_export(str(source))
    found = export.day("decisions", day(0))
    with open_spool(warehouse) as spool, Fetcher(export, spool, [found.listed()]) as fetcher:
        [fetched] = next(iter(fetcher)).values()
        assert isinstance(fetched, FetchedDay)
        for settings_ in (privacy.NOTHING, Privacy({"user_ip": DROP})):
            with pytest.raises(LoaderError, match="other columns dropped or hashed"):
                land_days(warehouse, [(fetched, "forced")], "file:///x/", settings_)
    assert staged(warehouse) == before


def test_a_reason_quotes_no_value_of_a_hashed_column(keyed: Command, tmp_path: Path) -> None:
    source = write_state(tmp_path / "export", conversions_of(day(0), conversion("x")))
    [path] = source.rglob("*.parquet")
    whole = pq.ParquetFile(path).read()
    bad = pa.array([b"secret \xff visitor"], pa.binary()).view(pa.string())
    at = whole.column_names.index("visitor_id")
    pq.write_table(whole.set_column(at, "visitor_id", bad), path)

    untreated = keyed("pull", "--source", source, "--warehouse", "untreated.duckdb")
    assert untreated.returncode == ExitCode.BAD_INPUT
    assert "secret" in untreated.stderr  # or this test says nothing

    done = keyed("pull", "--source", source, *FLAGS)

    assert done.returncode == ExitCode.BAD_INPUT
    assert "secret" not in done.stderr
    assert "column visitor_id cannot be read" in done.stderr
    assert query(
        keyed.folder / "warehouse.duckdb", "select reason from optimizely_ledger.quarantined_files"
    ) == [("column visitor_id cannot be read",)]

    # The settings hold from then on, although no day is landed.
    write_state(tmp_path / "export", few_days(1))
    assert keyed("pull", "--source", source).returncode == ExitCode.DONE
    assert staged(keyed.folder / "warehouse.duckdb") == expected(
        treated(few_days(1), visitor_id=hashed, user_ip=lambda _: None)
    )


def test_an_older_warehouse_is_brought_up_to_date(loader: Command, tmp_path: Path) -> None:
    source = write_state(tmp_path / "export", few_days(1))
    warehouse = loader.folder / "warehouse.duckdb"
    pull(source, warehouse)
    with open_warehouse(warehouse) as connection:
        for table in ("privacy", "forgotten_visitors", "forgotten_salt"):
            connection.execute(f"drop table optimizely_ledger.{table}")
        for name in ("rows_before", "files_added", "files_removed", "files_replaced"):
            connection.execute(f"alter table optimizely_ledger.loads drop column {name}")
        connection.execute("alter table optimizely_ledger.files drop column erased_row_count")
    shutil.copy(warehouse, "older.duckdb")

    assert [load["rows_before"] for load in loader.json("history")] == [None, None]
    assert loader.json("verify", "--source", source)["differences"] == []
    write_state(tmp_path / "export", few_days(2))
    assert loader("pull", "--source", source).returncode == ExitCode.DONE
    assert [load["rows_before"] for load in loader.json("history")] == [0, 0, None, None]
    assert loader.json("verify", "--source", source)["differences"] == []
    assert staged(warehouse) == expected(few_days(2))

    receipt = loader.json(
        "forget", "--visitor-id", "visitor of d0-0", "--warehouse", "older.duckdb"
    )
    assert receipt["rows_deleted"]["optimizely_raw.decisions"] == 2
