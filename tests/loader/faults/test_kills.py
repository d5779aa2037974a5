"""`kill -9` at every named point: each day is as it was or as it is now; the next pull ends it."""

import signal
from pathlib import Path

import pytest

from loader.errors import ExitCode
from tests.loader.exports import (
    beside,
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    few_days,
)
from tests.loader.faults.killed import POINTS
from tests.loader.faults.trial import Trial
from tests.models.histories import State, parquet_bytes, write_state

OLD = few_days(2)
NEW: State = {}
for number in range(2):
    NEW |= decisions_of(day(number), decision("new", day(number)), part="part-new")
    NEW |= conversions_of(day(number), conversion("x", day(number)), conversion("y", day(number)))


def kill(trial: Trial, kind: str, point: str) -> None:
    """A pull that is killed there; it leaves what a kill may leave, and no secret."""
    done = trial.process("tests.loader.faults.killed", kind, point, *trial.arguments())
    assert done.returncode == -signal.SIGKILL, done
    assert (done.stdout, done.stderr) == ("", "")
    left = {f"w.duckdb{ending}" for ending in ("", ".wal", ".spool", ".new")}
    assert beside(trial.warehouse) <= left


@pytest.mark.parametrize("point", POINTS["rewritten"])
def test_of_a_rewritten_export(s3_trial: Trial, point: str) -> None:
    s3_trial.publish(OLD)
    s3_trial.pull()
    s3_trial.publish(NEW)
    kill(s3_trial, "rewritten", point)
    s3_trial.check_days(OLD)
    s3_trial.recovers()


@pytest.mark.parametrize("point", POINTS["together"])
def test_of_days_landed_together(s3_trial: Trial, point: str) -> None:
    s3_trial.publish(OLD)
    s3_trial.pull()
    s3_trial.publish(NEW)
    kill(s3_trial, "together", point)
    s3_trial.check_days(OLD)
    s3_trial.recovers()


@pytest.mark.parametrize("point", POINTS["first"])
def test_of_a_first_pull(s3_trial: Trial, point: str) -> None:
    s3_trial.publish(OLD)
    kill(s3_trial, "first", point)
    s3_trial.check_days()
    s3_trial.recovers()


@pytest.mark.parametrize("point", POINTS["moved"])
def test_of_a_source_that_moved(s3_trial: Trial, tmp_path: Path, point: str) -> None:
    s3_trial.publish(OLD)
    copy = write_state(tmp_path / "copy", OLD)
    s3_trial.command("pull", "--source", copy, "--warehouse", s3_trial.warehouse)
    kill(s3_trial, "moved", point)
    s3_trial.check_days()
    s3_trial.recovers()


@pytest.mark.parametrize("point", POINTS["bad"])
def test_of_a_pull_with_a_bad_file(s3_trial: Trial, point: str) -> None:
    s3_trial.publish(OLD)
    s3_trial.pull()
    bad_key, rows = NEW["events", day(1)][0]
    s3_trial.publish(NEW)
    s3_trial.bucket.put(bad_key, b"PAR1 but no more")
    kill(s3_trial, "bad", point)
    s3_trial.check_days(OLD)
    assert s3_trial.pull().returncode == ExitCode.BAD_INPUT
    s3_trial.check_days(OLD)
    s3_trial.bucket.put(bad_key, parquet_bytes(bad_key, rows))
    s3_trial.recovers()
