"""One fault tried: pulls while something is wrong, then the clean pull and all that must hold."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loader.errors import ExitCode
from loader.plan import known_days
from tests.loader.command import Command, Done
from tests.loader.days import check_ledger, days_of
from tests.loader.exports import beside, expected, kept_open, staged
from tests.loader.faults.faulty import FaultProxy
from tests.loader.warm import WarmProcess, unprepared
from tests.models.histories import State, parquet_bytes

ALL = ("--since", "2020-01-01")


class Bucket(Protocol):
    """A bucket in some store, filled past the fault proxy."""

    @property
    def endpoint_url(self) -> str:
        """Its server."""

    @property
    def source(self) -> str:
        """What a user gives."""

    def put(self, key: str, body: bytes = b"") -> None:
        """Put one object; `key` is relative to the prefix."""

    def delete(self, key: str) -> None:
        """Delete one object; `key` is relative to the prefix."""


@dataclass
class Trial:
    """Pulls of one bucket, through the fault proxy, into one warehouse.

    Whatever the commands print, and whatever files they leave, is searched for `secrets`.
    """

    bucket: Bucket
    proxy: FaultProxy
    command: Command
    folder: Path
    rng: random.Random
    secrets: list[str]
    state: State = field(default_factory=dict)
    options: tuple[str, ...] = ()
    """Of every pull; by default what reaches the bucket."""

    @property
    def warehouse(self) -> Path:
        """The warehouse, in a folder that holds nothing else."""
        return self.folder / "w.duckdb"

    def publish(self, state: State) -> None:
        """Makes the bucket hold this state, which has all days of the one before."""
        puts: dict[str, bytes] = {}
        for (export_type, export_date), files in state.items():
            old = self.state.get((export_type, export_date))
            if files == old:
                continue
            puts |= {key: parquet_bytes(key, rows) for key, rows in files}
            for key in {key for key, _ in old or []} - puts.keys():
                self.bucket.delete(key)
            puts[f"type={export_type}/date={export_date}/_SUCCESS"] = b""
        self.put_all(puts)
        self.state = state

    def put_all(self, bodies: dict[str, bytes]) -> None:
        """Puts objects by their keys."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.bucket.put, bodies.keys(), bodies.values()))

    def arguments(self, *more: str | Path) -> tuple[str | Path, ...]:
        """Of a pull of everything."""
        return (
            *("pull", *ALL, "--source", self.bucket.source, "--warehouse", self.warehouse),
            *("--endpoint-url", self.proxy.url, *self.options, *more),
        )

    def pull(self, *more: str | Path) -> Done:
        """A pull, in this process; no spool may be left beside the warehouse."""
        done = self.look_at(self.command(*self.arguments(*more)))
        assert "w.duckdb.spool" not in beside(self.warehouse)
        return done

    def process(self, prepare: Callable[[], object] = unprepared, **env: str) -> Done:
        """A pull in a process of its own, with these settings in its environment."""
        return self.look_at(self.started(prepare, **env).done())

    def started(self, prepare: Callable[[], object] = unprepared, **env: str) -> WarmProcess:
        """The same, not waited for."""
        return WarmProcess(*self.arguments(), prepare=prepare, **env)

    def look_at(self, done: Done) -> Done:
        """Whatever a command says or leaves: no traceback, no secret, one line for an error."""
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode != ExitCode.BUG
        for secret in self.secrets:
            assert all(secret not in text for text in (done.stdout, done.stderr))
            for path in files_below(self.folder):
                assert secret.encode() not in path.read_bytes(), path
        return done

    def fails(self, *codes: ExitCode) -> str:
        """A pull that ends with one of these codes and lands nothing wrong; what it says."""
        done = self.pull()
        assert done.returncode in codes, done
        assert done.stderr
        self.check_days()
        return done.stderr

    def survives(self) -> None:
        """A pull that gets over the fault by itself: a clean one finds nothing to do."""
        done = self.pull()
        assert done.returncode == ExitCode.DONE, done
        self._is_right()

    def recovers(self) -> None:
        """After the fault, one clean pull makes the tables right; the next finds nothing new."""
        self.proxy.heal()
        done = self.pull()
        assert done.returncode == ExitCode.DONE, done
        assert beside(self.warehouse) == {"w.duckdb"}
        self._is_right()

    def _is_right(self) -> None:
        """The tables hold the state, and a clean pull, which may only read, finds nothing new."""
        self.proxy.heal()
        assert staged(self.warehouse) == expected(self.state)
        check_ledger(self.warehouse, days_of(self.warehouse))
        with kept_open(self.warehouse):
            done = self.pull()
        assert done.returncode == ExitCode.DONE, done
        assert done.stdout.startswith("landed 0 days, "), done

    def check_days(self, *others: State) -> None:
        """Each landed day is whole: as it is at the source, or as it was in one of `others`."""
        if not self.warehouse.exists():
            return
        check_ledger(self.warehouse, days_of(self.warehouse))
        units = known_days(self.warehouse).landed
        found = staged(self.warehouse) if units else {}
        for table, rows in found.items():
            picked: Counter[str] = Counter()
            for unit in units:
                states = [state for state in (self.state, *others) if unit in state]
                wanted = [expected({unit: state[unit]})[table] for state in states]
                fitting = [each for each in wanted if each <= rows]
                assert fitting, (unit, table)
                picked += sorted(fitting, key=len)[-1]
            assert picked == rows


def files_below(folder: Path) -> Iterable[Path]:
    """All files below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())
