"""`kill -9` at any instant, named or not: each day is whole, as it was, or as it is now.

Most pulls begin warm; every `FRESH`th is the command as users start it.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loader import ledger, spec
from loader.demo import write_export
from loader.errors import ExitCode
from loader.export.layout import Unit, open_export
from loader.plan import known_days
from tests.loader.days import Days, check_ledger, days_of
from tests.loader.exports import Contents, beside, pull, query, staged
from tests.loader.faults.report import PROPERTY
from tests.loader.warm import WarmProcess

FRESH = 6


@dataclass
class Kills:
    """Kills pulls and counts what the kills met."""

    source: Path
    warehouse: Path
    rng: random.Random
    seconds: float = 0.0
    """From the spool's appearance to the end of an undisturbed pull."""
    killed: int = 0
    """Pulls that did not end before they were killed."""
    midway: int = 0
    """Kills that left a spool or a write-ahead log."""

    def measure(self) -> None:
        """Times one undisturbed pull."""
        process = WarmProcess(*self._arguments)
        _wait_for(self._spool.exists, process)
        started = time.monotonic()
        assert process.wait() == ExitCode.DONE
        self.seconds = time.monotonic() - started

    def kill(self) -> None:
        """Starts a pull and kills it at a random instant of its work."""
        instants: list[tuple[Callable[[], bool], float]] = [
            (self._spool.exists, self.seconds),
            (self._spool.exists, self.seconds),
            (self._log.exists, 0.02),
        ]
        if not self.warehouse.exists():
            instants.append((self._is_being_made, 0.002))
        begun, longest = self.rng.choice(instants)
        process = self._start()
        _wait_for(begun, process)
        time.sleep(self.rng.uniform(0, longest))
        process.kill()
        if process.wait() != -signal.SIGKILL:
            self.seconds *= 0.9  # the machine was busier when it was measured
            return
        self.killed += 1
        self.midway += bool(beside(self.warehouse) - {self.warehouse.name})

    @property
    def _spool(self) -> Path:
        return self.warehouse.with_name(self.warehouse.name + ".spool")

    @property
    def _log(self) -> Path:
        return self.warehouse.with_name(self.warehouse.name + ".wal")

    def _is_being_made(self) -> bool:
        return self.warehouse.exists() or self._unfinished.exists()

    @property
    def _unfinished(self) -> Path:
        return self.warehouse.with_name(self.warehouse.name + ".new")

    @property
    def _arguments(self) -> tuple[str | Path, ...]:
        pull = ("pull", "--since", "2020-01-01")
        return (*pull, "--source", self.source, "--warehouse", self.warehouse)

    def _start(self) -> "WarmProcess | subprocess.Popen[bytes]":
        if self.killed % FRESH:
            return WarmProcess(*self._arguments)
        command = [sys.executable, "-m", "loader", *map(str, self._arguments)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _wait_for(begun: Callable[[], bool], process: "WarmProcess | subprocess.Popen[bytes]") -> None:
    while process.poll() is None and not begun():
        time.sleep(0.0002)


def test_of_a_first_pull(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    source = tmp_path / "export"
    write_export(source, days=5, visitors=300, events=3000)
    undisturbed = tmp_path / "undisturbed" / "w.duckdb"
    undisturbed.parent.mkdir()
    kills = Kills(source, undisturbed, rng)
    kills.measure()
    wanted, rows = days_of(undisturbed), staged(undisturbed)
    assert len(wanted) == 10

    kills.warehouse = tmp_path / "killed" / "w.duckdb"
    kills.warehouse.parent.mkdir()
    while kills.killed < 12:
        kills.kill()
        days: Days = {}
        if kills.warehouse.exists():
            days = days_of(kills.warehouse)
            if days:
                check_ledger(kills.warehouse, days)
        assert days == {unit: wanted[unit] for unit in days}
        if days == wanted:  # nothing is left to be killed: once more from the start
            _clean_pull_equals(kills, rows)
            shutil.rmtree(kills.warehouse.parent)
            kills.warehouse.parent.mkdir()

    record_property(PROPERTY, kills.killed)
    _clean_pull_equals(kills, rows)
    assert kills.midway >= 3


def test_of_a_rewritten_export(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    source, other = tmp_path / "export", tmp_path / "other"
    write_export(source, seed=1, days=5, visitors=300, events=3000)
    landed = tmp_path / "landed" / "w.duckdb"
    landed.parent.mkdir()
    pull(source, landed)
    old = days_of(landed)
    visitors = {unit: _visitors(landed, unit) for unit in old}
    write_export(other, seed=2, days=5, visitors=300, events=3000)
    shutil.rmtree(source)
    other.rename(source)

    kills = Kills(source, _copy(landed, tmp_path / "undisturbed"), rng)
    kills.measure()
    new, rows = days_of(kills.warehouse), staged(kills.warehouse)
    assert all(old[unit] != new[unit] for unit in old)

    kills.warehouse = _copy(landed, tmp_path / "killed")
    while kills.killed < 6:
        kills.kill()
        days = days_of(kills.warehouse)
        check_ledger(kills.warehouse, days)
        replaced = {unit for unit in days if days[unit] == new[unit]}
        assert days == {unit: (new if unit in replaced else old)[unit] for unit in old}
        _check_fingerprints(kills, replaced)
        changed = _changed_visitors(kills.warehouse)
        assert changed == {unit: visitors[unit] for unit in replaced}
        if days == new:
            _clean_pull_equals(kills, rows)
            shutil.rmtree(kills.warehouse.parent)
            _copy(landed, kills.warehouse.parent)

    record_property(PROPERTY, kills.killed)
    _clean_pull_equals(kills, rows)
    assert kills.midway >= 2


def _clean_pull_equals(kills: Kills, rows: Contents) -> None:
    result = pull(kills.source, kills.warehouse)
    assert result.exit_code == ExitCode.DONE
    if result.landed:
        assert beside(kills.warehouse) == {kills.warehouse.name}
    assert staged(kills.warehouse) == rows
    check_ledger(kills.warehouse, days_of(kills.warehouse))


def _copy(warehouse: Path, folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(warehouse, folder))


def _visitors(warehouse: Path, unit: Unit) -> set[str]:
    table = spec.TABLES[unit[0]].qualified_name
    sql = f"select distinct visitor_id from {table} where _export_date = ?"
    return {visitor for (visitor,) in query(warehouse, sql, unit[1])}


def _changed_visitors(warehouse: Path) -> dict[Unit, set[str]]:
    changed: dict[Unit, set[str]] = {}
    for export_type, date, visitor in query(
        warehouse,
        f"""
        select export_type, export_date, visitor_id from {ledger.SCHEMA}.changed_visitors
        inner join {ledger.SCHEMA}.loads using (load_id)
        """,
    ):
        changed.setdefault((export_type, date), set()).add(visitor)
    return changed


def _check_fingerprints(kills: Kills, replaced: set[Unit]) -> None:
    """The ledger says of a day that it is the source's exactly if its rows are."""
    export = open_export(str(kills.source))
    for unit, landed in known_days(kills.warehouse).landed.items():
        assert (landed.fingerprint == export.day(*unit).fingerprint) == (unit in replaced)
