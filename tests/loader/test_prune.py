"""`loader prune`: old days go whole, and no pull brings them back.

Builds after a prune are in test_forget.py.
"""

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from loader import ledger
from loader.errors import ExitCode, LoaderError
from loader.plan import Window
from loader.prune import first_kept_day, prune
from loader.timespan import today_utc
from tests.loader.command import Command
from tests.loader.erased import differences
from tests.loader.exports import (
    beside,
    day,
    everything,
    expected,
    few_days,
    landed_units,
    plan,
    pull,
    query,
    staged,
)
from tests.models.histories import State, history, write_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse" / "w.duckdb"
    path.parent.mkdir()
    return path


def since(state: State, first: date) -> State:
    return {unit: files for unit, files in state.items() if unit[1] >= first}


@pytest.mark.parametrize("seed", [21, 22])
def test_what_is_kept_is_the_source_since_then(folder: Path, warehouse: Path, seed: int) -> None:
    rng = random.Random(seed)
    state = history(seed, visitors=15, loads=0).states[0]
    pull(write_state(folder, state), warehouse)
    for first in sorted(rng.choices(sorted({at for _, at in state}), k=3)):
        result = prune(warehouse, first)
        assert all(landed.export_date < first for landed in result.days)
        assert staged(warehouse) == expected(since(state, first))
        assert differences(warehouse) == []
        assert plan(folder, warehouse, window=Window()).to_land == []
        assert prune(warehouse, first).days == []
    assert beside(warehouse) == {"w.duckdb"}


def test_the_ledger_says_what_happened(folder: Path, warehouse: Path) -> None:
    pull(write_state(folder, few_days(2)), warehouse)
    prune(warehouse, day(1))
    loads = query(
        warehouse,
        """
        select load_id, export_type, export_date, reason, row_count, rows_before, file_count,
            files_removed
        from optimizely_ledger.loads where load_id > 4 order by all
        """,
    )
    assert loads == [
        (5, "decisions", day(0), "pruned", 0, 4, 0, 2),
        (6, "events", day(0), "pruned", 0, 4, 0, 2),
    ]
    assert query(
        warehouse, "select load_id, visitor_id from optimizely_ledger.changed_visitors order by all"
    ) == [
        (load_id, f"visitor of {kind}0-{n}")
        for load_id, kind in ((5, "d"), (6, "c"))
        for n in range(3)
    ]


@pytest.mark.parametrize("kept", [2, 5])
def test_only_an_explicit_since_brings_pruned_days_back(
    folder: Path, warehouse: Path, kept: int
) -> None:
    """Also where all days went, and where the overlap reaches further back than what was kept."""
    pull(write_state(folder, few_days(4)), warehouse)
    prune(warehouse, day(kept))
    write_state(folder, few_days(5))

    result = pull(folder, warehouse, window=Window())

    assert landed_units(result) == [("decisions", day(4)), ("events", day(4))]
    result = pull(folder, warehouse, window=Window(since=day(1), until=day(1)))
    assert landed_units(result) == [("decisions", day(1)), ("events", day(1))]
    write_state(folder, few_days(1))
    assert plan(folder, warehouse, window=Window()).to_land == []


def test_a_failure_leaves_whole_days(
    folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(write_state(folder, few_days(3)), warehouse)
    remove, calls = ledger.remove_day, iter((False, True))

    def fail_second(*arguments: Any, **named: Any) -> None:
        remove(*arguments, **named)
        if next(calls):
            raise RuntimeError

    monkeypatch.setattr("loader.ledger.remove_day", fail_second)
    with pytest.raises(RuntimeError):
        prune(warehouse, day(2))
    monkeypatch.undo()

    left = few_days(3)
    del left[("decisions", day(0))]
    assert staged(warehouse) == expected(left)
    assert differences(warehouse) == []
    prune(warehouse, day(2))
    assert staged(warehouse) == expected(since(few_days(3), day(2)))


class TestCommand:
    def test_says_what_it_did_and_status_knows(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        warehouse = loader.folder / "warehouse.duckdb"
        before = everything(warehouse)

        dry = loader("prune", "--keep", str(day(1)), "--dry-run")
        assert dry.stdout == (
            f"would delete decisions of {day(0)}: 2 files, 4 rows\n"
            f"would delete events of {day(0)}: 2 files, 4 rows\n"
            f"would delete 2 days before {day(1)}, 8 rows\n"
        )
        assert everything(warehouse) == before

        assert loader.json("prune", "--keep", str(day(1)))["rows"] == 8
        for source in ((), ("--source", export)):
            states = loader.json("status", "--type", "events", *source)
            found = [(item["date"], item["state"]) for item in states]
            wanted = [(str(day(n)), "landed" if n else "pruned") for n in range(3)]
            assert found == (wanted if source else wanted[1:])
        assert loader.json("verify", "--source", export)["differences"] == []
        assert loader("prune", "--keep", str(day(1))).stdout == (
            f"deleted 0 days before {day(1)}, 0 rows\n"
        )

    def test_what_to_keep_must_be_said(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        assert "--keep" in loader.refused("prune")
        for keep in ("0d", str(today_utc()), str(today_utc() + timedelta(days=3))):
            assert "give an age of at least 1d" in loader.refused("prune", "--keep", keep)
        assert "is no day" in loader.refused("prune", "--keep", "a year")

    def test_nothing_is_landed(self, loader: Command) -> None:
        assert loader.json("prune", "--keep", "1d")["days"] == []
        assert list(loader.folder.iterdir()) == []


def test_an_age_counts_from_today() -> None:
    today = date(2024, 3, 1)
    assert first_kept_day("1d", today) == date(2024, 2, 29)
    assert first_kept_day("400d", today) == today - timedelta(days=400)
    with pytest.raises(LoaderError) as refused:
        first_kept_day("0d", today)
    assert refused.value.exit_code == ExitCode.USAGE
