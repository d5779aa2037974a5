"""Clocks that are hours off, and midnight in another time zone."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from loader.errors import ExitCode
from tests.loader.exports import conversion, conversions_of, day, decision, decisions_of, few_days
from tests.loader.faults.physical import TIMESTAMPS, written_as
from tests.loader.faults.trial import Trial
from tests.loader.token_api import TokenApi
from tests.models.histories import State

pytestmark = pytest.mark.usefixtures("impatient")

HOURS_OFF = [-30, -5, 5, 30]


@pytest.mark.parametrize("hours", HOURS_OFF)
def test_signatures_of_another_hour(s3_trial: Trial, hours: int) -> None:
    s3_trial.publish(few_days(1))
    s3_trial.proxy.clock_error = timedelta(hours=hours)
    assert s3_trial.fails(ExitCode.CREDENTIALS).endswith("set this machine's clock\n")
    s3_trial.recovers()


@pytest.mark.parametrize("hours", HOURS_OFF)
def test_an_expiration_of_another_hour(
    vendor_trial: Trial, token_api: TokenApi, hours: int
) -> None:
    vendor_trial.publish(few_days(1))
    token_api.clock_offset = hours * 3600.0
    vendor_trial.survives()
    assert token_api.calls == {"s3": 2}  # one for each pull: neither held for too short a time


@pytest.mark.parametrize("hours", HOURS_OFF)
def test_this_machines_clock(trial: Trial, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    class OffClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(hours=hours)

    trial.publish(few_days(2))
    with monkeypatch.context() as patch:
        patch.setattr("loader.timespan.datetime", OffClock)
        done = trial.pull("--until", "yesterday")
        assert done.returncode == ExitCode.DONE
        assert done.stdout.startswith("landed 4 days, ")
    trial.recovers()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"])
def test_midnight_in_a_time_zone(s3_trial: Trial, zone: str) -> None:
    """Every physical type of a timestamp in one day, at and around midnight here and there."""
    at = datetime(day(0).year, day(0).month, day(0).day, tzinfo=UTC)
    offsets = (timedelta(0), timedelta(hours=5), timedelta(hours=-5, minutes=-30))
    instants = [
        (at + offset + step).replace(tzinfo=None)
        for offset in (*offsets, timedelta(hours=-14))
        for step in (timedelta(milliseconds=-1), timedelta(0), timedelta(milliseconds=1))
    ]
    times = [{"timestamp": instant, "process_timestamp": instant} for instant in instants]
    state: State = {("decisions", day(0)): [], ("events", day(0)): []}
    bodies: dict[str, bytes] = {}
    for shape in TIMESTAMPS:
        for one, row in ((decisions_of, decision), (conversions_of, conversion)):
            rows = [row(f"{shape} {number}", **time) for number, time in enumerate(times)]
            for unit, files in one(day(0), *rows, part=shape).items():
                state[unit] += files
                bodies |= {key: written_as(shape, key, rows) for key, rows in files}
    s3_trial.publish(state)
    s3_trial.put_all(bodies)
    done = s3_trial.process(TZ=zone)
    assert done.returncode == ExitCode.DONE, done
    s3_trial.recovers()
