"""A disk that becomes full while a day arrives, or while it is written into the database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from loader.errors import ExitCode
from loader.landing.day import FetchedDay, land_days
from loader.ledger import LandedDay
from tests.loader.disk import Disk
from tests.loader.exports import conversion, conversions_of, day, few_days
from tests.loader.faults.faulty import ENDLESSLY, meanwhile
from tests.loader.faults.trial import Trial
from tests.models.histories import State


@pytest.fixture(params=["first", "rewritten"])
def disk(request: pytest.FixtureRequest, trial: Trial, new_disk: Callable[[str], Disk]) -> Disk:
    """The disk of the warehouse: nothing is landed, or what the day was before."""
    small = new_disk("64m")
    trial.folder = small.folder
    if request.param == "rewritten":
        trial.publish(older())
        trial.pull()
    trial.publish(few_days(1))
    return small


def older() -> State:
    return few_days(1) | conversions_of(day(0), conversion("older"))


def test_full_in_the_spool(trial: Trial, disk: Disk) -> None:
    trial.proxy.spoil("GET", meanwhile(lambda: disk.fill(0)), times=ENDLESSLY)
    check(trial, disk)


def test_full_in_the_database(trial: Trial, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_and_land(
        warehouse: Path, days: Sequence[tuple[FetchedDay, str]], *arguments: Any
    ) -> list[LandedDay]:
        if any(fetched.day.export_type == "events" for fetched, _ in days):
            disk.fill(0)
        return land_days(warehouse, days, *arguments)

    monkeypatch.setattr("loader.pull.land_days", fill_and_land)
    check(trial, disk)


def check(trial: Trial, disk: Disk) -> None:
    """A pull says so, and lands nothing half; with space again all is well."""
    done = trial.pull()
    assert done.returncode == ExitCode.NO_DISK_SPACE, done
    assert "free some" in done.stderr
    trial.check_days(older())
    disk.grow()
    trial.proxy.heal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loader.pull.land_days", land_days)
        trial.recovers()
