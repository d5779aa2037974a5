"""`kill -9` at every named point: each day is as it was or as it is now; the next pull ends it."""

import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from loader.errors import ExitCode
from tests.loader.command import Command
from tests.loader.exports import (
    beside,
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    few_days,
)
from tests.loader.faults.faulty import fault_proxy
from tests.loader.faults.killed import POINTS, arm_pull
from tests.loader.faults.trial import Trial
from tests.loader.s3_server import S3Server, cleaned_environment
from tests.models.histories import State, parquet_bytes, write_state

OLD = few_days(2)
NEW: State = {}
for number in range(2):
    NEW |= decisions_of(day(number), decision("new", day(number)), part="part-new")
    NEW |= conversions_of(day(number), conversion("x", day(number)), conversion("y", day(number)))


@pytest.fixture(scope="module")
def landed(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """An export that was landed, and then rewritten: pulls, killed or not, leave it as it is."""
    bucket = s3_server.export()
    folder = tmp_path_factory.mktemp("landed")
    secrets = list(bucket.credentials.values())
    with fault_proxy(bucket.endpoint_url) as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in (cleaned_environment() | bucket.credentials).items():
            patch.setenv(name, value)
        trial = Trial(bucket, proxy, Command(folder), folder, random.Random(0), secrets)
        trial.publish(OLD)
        trial.pull()
        trial.publish(NEW)
        yield trial


@pytest.fixture
def first(landed: Trial, tmp_path: Path) -> Trial:
    """Of the rewritten export, of which nothing is landed."""
    folder = tmp_path / "warehouse"
    folder.mkdir()
    return replace(landed, folder=folder)


@pytest.fixture
def rewritten(landed: Trial, first: Trial) -> Trial:
    """Of the rewritten export, where it is landed as it was."""
    shutil.copy(landed.warehouse, first.warehouse)
    return first


def kill(trial: Trial, kind: str, point: str) -> None:
    """A pull that is killed there; it leaves what a kill may leave, and no secret."""
    done = trial.process(partial(arm_pull, kind, point))
    assert done.returncode == -signal.SIGKILL, done
    assert (done.stdout, done.stderr) == ("", "")
    left = {f"w.duckdb{ending}" for ending in ("", ".wal", ".spool", ".new")}
    assert beside(trial.warehouse) <= left


@pytest.mark.parametrize("point", POINTS["rewritten"])
def test_of_a_rewritten_export(rewritten: Trial, point: str) -> None:
    kill(rewritten, "rewritten", point)
    rewritten.check_days(OLD)
    rewritten.recovers()


@pytest.mark.parametrize("point", POINTS["together"])
def test_of_days_landed_together(rewritten: Trial, point: str) -> None:
    kill(rewritten, "together", point)
    rewritten.check_days(OLD)
    rewritten.recovers()


@pytest.mark.parametrize("point", POINTS["first"])
def test_of_a_first_pull(first: Trial, point: str) -> None:
    kill(first, "first", point)
    first.check_days()
    first.recovers()


@pytest.mark.parametrize("point", POINTS["moved"])
def test_of_a_source_that_moved(first: Trial, tmp_path: Path, point: str) -> None:
    copy = write_state(tmp_path / "copy", NEW)
    first.command("pull", "--source", copy, "--warehouse", first.warehouse)
    kill(first, "moved", point)
    first.check_days()
    first.recovers()


@pytest.fixture
def bad_key(rewritten: Trial) -> Iterator[str]:
    """A file of the rewritten export that is none, until the test ends."""
    [(key, rows)] = NEW["events", day(1)]
    rewritten.bucket.put(key, b"PAR1 but no more")
    yield key
    rewritten.bucket.put(key, parquet_bytes(key, rows))


@pytest.mark.parametrize("point", POINTS["bad"])
def test_of_a_pull_with_a_bad_file(rewritten: Trial, bad_key: str, point: str) -> None:
    kill(rewritten, "bad", point)
    rewritten.check_days(OLD)
    assert rewritten.pull().returncode == ExitCode.BAD_INPUT
    rewritten.check_days(OLD)
    rewritten.bucket.put(bad_key, parquet_bytes(bad_key, NEW["events", day(1)][0][1]))
    rewritten.recovers()
